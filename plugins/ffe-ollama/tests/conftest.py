"""What the tests share: a stand-in for Ollama, and an environment without the developer's settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ffe_ollama.standin import OllamaStandIn


@pytest.fixture
def server() -> Iterator[OllamaStandIn]:
    with OllamaStandIn() as standing:
        yield standing


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a newcomer, for commands in processes of their own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FFE_", "OLLAMA_", "GEMINI_"))}
    return {**kept, "FFE_HOME": str(tmp_path / "home"), "FFE_PLUGINS": "ollama"}
