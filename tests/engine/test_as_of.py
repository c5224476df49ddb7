"""A decision at an instant does not change when what comes after it changes."""

import random
from array import array
from datetime import timedelta

import pytest

from ffe_core import Asset, Note, Timeframe, Trust
from ffe_core.builtin import demo
from ffe_core.domain.assets import PULSE_TIMEFRAMES
from ffe_core.domain.clock import from_ms
from ffe_core.domain.market import COLUMNS, Candles
from ffe_core.settings import Settings
from ffe_core.testing import make_context
from tests.engine.deciding import bytes_of, record_of_decision

BTC = Asset.parse("BTCUSD")


class Market:
    """Six frames of one market that a test may cut or falsify from an instant on."""

    name = "market"

    def __init__(self, frames):
        self.frames = frames

    def serves(self, asset):
        return asset.symbol == "BTCUSD"

    def candles(self, asset, timeframe, *, start, end, limit):
        made = self.frames[timeframe].between(start, end)
        return made if limit is None else made.tail(limit)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    context = make_context(tmp_path_factory.mktemp("demo"), "demo")
    (source,) = demo.ffe_data_sources(demo.Settings(), context)
    end = from_ms(1_700_000_000_000)
    return {timeframe: source.candles(BTC, timeframe, start=None, end=end, limit=900) for timeframe in PULSE_TIMEFRAMES}


def known_until(frames, instant):
    """The frames as they stood at ``instant``: later bars absent, the running bar half made."""
    return {timeframe: candles.between(None, instant) for timeframe, candles in frames.items()}


def falsified_from(frames, instant, factor):
    """The frames with every bar that was not complete at ``instant`` multiplied by ``factor``."""
    made = {}
    for timeframe, candles in frames.items():
        complete = len(candles.as_of(instant))
        columns = {
            name: [value * (factor if index >= complete else 1) for index, value in enumerate(getattr(candles, name))]
            for name in COLUMNS
        }
        made[timeframe] = Candles.of(
            candles.asset, timeframe, candles.source, time=array("q", candles.time), synthetic=True, **columns
        )
    return made


def readings(candles):
    """What a plugin makes of the bars that it is shown: every one of them counts."""
    return {"bars": len(candles), "until": candles.time[-1] / 1000, "sum": sum(candles.close) + sum(candles.high)}


def decide(frames, at, *, notes=()):
    settings = Settings(data={"sources": ["market"], "bars": 60})
    hooks = {"ffe_brief": lambda request: list(notes), "ffe_indicators": readings}
    return bytes_of(record_of_decision(settings, at, sources=[Market(frames)], hooks=hooks))


def instants(frames, number, seed):
    """Random instants inside the minutes that there are, many of them on the edges of bars."""
    rng = random.Random(seed)
    times = frames[Timeframe.M1].time
    for _ in range(number):
        minute = rng.choice(times[200:-60])
        yield from_ms(minute + rng.choice([0, 0, 1, 59_999, rng.randrange(60_000)]))


def check(frames, number, seed):
    rng = random.Random(seed)
    for at in instants(frames, number, seed):
        notes = [Note("chronicle", Trust.UNTRUSTED, at + timedelta(seconds=gap), f"{gap} s") for gap in (-60, 0, 1, 60)]
        whole = decide(frames, at, notes=notes)
        assert whole == decide(known_until(frames, at), at, notes=notes[:2]), f"cut at {at}"
        if rng.random() < 0.25:
            assert whole == decide(falsified_from(frames, at, 10.0), at, notes=notes), f"falsified from {at}"


@pytest.mark.slow
def test_a_decision_knows_nothing_that_came_after_it(frames, home):
    check(frames, number=25, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", range(2, 10))
def test_a_thousand_random_cuts_change_no_decision(frames, home, seed):
    check(frames, number=125, seed=seed)


def test_the_comparison_would_see_a_bar_from_the_future(frames, home):
    at = from_ms(frames[Timeframe.M1].time[-100])
    earlier = decide(frames, at)
    assert earlier != decide(frames, at + timedelta(hours=1))
    assert earlier != decide(falsified_from(frames, at - timedelta(minutes=1), 1.01), at)


def test_a_plugins_indicators_are_recorded_and_shown_complete_bars_only(frames, home):
    at = from_ms(frames[Timeframe.H1].time[-30] + 1)
    settings = Settings(data={"sources": ["market"], "bars": 60})
    record = record_of_decision(settings, at, sources=[Market(frames)], hooks={"ffe_indicators": readings})
    told = record["inputs"]["briefing"]["indicators"]
    assert told["chronicle.bars"] == 60
    assert told["chronicle.until"] * 1000 == frames[Timeframe.H1].time[-31]


def test_daily_returns_end_with_the_last_day_that_was_over(frames, home):
    at = from_ms(frames[Timeframe.H1].time[-30] + 1)
    settings = Settings(data={"sources": ["market"], "bars": 60})
    record = record_of_decision(settings, at, sources=[Market(frames)])
    (returns,) = record["inputs"]["daily_returns"].values()
    assert len(returns) == 59
    assert returns[-1][0] == f"{at - timedelta(days=1):%Y-%m-%d}"
    assert record["inputs"]["supposed"] is True
