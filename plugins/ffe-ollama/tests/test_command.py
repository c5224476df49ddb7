"""The whole way from the command line: the panel with a dead server, and a real small model."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ffe_ollama.standin import MODEL, OllamaStandIn

from ffe_core.cli import main

if TYPE_CHECKING:
    from conftest import Analyze

PANEL = ["local", "trend_adx", "rsi_reversion", "ollama"]
CHECKOUT = Path(__file__).resolve().parents[3]
#: read here, because no test may take them for settings of ffe
TOOLS = os.environ.get("FFE_TEST_TOOLS", "")
INDEX = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


def panel(server: OllamaStandIn) -> dict[str, str]:
    return {
        "FFE_AI__PROVIDERS": json.dumps(PANEL),
        "FFE_PLUGINS__OLLAMA__MODEL": MODEL,
        "OLLAMA_HOST": server.url.removeprefix("http://"),
    }


def test_the_panel_weighs_a_model_like_its_other_voices(server: OllamaStandIn, analyze: Analyze) -> None:
    ran = analyze("ensemble", panel(server))
    assert ran.code == 0, ran.err
    assert ran.data["ensemble_metadata"]["adjusted_weights"] == dict.fromkeys(PANEL, 0.25)
    assert [opinion["provider"] for opinion in ran.data["opinions"]] == PANEL
    assert ran.data["opinions"][-1]["cost_usd"] == "0"
    assert ran.data["opinions"][-1]["error"] is None


def test_a_server_that_died_is_named_and_its_weight_goes_to_the_others(server: OllamaStandIn, analyze: Analyze) -> None:
    server.close()
    ran = analyze("ensemble", panel(server))
    assert ran.code == 0, ran.err
    told = ran.data["ensemble_metadata"]
    alive = PANEL[:-1]
    assert told["providers_used"] == alive
    assert "ollama" in str(told["providers_failed"])
    assert told["original_weights"] == dict.fromkeys(PANEL, 0.25)
    assert told["adjusted_weights"] == pytest.approx(dict.fromkeys(alive, 1 / 3), abs=1e-12)
    failed = ran.data["opinions"][-1]
    assert (failed["provider"], failed["action"]) == ("ollama", None)
    assert "cannot be reached" in failed["error"]


def test_a_refused_reply_is_in_the_record_and_replays_as_the_abstention_that_it_was(
    server: OllamaStandIn, analyze: Analyze, capfd: pytest.CaptureFixture[str]
) -> None:
    server.usual = "I would rather not say."
    ran = analyze("ensemble", panel(server))
    assert ran.code == 0, ran.err
    assert "no JSON object" in ran.data["opinions"][-1]["error"]
    assert main(["show", ran.data["id"], "--json"]) == 0
    record = json.dumps(json.loads(capfd.readouterr().out)["data"])
    assert "I would rather not say." in record
    assert "Your last answer could not be used." in record
    assert main(["replay", ran.data["id"], "--json"]) == 0


def test_a_model_that_fails_alone_is_an_error_that_says_why(analyze: Analyze) -> None:
    ran = analyze("ollama", {"FFE_PLUGINS__OLLAMA__MODEL": MODEL, "OLLAMA_HOST": "127.0.0.1:1"})
    assert ran.code == 1
    assert "ollama: Ollama cannot be reached" in ran.err
    assert ran.data["opinions"][0]["action"] is None


@pytest.fixture
def real_model(tmp_path: Path) -> Iterator[str]:
    """The URL of a real small language model behind Ollama's API, in an environment of its own; ends with the test."""
    places = [Path(TOOLS)] if TOOLS else [CHECKOUT.parent / "shared" / "tools", CHECKOUT / "shared" / "tools"]
    script = next((place / "real_llm.py" for place in places if (place / "real_llm.py").is_file()), None)
    if script is None:
        pytest.skip("no real model: set FFE_TEST_TOOLS to the folder of real_llm.py")
    folder = tmp_path / "model"
    venv.create(folder, with_pip=True)
    with (tmp_path / "model.log").open("w+") as log:
        running = subprocess.Popen(
            [sys.executable, str(script), "--venv", str(folder), "--port", "0", "--seconds", "560"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **INDEX},
        )
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            if not line.startswith("READY "):
                log.seek(0)
                pytest.skip(f"the real model cannot be installed here: {log.read()[-300:].strip()}")
            yield dict(part.split("=", 1) for part in line.split()[1:])["ollama"]
        finally:
            running.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(10)
            running.kill()
            running.wait()
            if running.stdout is not None:
                running.stdout.close()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_real_small_model_answers_an_opinion_of_the_right_shape(real_model: str, analyze: Analyze) -> None:
    asked = {
        "OLLAMA_HOST": real_model,
        "FFE_AI__TIMEOUT": "240",
        "FFE_PLUGINS__OLLAMA__TIMEOUT": "240",
        "FFE_PLUGINS__OLLAMA__MODEL": "smollm2:135m",
        "FFE_PLUGINS__OLLAMA__NUM_CTX": "4096",
        "FFE_PLUGINS__OLLAMA__NUM_PREDICT": "700",
        "FFE_PLUGINS__OLLAMA__NUM_PROMPT": "400",
    }
    ran = analyze("ollama", asked)
    assert ran.code == 0, ran.err
    (opinion,) = ran.data["opinions"]
    assert (opinion["provider"], opinion["model"], opinion["error"]) == ("ollama", "smollm2:135m", None)
    assert opinion["action"] in ("BUY", "SELL", "HOLD")
    assert 0 <= opinion["confidence"] <= 100
    assert opinion["reasoning"].strip()
    assert opinion["tokens_in"] > 100 and opinion["tokens_out"] > 5
