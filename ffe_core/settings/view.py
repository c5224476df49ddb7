"""Loaded settings as rows for a reader: every key, its value with secrets masked, and where it was set."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel

from ffe_core.settings import Settings
from ffe_core.settings.problems import Path, SettingsProblems, dotted, holds_password, is_secret_key
from ffe_core.settings.reference import Entry, entries, jsonable

MASK = "********"


@dataclass(frozen=True, slots=True)
class Row:
    """``value`` is JSON-able; of a secret it is ``MASK``, or null where none is set."""

    key: str
    value: Any
    origin: str


def rows(settings: Settings) -> Iterator[Row]:
    """The core's keys, then each plugin's. A section whose model is unknown or broken is shown as it was written."""
    for entry in entries():
        yield from _rows_of(entry, jsonable(_attribute(settings, entry.path)), settings.origin)
    models = settings.plugin_models
    names = [*models, *(name for name in settings.plugin_sections if not _has_model(name, models))]
    for name in sorted(names):
        yield from _plugin_rows(settings, name, models.get(name))


def plugin_entries(settings: Settings) -> Iterator[Entry]:
    """Every key of the plugins that have asked for their section."""
    for name, model in sorted(settings.plugin_models.items()):
        yield from entries(model, ("plugins", name))


def masked(path: Path, value: Any) -> Any:
    """``value`` of the key ``path``, without what looks like a secret by its key or its content."""
    if isinstance(value, dict):
        return {key: masked((*path, key), item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(path, item) for item in value]
    if isinstance(value, str) and value and (any(map(is_secret_key, path)) or holds_password(value)):
        return MASK
    return str(value) if isinstance(value, str) else value


def _has_model(written: str, models: dict[str, type[BaseModel]]) -> bool:
    return written.replace("-", "_").lower() in {name.replace("-", "_").lower() for name in models}


def _plugin_rows(settings: Settings, name: str, model: type[BaseModel] | None) -> Iterator[Row]:
    if model is not None:
        try:
            section = settings.plugin_section(name, model)
        except SettingsProblems:
            model = None
    if model is None:
        written = settings.plugin_sections.get(name, {})
        yield from _raw_rows(settings, ("plugins", name), written)
        return
    for entry in entries(model, ("plugins", name)):
        value = jsonable(_attribute(section, entry.path[2:]))

        def origin(key: str, asked: type[BaseModel] = model) -> str:
            return settings.plugin_origin(name, key.removeprefix(f"plugins.{name}."), asked)

        yield from _rows_of(entry, value, origin)


def _raw_rows(settings: Settings, path: Path, value: Any) -> Iterator[Row]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _raw_rows(settings, (*path, key), item)
    else:
        yield Row(dotted(path), masked(path, value), settings.origin(dotted(path)))


def _rows_of(entry: Entry, value: Any, origin: Any) -> Iterator[Row]:
    if entry.secret:
        value = MASK if value is not None else None
    if isinstance(value, dict) and value:
        for key, item in value.items():
            whole = f"{entry.key}.{key}"
            yield Row(whole, masked((*entry.path, key), item), origin(whole))
    else:
        yield Row(entry.key, masked(entry.path, value), origin(entry.key))


def _attribute(section: BaseModel, path: Path) -> Any:
    value: Any = section
    for part in path:
        fields = type(value).model_fields
        name = part if part in fields else next(name for name, field in fields.items() if field.alias == part)
        value = getattr(value, name)
    return value


def exposed_files(settings: Settings, config: FilePath | None = None) -> list[str]:
    """A line for each file that holds secrets and that others on this machine may read."""
    paths = settings.paths
    files = [(paths.dotenv_file, paths.dotenv_file.name)]
    if config is not None:
        files.append((config, str(config)))
    else:
        files += [(file, file.name) for file in (paths.base_file, paths.overlay_file)]
    lines = []
    for file, name in files:
        if os.name != "posix" or not file.is_file() or file.stat().st_size == 0:
            continue
        secret = file == paths.dotenv_file or any(line.startswith(f"{name}:") for line in settings.warnings)
        mode = stat.S_IMODE(file.stat().st_mode)
        if secret and mode & 0o077:
            lines.append(f"{file}: others may read it (mode {mode:04o}); chmod 600 it")
    return lines
