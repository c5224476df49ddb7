"""The look-ahead check: honest rules and questions pass, one bar of the future does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ffe_lab.lab import Lab
from ffe_lab.lookahead import first_difference, lookahead
from ffe_lab.market import Market, candles_of, longer
from ffe_lab.standin import BTC, Bars, Counting, bench

from ffe_core import Briefing, Candles, Opinion, Signals, Timeframe
from ffe_core.plugins.guard import Guard
from ffe_core.plugins.registry import Loaded

type Walk = Callable[..., pd.DataFrame]

START, END = datetime(2022, 2, 1, tzinfo=UTC), datetime(2022, 2, 3, tzinfo=UTC)


@dataclass(frozen=True)
class Peeking:
    """Buys where the close ``ahead`` bars later is above the one before it, and sells where it is not."""

    ahead: int
    name: str = "peeking"
    model: str = "rule:peeking"
    local: bool = True

    def with_params(self, **params: Any) -> Peeking:
        return replace(self, **params)

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        raise NotImplementedError

    def ask_all(self, series: Any) -> Signals:
        close = np.array(series.candles.close)
        place = np.clip(np.arange(len(close)) + self.ahead, 0, len(close) - 1)
        later, earlier = close[place], close[np.clip(place - 1, 0, None)]
        action = np.where(later > earlier, 1, -1).astype(np.int8)
        return Signals(action, np.full(len(close), 70, np.int8))


@pytest.fixture
def bars(walk: Walk) -> Bars:
    series = candles_of(walk(900), asset=BTC, source="held")
    longer_ones = {each: made for each in (Timeframe.H4, Timeframe.D1) if (made := longer(series, each))}
    return Bars("held", {Timeframe.H1: series, **longer_ones})


@pytest.fixture
def model() -> Counting:
    return Counting()


@pytest.fixture
def lab(tmp_path: Path, bars: Bars, model: Counting) -> Lab:
    return bench(tmp_path / "home", bars, model)


@pytest.fixture
def market(lab: Lab) -> Market:
    return lab.market(BTC, start=START, end=END)


def test_a_rule_that_peeks_one_bar_is_caught(lab: Lab, market: Market) -> None:
    found = lookahead(lab, market, {"peeking": Peeking(1)}, samples=20)
    assert {leak.how for leak in found.leaks} == {"later bars removed", "later bars times ten"}
    assert {leak.field for leak in found.leaks} == {"action"}
    assert all(leak.at in found.instants for leak in found.leaks)
    assert not lookahead(lab, market, {"honest": Peeking(0)}, samples=20).leaks


def test_no_rule_of_ffe_knows_its_future(lab: Lab, market: Market) -> None:
    registry = lab.engine.registry
    rules = {name: registry.provider(name) for name in registry.providers if name != "counting"}
    found = lookahead(lab, market, {name: one for name, one in rules.items() if hasattr(one, "ask_all")}, samples=4)
    assert len(found.providers) > 5
    assert not found.leaks


def test_what_is_asked_of_a_model_knows_no_later_bar_and_asking_nobody_shows_it(
    lab: Lab, market: Market, model: Counting
) -> None:
    found = lookahead(lab, market, {"counting": model}, samples=3)
    assert not found.leaks
    assert not model.asked


def test_an_indicator_that_looks_behind_the_bars_it_was_handed_is_caught(
    lab: Lab, market: Market, model: Counting
) -> None:
    def peek(candles: Candles) -> dict[str, float]:
        whole = np.frombuffer(candles.close.obj, np.float64)
        place = int(np.flatnonzero(whole == candles.close[-1])[0])
        return {"next": float(whole[min(place + 1, len(whole) - 1)])}

    lab.engine.registry.loaded.append(Loaded("peeker", Guard("peeker", 5.0), {"ffe_indicators": peek}))
    found = lookahead(lab, market, {"counting": model}, samples=3)
    assert {leak.field for leak in found.leaks} == {"request.briefing.indicators.peeker.next"}
    assert found.data()["clean"] is False


def test_the_same_seed_samples_the_same_closes(lab: Lab, market: Market) -> None:
    panel = {"honest": Peeking(0)}
    assert lookahead(lab, market, panel, samples=5) == lookahead(lab, market, panel, samples=5)
    assert (
        lookahead(lab, market, panel, samples=5).instants != lookahead(lab, market, panel, samples=5, seed=1).instants
    )


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ({"a": 1, "b": [1, {"c": 2}]}, {"a": 1, "b": [1, {"c": 2}]}, None),
        ({"a": 1, "b": [1, {"c": 2}]}, {"a": 1, "b": [1, {"c": 3}]}, ("b[1].c", "2", "3")),
        ({"a": 1}, {"a": 1, "b": 2}, ("b", "None", "2")),
        ({"a": [1]}, {"a": [1, 2]}, ("a", "[1]", "[1, 2]")),
    ],
)
def test_the_first_difference_is_named(one: Any, other: Any, found: Any) -> None:
    assert first_difference(one, other) == found
