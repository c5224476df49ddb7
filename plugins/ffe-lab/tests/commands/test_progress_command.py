"""``ffe progress``, as a user runs it: on outcomes that were imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from ffe_lab.document import SHAPES

from ffe_core import Action, Asset, Outcome, OutcomeKind
from ffe_core.learning.exchange import spelled
from ffe_core.testing.shapes import hold

type Ffe = Callable[..., subprocess.CompletedProcess[str]]

START = datetime(2024, 1, 1, tzinfo=UTC)


def trade(
    number: int, made: str, *, asset: str = "BTCUSD", said: dict[str, int] | None = None, **facts: Any
) -> Outcome:
    """A long trade, closed ``number`` + 1 hours after the start; ``said`` is the confidence of those who wanted it."""
    callers = said or {"trend_adx": 80}
    usual: dict[str, Any] = {
        "as_of": START + timedelta(hours=number),
        "resolved_at": START + timedelta(hours=number + 1),
        "action": Action.BUY,
        "gross_return": 0.01,
        "net_return": 0.008,
        "pnl": Decimal(made),
        "exit_reason": "target",
        "kind": OutcomeKind.TRADE,
        "provider_actions": {**dict.fromkeys(callers, Action.BUY), "gemini": Action.SELL},
        "provider_confidences": {**callers, "gemini": 99},
    }
    return Outcome(decision_id=str(UUID(int=number, version=4)), asset=Asset.parse(asset), **{**usual, **facts})


@pytest.fixture
def ffe(ffe_home: Path) -> Ffe:
    environment = {**os.environ, "COLUMNS": "120", "FFE_HOME": str(ffe_home)}

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "ffe_core.cli", *arguments]
        done = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == code, done.stderr
        return done

    return run


@pytest.fixture
def known(ffe: Ffe, tmp_path: Path) -> Callable[[Sequence[Outcome]], None]:
    """``known(outcomes)``: they are imported."""

    def put(outcomes: Sequence[Outcome]) -> None:
        file = tmp_path / "outcomes.jsonl"
        file.write_text(spelled(outcomes), encoding="utf-8")
        ffe("learning", "import", str(file))

    return put


def test_the_five_parts_are_those_of_the_trades_in_the_order_of_their_closing(ffe: Ffe, known: Any) -> None:
    # Twenty losses of 5 by the one, then eighty wins of 10 by the other, who was not always alone.
    early = [trade(number, "-5") for number in range(20)]
    late = [trade(number, "10", said={"macd": 70, "trend_adx": 60}) for number in range(20, 100)]
    known([*late, *early])
    data = json.loads(ffe("progress", "--json").stdout)["data"]
    hold(data, SHAPES["progress"])
    assert (data["trades"], data["currency"], data["first"]) == (100, "USD", "2024-01-01T01:00:00Z")
    # The twelfth win is trade 32; from no win in twenty to twenty in twenty over a hundred trades.
    assert data["sample_efficiency"] == {"trades": 32, "speed": 1.0}
    # The best made 10 a trade: a thousand, and 700 were made.
    assert data["cumulative_regret"] == 300.0
    assert data["concept_drift"]["win_rates"] == [0.0, 1.0, 1.0, 1.0, 1.0]
    assert data["concept_drift"]["severity"] == "HIGH"
    assert data["exploration"] == {"favourite": "macd", "rate": pytest.approx(0.2), "convergence": 1.0}
    assert data["learning_curve"]["learning"] is True
    assert (data["learning_curve"]["early_pnl"], data["learning_curve"]["late_pnl"]) == (-2.0, 10.0)
    assert data["learning_curve"]["gain_interval_95"][0] > 0.5

    shown = ffe("progress").stdout
    assert "100 trades at real prices, 2024-01-01 to 2024-01-05" in shown
    for line in ("32 trades", "300.00 USD", "HIGH", "macd", "20.00 % to 100.00 %"):
        assert line in shown, line


@pytest.mark.slow
def test_parts_that_need_more_trades_say_how_many(ffe: Ffe, known: Any) -> None:
    known([trade(number, "3") for number in range(20)])
    data = json.loads(ffe("progress", "--json").stdout)["data"]
    assert (data["concept_drift"], data["learning_curve"], data["sample_efficiency"]["speed"]) == (None, None, None)
    assert data["needed"] == {"sample_efficiency": 20, "learning_speed": 40, "concept_drift": 100, "learning_curve": 40}
    shown = ffe("progress").stdout
    assert [f"needs {count} trades" in shown for count in (40, 100)] == [True, True]


@pytest.mark.slow
def test_too_few_trades_are_one_line_that_says_where_there_are_more(ffe: Ffe, known: Any) -> None:
    known([trade(number, "3", synthetic=True) for number in range(25)])
    done = ffe("progress", code=1)
    assert done.stdout == ""
    assert done.stderr == (
        "error: 0 closed trades say nothing about learning; it takes 20 (25 trades more with --synthetic)\n"
    )
    assert json.loads(ffe("progress", "--synthetic", "--json").stdout)["data"]["trades"] == 25
    refused = json.loads(ffe("progress", "--synthetic", "--asset", "ETHUSD", "--json", code=1).stdout)
    assert refused["error"]["type"] == "NoData"
    assert "names no asset" in ffe("progress", "--asset", "?", code=2).stderr


@pytest.mark.slow
def test_other_currencies_assets_and_horizons_are_no_part_of_a_sum(ffe: Ffe, known: Any) -> None:
    ours = [trade(number, "3") for number in range(22)]
    ether = [trade(number, "1", asset="ETHUSD") for number in range(30, 52)]
    yen = [trade(number, "4000", asset="USDJPY") for number in range(60, 65)]
    horizons = [trade(number, "0", kind=OutcomeKind.HORIZON, pnl=None) for number in range(70, 99)]
    known([*ours, *ether, *yen, *horizons])
    data = json.loads(ffe("progress", "--json").stdout)["data"]
    assert (data["trades"], data["currency"], data["in_other_currencies"]) == (44, "USD", 5)
    assert "5 trades in other currencies than USD are left out" in ffe("progress").stdout
    one = json.loads(ffe("progress", "--asset-pair", "BTC/USD", "--json").stdout)["data"]
    assert (one["trades"], one["asset_pair"]) == (22, "BTCUSD")
