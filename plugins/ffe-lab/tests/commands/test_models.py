"""The commands that ask models, or look for what they cannot have known, as a user types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ffe_lab.document import SHAPES
from ffe_ollama.standin import DECISION, MODEL, OllamaStandIn

from ffe_core.cli import main
from ffe_core.testing.loopback import Canned, Request
from ffe_core.testing.shapes import hold

type Ffe = Callable[..., tuple[int, str, str]]

DAY = ("--start", "2025-03-01", "--end", "2025-03-01")
SPAN = ("BTCUSD", *DAY)
SEVERAL = ("BTCUSD", "ETHUSD", *DAY)


@pytest.fixture
def server() -> Iterator[OllamaStandIn]:
    with OllamaStandIn() as standing:
        yield standing


@pytest.fixture
def variables(ffe_home: Path, server: OllamaStandIn) -> dict[str, str]:
    return {
        "FFE_HOME": str(ffe_home),
        "FFE_PLUGINS": "lab,ollama",
        "FFE_PLUGINS__OLLAMA__MODEL": MODEL,
        "OLLAMA_HOST": server.url.removeprefix("http://"),
    }


@pytest.fixture
def ffe(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ffe:
    def ran(*arguments: str) -> tuple[int, str, str]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        code = main([*arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return ran


def test_a_model_is_not_asked_without_a_tape(ffe: Ffe, server: OllamaStandIn) -> None:
    code, _, err = ffe("backtest", *SPAN, "--provider", "ollama", "--fast")
    assert code == 2
    assert "--cassette auto keeps them" in err
    code, _, err = ffe("backtest", *SPAN, "--provider", "ollama", "--fast", "--cassette", "replay")
    assert code == 4
    assert "was never recorded" in err
    assert not server.chats


@pytest.mark.slow
@pytest.mark.parametrize(("span", "closes", "shape"), [(SPAN, 24, ""), (SEVERAL, 48, "ASSET ASSET ")])
def test_a_second_backtest_in_another_process_asks_nobody_and_prints_the_same_bytes(
    variables: dict[str, str], server: OllamaStandIn, span: tuple[str, ...], closes: int, shape: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FFE_", "OLLAMA_"))}

    def ran(tape: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ffe_core.cli", "backtest", *span, "--provider", "ollama", "--json", "--fast"]
        return subprocess.run(
            [*command, "--cassette", tape], env=environment | variables, capture_output=True, text=True, check=False
        )

    first = ran("auto")
    assert first.returncode == 0, first.stderr
    assert len(server.chats) == closes
    again = ran("replay")
    assert again.stdout == first.stdout
    assert len(server.chats) == closes
    told = json.loads(first.stdout)["data"]
    hold(told, SHAPES[f"backtest {shape}--cassette TAPE"])
    assert told["ai"]["providers"]["ollama"]["answers"] == closes
    assert told["hindsight"]["headline"] is None
    assert f"{closes} of {closes} decisions are of times that a model may have read about" in first.stderr


def test_a_model_decides_about_several_assets_on_one_account(ffe: Ffe, server: OllamaStandIn, tmp_path: Path) -> None:
    server.usual = json.dumps({"reasoning": "It rises.", "action": "BUY", "confidence": 90, "amount": 0})
    line = ("backtest", *SEVERAL, "--provider", "ollama")
    code, _, err = ffe(*line, "--fast")
    assert (code, "--cassette auto keeps them" in err) == (2, True)
    code, _, err = ffe(*line, "--fast", "--cassette", "replay")
    assert (code, "was never recorded" in err) == (4, True)
    assert not server.chats
    page = tmp_path / "page.html"
    code, out, err = ffe(*line, "--cassette", "auto", "--cassette-dir", str(tmp_path / "tape"), "--html", str(page))
    assert code == 0, err
    assert len(server.chats) == 48
    assert "48 of 48 decisions are of times that a model may have read about" in err
    assert "contaminated: 48 decisions, 48 actions" in out
    words = page.read_text(encoding="utf-8")
    assert "Hindsight of the models" in words and "<strong>ollama</strong> BUY 90" in words
    code, out, err = ffe(*line, "--live-ai", "--fast", "--json")
    assert code == 0, err
    assert len(server.chats) == 96
    told = json.loads(out)["data"]["ai"]
    assert (told["decisions"], told["assets"]["ETHUSD"]["decisions"]) == (48, 24)


def test_failures_of_all_assets_are_told_together(ffe: Ffe, server: OllamaStandIn) -> None:
    # What cannot be read is asked for once more.
    failure = ["nothing"] * 2
    server.answers.extend([DECISION] * 2 + failure + [DECISION] * 30 + failure)
    code, _, err = ffe("backtest", *SEVERAL, "--provider", "ollama", "--fast", "--live-ai", "--json")
    assert code == 0, err
    assert "ollama gave no usable answer at 2 closes" in err


def test_an_interruption_counts_the_closes_of_all_assets(ffe: Ffe, server: OllamaStandIn) -> None:
    answer = server.answer

    def interrupted(request: Request) -> Canned:
        if request.path == "/api/chat" and len(server.chats) == 31:
            os.kill(os.getpid(), signal.SIGINT)
        return answer(request)

    server.answer = interrupted
    line = ("backtest", *SEVERAL, "--provider", "ollama", "--fast", "--cassette", "auto")
    code, _, err = ffe(*line)
    assert code == 130
    assert "30 of 48 closes are answered and kept; --cassette auto goes on from there" in err
    code, _, err = ffe(*line)
    assert code == 0, err
    assert len(server.chats) in (48, 49), "what was under way when it was interrupted may be asked again"


@pytest.mark.parametrize("span", [SPAN, SEVERAL])
def test_nobody_is_asked_beyond_the_budget(
    ffe: Ffe, variables: dict[str, str], server: OllamaStandIn, span: tuple[str, ...]
) -> None:
    row = {"model": MODEL, "from": "2020-01-01", "input_usd_per_million": 1000, "output_usd_per_million": 1000}
    variables["FFE_AI__PRICES"] = json.dumps([row])
    code, _, err = ffe(
        "backtest", *span, "--provider", "ollama", "--fast", "--cassette", "auto", "--budget-usd", "0.01"
    )
    assert code == 7
    assert "raise --budget-usd" in err
    assert not server.chats


def test_no_leak_is_exit_0_and_asks_nobody(ffe: Ffe, server: OllamaStandIn) -> None:
    code, out, _ = ffe(
        "lookahead", *SPAN, "--provider", "ollama", "--provider", "sma_cross", "--samples", "2", "--json"
    )
    assert code == 0
    told = json.loads(out)["data"]
    assert (told["clean"], told["samples"], told["providers"]) == (True, 2, ["ollama", "sma_cross"])
    assert not server.chats


def test_a_leak_is_exit_6_and_says_where(ffe: Ffe, monkeypatch: pytest.MonkeyPatch) -> None:
    from ffe_core import Signals
    from ffe_core.builtin.rules.crossings import SmaCross

    def peeks(self: SmaCross, series: Any) -> Signals:
        close = np.array(series.candles.close)
        later = np.append(close[1:], close[-1])
        return Signals(np.where(later > close, 1, -1).astype(np.int8), np.full(len(close), 70, np.int8))

    monkeypatch.setattr(SmaCross, "ask_all", peeks)
    code, out, _ = ffe("lookahead", *SPAN, "--provider", "sma_cross", "--samples", "4")
    assert code == 6
    assert "leak: sma_cross at 2025-03-01T" in out
    assert "action is -1, and 1 where the future is known" in out


def test_rules_are_compared_and_each_risk_rule_is_left_out(ffe: Ffe) -> None:
    code, out, _ = ffe("compare", "BTCUSD", "--start", "2025-03-01", "--end", "2025-03-20", "--by", "rule", "--json",
                       "--provider", "sma_cross")  # fmt: skip
    assert code == 0
    parts = json.loads(out)["data"]["contributions"]
    assert {"concentration", "drawdown", "volatility"} <= {each["without"] for each in parts}


@pytest.fixture
def results(tmp_path: Path) -> list[str]:
    """Two runs of 40 days, the second a mirror of the first."""
    paths = []
    for number, sign in enumerate((1, -1)):
        moves = sign * np.random.Generator(np.random.Philox(key=3)).normal(0, 0.01, 40)
        values = (10_000 * np.cumprod(1 + moves)).tolist()
        times = [f"{day}T00:00:00Z" for day in np.arange("2024-01-02", "2024-02-11", dtype="datetime64[D]")]
        equity = [{"time": time, "value": value} for time, value in zip(times, values, strict=True)]
        told = {"equity": equity, "metrics": {"initial_balance": 10_000}, "metrics_basis": {"periods_per_year": 365}}
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps({"schema": 1, "data": told}))
        paths.append(str(path))
    return paths


def test_the_probability_of_overfitting_is_had_from_files(ffe: Ffe, results: list[str]) -> None:
    code, out, _ = ffe("pbo", *results, "--blocks", "4", "--json")
    told = json.loads(out)["data"]
    assert code == 0
    assert (told["candidates"], told["splits"], told["rows"]) == (2, 6, 40)


@pytest.mark.parametrize(
    ("spoil", "arguments", "said"),
    [
        (None, ("--blocks", "5"), "5 blocks cannot be halved"),
        (None, ("--blocks", "16"), "40 days in 16 blocks are fewer than 5 each"),
        ("nonsense", ("--blocks", "4"), "0.json is no JSON"),
        ("[]", ("--blocks", "4"), "0.json is no backtest of ffe"),
        ("{}", ("--blocks", "4"), "result 1 is no backtest of ffe"),
    ],
)
def test_what_makes_no_choice_is_refused_in_one_line(
    ffe: Ffe, results: list[str], spoil: str | None, arguments: tuple[str, ...], said: str
) -> None:
    if spoil is not None:
        Path(results[0]).write_text(spoil)
    code, out, err = ffe("pbo", *results, *arguments)
    assert code in (1, 2)
    assert not out
    assert said in err
    assert err.count("\n") == 1


def test_one_backtest_alone_is_no_choice(ffe: Ffe, results: list[str], tmp_path: Path) -> None:
    for files in (results[:1], [str(tmp_path / "missing.json")]):
        code, _, err = ffe("pbo", *files)
        assert code in (1, 2)
        assert err.count("\n") == 1


def test_experiments_ask_models_over_a_tape_too_or_say_why_not(ffe: Ffe, server: OllamaStandIn) -> None:
    for name in ("walk-forward", "optimize"):
        code, _, err = ffe(name, *SPAN, "--provider", "ollama")
        assert code == 2
        assert "--cassette auto keeps them" in err
    code, _, err = ffe("monte-carlo", *SPAN, "--provider", "ollama", "--cassette", "auto")
    assert code == 2
    assert "no cassette has answers to those (--method shuffle" in err
    assert not server.chats


@pytest.mark.slow
def test_what_a_model_said_once_is_what_every_experiment_runs_on(ffe: Ffe, server: OllamaStandIn) -> None:
    days = ("--train-days", "1", "--test-days", "1", "--step-days", "1", "--embargo-days", "0")
    span = ("BTCUSD", "--start", "2025-03-01", "--end", "2025-03-03", "--provider", "ollama", "--json")
    code, out, err = ffe("walk-forward", *span, *days, "--cassette", "auto", "--space", "stop=0.01,0.02")
    assert code == 0, err
    told = json.loads(out)["data"]
    assert len(server.chats) == told["ai"]["decisions"] == 72
    assert "72 of 72 decisions are of times that a model may have read about" in err
    for line in (
        ("optimize", *span, "--no-gate", "--search", "random", "--n-trials", "4"),
        ("monte-carlo", *span, "--method", "shuffle", "--simulations", "5"),
    ):
        code, out, err = ffe(*line, "--cassette", "replay")
        assert code == 0, err
        assert json.loads(out)["data"]["ai"]["providers"]["ollama"]["answers"] == 72
    assert len(server.chats) == 72
