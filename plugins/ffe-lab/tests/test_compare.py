"""Comparisons: better where it is shown, not shown where it is not, and what each part of a whole contributes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ffe_lab.backtest import run
from ffe_lab.compare import Compared, by_debate, by_provider, by_rule
from ffe_lab.costs import Costs
from ffe_lab.lab import Lab
from ffe_lab.market import Market, candles_of, longer
from ffe_lab.standin import BTC, Bars, Counting, bench, taped

from ffe_core import Action, Briefing, CassetteMiss, Opinion, Timeframe, UsageError, to_ms
from ffe_core.ai.cassette import Tape

type Walk = Callable[..., pd.DataFrame]

START, END = datetime(2022, 2, 1, tzinfo=UTC), datetime(2022, 2, 5, tzinfo=UTC)


@dataclass
class Knowing(Counting):
    """Has read tomorrow's papers: calls the direction of the next two bars, or, if ``wrong``, the other one."""

    wrong: bool = False
    candles: Any = field(default=None, repr=False)

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        self.asked.append(briefing.as_of)
        place = int(np.searchsorted(np.array(self.candles.time), to_ms(briefing.as_of)))
        close = np.array(self.candles.close)
        up = close[min(place + 1, len(close) - 1)] > close[place - 1]
        action = Action.BUY if bool(up) != self.wrong else Action.SELL
        return Opinion(self.name, self.model, action, 75, "as printed", prompt="asked", tokens_in=1, tokens_out=1)


@pytest.fixture
def bars(walk: Walk) -> Bars:
    series = candles_of(walk(900), asset=BTC, source="held")
    longer_ones = {each: made for each in (Timeframe.H4, Timeframe.D1) if (made := longer(series, each))}
    return Bars("held", {Timeframe.H1: series, **longer_ones})


@pytest.fixture
def models(bars: Bars) -> tuple[Counting, ...]:
    series = bars.frames[Timeframe.H1]
    return (
        Knowing("right", "right-1", candles=series),
        Knowing("wrong", "wrong-1", candles=series, wrong=True),
        Counting(),
    )


@pytest.fixture
def lab(tmp_path: Path, bars: Bars, models: tuple[Counting, ...]) -> Lab:
    return bench(tmp_path / "home", bars, *models, FFE_DECISION__HORIZON="2")


def market_of(lab: Lab) -> Market:
    return lab.market(BTC, start=START, end=END)


def pairs_of(found: Compared) -> dict[tuple[str, str], str]:
    return {(each.first, each.second): each.relation.value for each in found.pairs}


@pytest.mark.slow
def test_who_knows_is_better_than_who_errs_and_nobody_is_asked_again(
    tmp_path: Path, lab: Lab, models: tuple[Counting, ...]
) -> None:
    names = ("right", "wrong", "counting")
    recording = taped(lab, Tape.AUTO, tmp_path / "tape")
    found = by_provider(recording, market_of(recording), names, recording.setup(costs=_free()))
    assert pairs_of(found)["right", "wrong"] == "better"
    assert pairs_of(found)["wrong", "counting"] != "better"
    assert found.decisions == 47
    asked = [len(each.asked) for each in models]
    assert asked == [96, 96, 96]
    replaying = taped(lab, Tape.REPLAY, tmp_path / "tape")
    again = by_provider(replaying, market_of(replaying), names, replaying.setup(costs=_free()))
    assert again.data() == found.data()
    assert [len(each.asked) for each in models] == asked
    with pytest.raises(CassetteMiss):
        by_provider(replaying, lab.market(BTC, start=START, end=datetime(2022, 2, 6, tzinfo=UTC)), names, lab.setup())


def _free() -> Costs:
    return Costs(fee=0.0, slippage=0.0)


def test_two_rules_that_say_the_same_are_not_shown_to_differ(lab: Lab) -> None:
    found = by_provider(lab, market_of(lab), ("trend_adx", "rsi_reversion"), lab.setup())
    assert pairs_of(found)["trend_adx", "rsi_reversion"] == "not shown"
    assert {each.without for each in found.contributions} == {"trend_adx", "rsi_reversion"}


def test_a_rule_left_out_is_the_run_whose_settings_switch_it_off(tmp_path: Path, bars: Bars, lab: Lab) -> None:
    start = datetime(2022, 1, 10, tzinfo=UTC)
    market = lab.market(BTC, start=start)
    found = by_rule(lab, market, "sma_cross", lab.setup())
    switches = lab.rulebook.risk["rules"]
    acted = {each.without: each for each in found.contributions if each.acted and each.without in switches}
    assert acted
    for name, part in acted.items():
        other = bench(tmp_path / "home", bars, **{f"FFE_RISK__RULES__{name.upper()}": "false"})
        plain = run(other, other.market(BTC, start=start), "sma_cross", other.setup())
        assert found.runs[f"without {name}"].equity.tolist() == plain.equity.tolist()
        whole = found.runs["sma_cross"].metrics
        assert part.total_return == plain.metrics.total_return - whole.total_return
    idle = [each for each in found.contributions if not each.acted]
    assert {each.total_return for each in idle} == {0.0}


@pytest.mark.slow
def test_a_panel_is_compared_as_it_votes_and_as_it_debates(
    tmp_path: Path, lab: Lab, models: tuple[Counting, ...]
) -> None:
    names = ("right", "wrong", "counting")
    start = datetime(2022, 2, 4, tzinfo=UTC)
    recording = taped(lab, Tape.AUTO, tmp_path / "tape")
    found = by_debate(recording, recording.market(BTC, start=start, end=END), names, recording.setup())
    assert set(found.runs) == {"vote", "debate"}
    asked = sum(len(each.asked) for each in models)
    replaying = taped(lab, Tape.REPLAY, tmp_path / "tape")
    again = by_debate(replaying, replaying.market(BTC, start=start, end=END), names, replaying.setup())
    assert again.data() == found.data()
    assert sum(len(each.asked) for each in models) == asked


def test_what_cannot_be_compared_is_refused(tmp_path: Path, lab: Lab) -> None:
    with pytest.raises(UsageError, match="one provider alone"):
        by_provider(lab, market_of(lab), ("trend_adx",), lab.setup())
    with pytest.raises(UsageError, match="without the gate"):
        by_rule(lab, market_of(lab), "trend_adx", lab.setup(gate=False))
    with pytest.raises(UsageError, match="asked at every close"):
        by_provider(lab, market_of(lab), ("trend_adx", "counting"), lab.setup())
