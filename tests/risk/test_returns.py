"""Daily returns: whose day they are, how far back they reach, and that the future is not in them."""

from datetime import UTC, datetime, timedelta

import pytest

from ffe_core import Asset, Candles, Timeframe
from ffe_core.domain.assets import DayBoundary
from ffe_core.domain.clock import to_ms
from ffe_core.engine.standing import returns_of
from ffe_core.market.feed import FeedResult
from ffe_core.risk.returns import daily_returns
from ffe_core.testing import FakeSource

D1 = Timeframe.D1


def daily(asset, first, closes):
    asset = Asset.parse(asset)
    opens, time = [], D1.open_of(to_ms(first), asset.kind)
    for _ in closes:
        opens.append(time)
        time = D1.close_of(time, asset.kind)
    flat = dict.fromkeys(("open", "high", "low", "close"), closes)
    return Candles.of(
        asset, D1, "test", time=opens, **flat, volume=[1.0] * len(closes), day_boundary=DayBoundary.of(asset.kind)
    )


def test_a_return_belongs_to_the_day_in_which_its_bar_ended():
    bars = daily("BTCUSD", datetime(2024, 3, 1, tzinfo=UTC), [100.0, 110.0, 99.0])
    made = daily_returns(bars, datetime(2024, 3, 4, tzinfo=UTC))
    assert [day for day, _ in made] == ["2024-03-02", "2024-03-03"]
    assert [value for _, value in made] == pytest.approx([0.1, -0.1])


def test_a_day_that_ends_in_new_york_meets_the_utc_day_it_ends_in():
    # Thursday and Friday from five to five in New York.
    bars = daily("EURUSD", datetime(2024, 3, 6, 23, tzinfo=UTC), [1.0, 1.1])
    assert [day for day, _ in daily_returns(bars, datetime(2024, 3, 9, tzinfo=UTC))] == ["2024-03-08"]


def test_a_bar_that_is_not_complete_yet_has_no_return():
    bars = daily("BTCUSD", datetime(2024, 3, 1, tzinfo=UTC), [100.0, 110.0, 99.0])
    end = datetime(2024, 3, 4, tzinfo=UTC)
    assert len(daily_returns(bars, end - timedelta(seconds=1))) == 1
    assert daily_returns(bars, end - timedelta(days=9)) == ()


def test_sixty_days_count():
    first = datetime(2024, 1, 1, tzinfo=UTC)
    bars = daily("BTCUSD", first, [100.0 + n for n in range(100)])
    made = daily_returns(bars, first + timedelta(days=100))
    assert len(made) == 60
    assert made[0][0] == "2024-02-10"


class Days(FakeSource):
    """Daily bars of two assets; later ones than asked for come too, as from a source that does not cut."""

    def __init__(self, closes):
        super().__init__()
        self.closes = closes

    def candles(self, asset, timeframe, *, start, end, limit):
        return daily(asset.symbol, datetime(2024, 1, 1, tzinfo=UTC), self.closes[asset.symbol])


def test_what_came_after_the_instant_of_a_decision_changes_no_return_of_what_is_held():
    at = datetime(2024, 3, 1, 6, tzinfo=UTC)
    own = daily("BTCUSD", datetime(2024, 1, 1, tzinfo=UTC), [100.0 + n % 7 for n in range(60)])
    found = FeedResult(Asset.parse("BTCUSD"), at, {D1: own}, {}, 0, 1)
    known = [50.0 + n % 5 for n in range(60)]

    def returns(closes):
        class Feed:
            def candles(self, asset, timeframe, *, end=None, bars):
                return Days({"ETHUSD": closes}).candles(asset, timeframe, start=None, end=end, limit=bars)

        return returns_of(found, Feed(), [Asset.parse("BTCUSD"), Asset.parse("ETHUSD")])

    assert set(returns(known)) == {"BTCUSD", "ETHUSD"}
    assert returns(known) == returns([*known, 9999.0, 1.0])
    assert returns(known) != returns([*known[:-1], 9999.0])
