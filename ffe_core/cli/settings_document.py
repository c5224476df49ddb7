"""Writes docs/settings.md and config.example.yaml from the models: ``python -m ffe_core.cli.settings_document``."""

from __future__ import annotations

import pathlib

from ffe_core.domain.clock import SystemClock
from ffe_core.plugins import load_plugins
from ffe_core.settings import Settings
from ffe_core.settings.reference import document, example
from ffe_core.settings.sections import PluginsSettings


def current() -> dict[str, str]:
    """The text of each file by its path in the project, whatever is installed besides."""
    settings = Settings(plugins=PluginsSettings(enabled=[]))
    with load_plugins(settings, clock=SystemClock()):
        return {"docs/settings.md": document(settings.plugin_models), "config.example.yaml": example()}


def write(root: pathlib.Path) -> None:
    for name, text in current().items():
        (root / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(pathlib.Path(__file__).resolve().parents[2])
