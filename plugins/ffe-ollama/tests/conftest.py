"""What the tests share: a stand-in for Ollama, and the command as a newcomer runs it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ffe_ollama.standin import OllamaStandIn

from ffe_core.cli import main

#: the same market for every run: what a small model says of it is then the same, too, on one machine
AT = "2025-03-28T23:00:00Z"


@pytest.fixture
def server() -> Iterator[OllamaStandIn]:
    with OllamaStandIn() as standing:
        yield standing


@dataclass(frozen=True)
class Run:
    code: int
    data: dict[str, Any]
    err: str


type Analyze = Callable[[str, dict[str, str]], Run]


@pytest.fixture
def analyze(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Analyze:
    """``ffe analyze BTCUSD --provider NAME --json`` with the variables that are given, and none of the developer's."""

    def run(provider: str, variables: dict[str, str]) -> Run:
        for name in [name for name in os.environ if name.startswith(("FFE_", "OLLAMA_", "GEMINI_"))]:
            monkeypatch.delenv(name)
        for name, value in {"FFE_HOME": str(tmp_path / "home"), "FFE_PLUGINS": "ollama", **variables}.items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        code = main(["analyze", "BTCUSD", "--at", AT, "--provider", provider, "--json"])
        out, err = capfd.readouterr()
        return Run(code, json.loads(out)["data"], err)

    return run
