"""What came of a decision, and how sure one can be of many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.clock import to_ms
from ffe_core.domain.market import Candles
from ffe_core.domain.trading import Action, Costs
from ffe_core.learning.outcomes import ForwardReturn, Scored, forward_return, scoreboard, wilson

NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FREE = Costs(Decimal(0), Decimal(0))


def hours(
    closes: list[float], *, start: datetime = NOON, symbol: str = "BTCUSD", skip: tuple[int, ...] = ()
) -> Candles:
    """Hourly bars from ``start`` on with these closes, those of ``skip`` left out."""
    kept = [(to_ms(start + n * HOUR), close) for n, close in enumerate(closes) if n not in skip]
    prices = [close for _, close in kept]
    return Candles.of(
        Asset.parse(symbol),
        Timeframe.H1,
        "test",
        time=[stamp for stamp, _ in kept],
        open=prices,
        high=prices,
        low=prices,
        close=prices,
        volume=[1.0] * len(kept),
    )


def score(
    candles: Candles,
    *,
    action: Action = Action.BUY,
    at: datetime = NOON,
    price: float = 100.0,
    horizon: int = 3,
    costs: Costs = FREE,
) -> ForwardReturn | None:
    return forward_return(action, at, price, horizon=horizon, timeframe=Timeframe.H1, candles=candles, costs=costs)


def test_the_return_runs_to_the_close_of_the_bar_at_the_horizon() -> None:
    found = score(hours([101, 102, 110, 999]))

    assert found is not None
    assert found.gross == pytest.approx(0.10)
    assert found.exit_price == 110
    assert found.resolved_at == NOON + 3 * HOUR


def test_a_sale_earns_what_the_price_lost_and_a_hold_claims_nothing() -> None:
    sold = score(hours([101, 102, 90]), action=Action.SELL)
    held = score(hours([101, 102, 90]), action=Action.HOLD)

    assert sold is not None
    assert (sold.gross, sold.long_gross) == (pytest.approx(0.10), pytest.approx(-0.10))
    assert held is not None
    assert (held.gross, held.net) == (None, None)
    assert held.long_gross == pytest.approx(-0.10)


@pytest.mark.parametrize(("action", "exit_price", "net"), [(Action.BUY, 110, 0.0769), (Action.SELL, 90, 0.0791)])
def test_both_ways_of_the_round_trip_are_paid_at_their_own_price(action: Action, exit_price: float, net: float) -> None:
    # 1.1 % of 100 on the way in and of the exit price on the way out: 10 - 1.1 - 1.21, and 10 - 1.1 - 0.99.
    costs = Costs(fee=Decimal("0.01"), slippage=Decimal("0.001"))

    found = score(hours([101, 102, exit_price]), action=action, costs=costs)

    assert found is not None
    assert found.net == pytest.approx(net)


def test_within_a_bar_the_count_begins_with_the_bar_that_was_not_complete() -> None:
    found = score(hours([50, 101, 102, 110]), at=NOON + HOUR + timedelta(minutes=30))

    assert found is not None
    assert found.exit_price == 110


def test_earlier_bars_do_not_matter() -> None:
    early = hours([1, 2, 3, 101, 102, 110], start=NOON - 3 * HOUR)

    assert score(early) == score(hours([101, 102, 110]))


@pytest.mark.parametrize(
    "candles",
    [hours([]), hours([101, 102]), hours([101, 102, 110], start=NOON + HOUR), hours([9, 101, 102, 110], skip=(2,))],
    ids=["none", "too few", "data begin later", "a hole in a market that never closes"],
)
def test_without_all_the_bars_there_is_no_score(candles: Candles) -> None:
    assert score(candles) is None


def test_the_hours_of_a_closed_market_do_not_count() -> None:
    friday = datetime(2025, 3, 7, 20, tzinfo=UTC)
    weekend = tuple(range(2, 50))
    closes = [1.1] * 50 + [1.2]

    found = score(hours(closes, start=friday, symbol="EURUSD", skip=weekend), at=friday, price=1.0)

    assert found is not None
    assert found.gross == pytest.approx(0.2)
    assert found.resolved_at == friday + 51 * HOUR


def test_other_candles_than_the_decisions_are_refused() -> None:
    with pytest.raises(ValueError, match="1h"):
        forward_return(Action.BUY, NOON, 1.0, horizon=1, timeframe=Timeframe.D1, candles=hours([1.0]), costs=FREE)


# Many


def scored(net: float, *, number: int = 0, long: float = 0.02, asset: str = "BTCUSD", hours_long: int = 1) -> Scored:
    at = NOON + number * HOUR
    forward = ForwardReturn(at + hours_long * HOUR, 1.0, net + 0.001, net, long, long - 0.001)
    return Scored.of(asset, at, forward)


def test_fewer_than_thirty_show_no_rate() -> None:
    board = scoreboard(scored(0.01, number=number) for number in range(29))

    assert board.scored == 29
    assert board.hit_rate is board.hit_interval is board.mean_net is board.base_rate is board.share_up is None


def test_thirty_show_the_rate_beside_its_base_rate() -> None:
    rows = [scored(0.03 if n < 18 else -0.01, number=n, long=0.02 if n < 12 else -0.02) for n in range(30)]

    board = scoreboard(rows)

    assert (board.scored, board.independent) == (30, 30)
    assert (board.hit_rate, board.base_rate, board.share_up) == (0.6, 0.4, 0.4)
    assert board.mean_net == pytest.approx((18 * 0.03 - 12 * 0.01) / 30)
    assert board.base_net == pytest.approx((12 * 0.019 - 18 * 0.021) / 30)
    assert board.hit_interval == wilson(0.6, 30)


def test_decisions_that_share_bars_make_the_interval_wider() -> None:
    board = scoreboard(scored(0.01 if n % 2 else -0.01, number=n, hours_long=24) for n in range(48))

    assert board.independent == 2
    assert board.hit_interval == wilson(0.5, 2)


def test_two_assets_at_the_same_hours_are_told_apart() -> None:
    rows = [scored(0.01, number=n, asset=asset) for n in range(20) for asset in ("BTCUSD", "ETHUSD")]

    assert scoreboard(rows).independent == 40


def test_a_hold_has_no_place_on_the_board() -> None:
    forward = ForwardReturn(NOON, 1.0, None, None, 0.1, 0.1)

    with pytest.raises(ValueError, match="no direction"):
        Scored.of("BTCUSD", NOON, forward)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    # Table I of Newcombe 1998, Statistics in Medicine 17:857, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_the_published_one(hits: int, count: int, low: float, high: float) -> None:
    assert wilson(hits / count, count) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="trial"):
        wilson(0.5, 0)
