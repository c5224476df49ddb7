"""The commands of experiments, as a user runs them: processes of their own, on real candles."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

type Ffe = Callable[..., subprocess.CompletedProcess[str]]

SPAN = ("BTCUSD", "--source", "files", "--start", "2022-01-01", "--end", "2022-04-30", "--provider", "sma_cross")
BARE = ("--no-gate", "--sizing", "all_in", "--stop-loss-percentage", "0", "--take-profit-percentage", "0")


@pytest.fixture
def ffe(real_data: Path, ffe_home: Path) -> Ffe:
    # The width of the terminal that the tests run in must not break a line which they read.
    environment = {
        **os.environ,
        "COLUMNS": "160",
        "FFE_HOME": str(ffe_home),
        "FFE_PLUGINS__FILES__PATH": str(real_data),
    }

    def run(*arguments: str, code: int = 0, kinds: str = "{}") -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "ffe_core.cli", *arguments]
        own = {**environment, "FFE_DATA__KINDS": kinds}
        done = subprocess.run(line, capture_output=True, text=True, env=own, check=False)
        assert done.returncode == code, done.stderr
        return done

    return run


def data_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)["data"]
    return found


@pytest.mark.slow
def test_a_walk_forward_prints_windows_headline_and_severity(ffe: Ffe) -> None:
    line = ("walk-forward", *SPAN, *BARE, "--space", "fast=5,10", "--space", "slow=30,60", "--json")
    done = ffe(*line)
    data = data_of(done)
    assert (data["train_days"], data["test_days"], data["step_days"]) == (58, 35, 8)
    assert data["windows"][0]["train"]["start"] == "2022-01-01T00:00:00Z"
    assert {each["test"]["sample"] for each in data["windows"]} == {data["sample"]} == {"OUT-OF-SAMPLE"}
    assert data["metrics"]["trials"] == data["combinations"] == 4
    assert data["overfitting"]["severity"] in ("NONE", "LOW", "MEDIUM", "HIGH")
    for name in ("assumptions", "fingerprint", "metrics_basis", "average_test_sharpe", "average_test_win_rate"):
        assert data[name]
    assert ffe(*line).stdout == done.stdout


@pytest.mark.slow
def test_a_walk_forward_over_too_few_days_says_how_many_it_takes(ffe: Ffe) -> None:
    short = [part if part != "2022-04-30" else "2022-01-10" for part in SPAN]
    assert (
        "9 days are too short for a walk-forward; at this ratio it takes 15"
        in ffe("walk-forward", *short, code=2).stderr
    )
    assert "too short; one window takes 211" in ffe("walk-forward", *SPAN, "--train-days", "180", code=2).stderr


@pytest.mark.slow
def test_a_monte_carlo_is_about_its_base(ffe: Ffe) -> None:
    line = ("monte-carlo", *SPAN, *BARE, "--simulations", "60", "--noise-std", "0.01", "--seed", "5", "--json")
    data = data_of(ffe(*line))
    assert data["base_final_balance"] == data["metrics"]["final_value"] != data["initial_balance"]
    assert data["fingerprint"] and data["metrics_basis"]["formula"] == "sharpe_daily_365_rf0"
    spread = list(data["percentiles"].values())
    assert spread == sorted(spread) and data["worst"] < spread[0] < spread[-1] < data["best"]
    assert data["var_95"] == pytest.approx(data["initial_balance"] - data["percentiles"]["p5"])


@pytest.mark.slow
def test_workers_of_another_executor_print_the_same(ffe: Ffe) -> None:
    line = ("monte-carlo", *SPAN, *BARE, "--simulations", "60", "--noise-std", "0.01", "--json")
    assert ffe(*line, "--executor", "processes", "--workers", "2").stdout == ffe(*line).stdout


@pytest.mark.slow
def test_the_best_of_an_optimisation_is_a_file_of_settings_that_a_backtest_runs_by(ffe: Ffe, tmp_path: Path) -> None:
    best, history = tmp_path / "best.yaml", tmp_path / "history.csv"
    files = ("--best", str(best), "--history", str(history))
    line = ("optimize", *SPAN, "--no-gate", "--n-trials", "12", "--seed", "3", "--json")
    done = ffe(*line, *files)
    data = data_of(done)
    assert (data["sample"], data["search"], data["trials"]) == ("IN-SAMPLE", "tpe", 12)
    with history.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = [float(row["sharpe"]) for row in rows if row["sharpe"]]
    assert len(rows) == 12 and data["best"]["sharpe"] == np.max(known)
    again = data_of(ffe("--config", str(best), "backtest", *SPAN, "--no-gate", "--fast", "--json"))
    assert again["metrics"]["total_return"] == pytest.approx(data["metrics"]["total_return"], rel=1e-12)
    assert again["params"] == {name: data["best"]["params"][name] for name in ("fast", "slow")}


@pytest.mark.slow
def test_what_a_person_reads_says_what_it_is_worth(ffe: Ffe) -> None:
    shown = ffe("optimize", *SPAN, "--no-gate", "--n-trials", "3", "--search", "random").stdout
    assert "IN-SAMPLE" in shown and "Deflated Sharpe ratio" in shown
    shown = ffe("walk-forward", *SPAN, "--no-gate", "--space", "fast=5,10").stdout
    assert "Overfitting:" in shown and "train Sharpe (IN-SAMPLE)" in shown
    shown = ffe("monte-carlo", *SPAN, "--no-gate", "--simulations", "20", "--method", "shuffle").stdout
    assert "Probability of a loss" in shown and "Drawdown, p95" in shown


@pytest.mark.slow
def test_executors_that_there_are_not_are_refused(ffe: Ffe) -> None:
    assert "unknown executor 'magic'" in ffe("monte-carlo", *SPAN, "--executor", "magic", code=2).stderr
    assert "--workers is an executor's" in ffe("monte-carlo", *SPAN, "--workers", "2", code=2).stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["backtest", "walk-forward", "compare"])
def test_an_asset_that_nobody_has_named_the_kind_of_is_one_line(ffe: Ffe, command: str) -> None:
    both = ("--provider", "rsi_reversion") if command == "compare" else ()
    line = (command, "GOOG", "--source", "files", "--timeframe", "1d", "--provider", "sma_cross", *both, "--json")
    told = (
        "warning: nobody says what GOOG is: its days are taken for those of UTC, 365 a year; "
        "say data.kinds.GOOG: stock (or crypto, forex)"
    )
    assert ffe(*line).stderr.splitlines().count(told) == 1
    assert "nobody says" not in ffe(*line, kinds='{"GOOG": "stock"}').stderr
