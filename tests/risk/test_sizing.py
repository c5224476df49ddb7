from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import Asset, Effect, Reservation
from ffe_core.domain.trading import quote_to_account
from ffe_core.risk.sizing import (
    Exits,
    Kelly,
    atr_stop,
    kelly_fraction,
    position_size,
    propose,
    stop_fraction,
)
from tests.risk.builders import AT, BTC, account, held, instrument, pulse, sizing, verdict

D = Decimal


def proposal(**changes):
    values = dict(
        entry=D(50000), pulse=pulse(), portfolio=account(), instrument=instrument(), rules=sizing(), verdict=verdict()
    )
    values.update(changes)
    return propose(BTC, values.pop("verdict"), **values)


@pytest.mark.parametrize(
    ("equity", "risk", "price", "stop", "expected"),
    [
        (10000, "0.01", 50000, "0.02", "0.1"),
        (10000, "0.02", 50000, "0.05", "0.08"),
        (10000, "0.01", 50000, "0.001", "0.4"),
        (10000, "0.15", 50000, "0.02", "0.1"),
        (10000, "0", 50000, "0.02", "0.1"),
        (0, "0.01", 50000, "0.02", "0"),
        (10000, "0.01", 0, "0.02", "0"),
    ],
)
def test_size_loses_the_risk_share_at_the_stop(equity, risk, price, stop, expected):
    assert position_size(D(equity), D(risk), D(price), D(stop)) == D(expected)


@pytest.mark.parametrize(("atr", "expected"), [("100", "0.01"), ("750", "0.03"), ("2000", "0.05")])
def test_atr_stop_is_held_between_its_limits(atr, expected):
    assert atr_stop(D(atr), D(50000), Exits()) == D(expected)


def test_the_stop_reads_the_daily_range_before_the_four_hour_one():
    assert stop_fraction(Exits(), D(50000), pulse(D1={"atr": 750.0}, H4={"atr": 100.0})) == D("0.03")
    assert stop_fraction(Exits(), D(50000), pulse(D1={"atr": None}, H4={"atr": 500.0})) == D("0.02")
    assert stop_fraction(Exits(fallback=D("0.04")), D(50000), pulse(H1={"atr": 500.0})) == D("0.04")
    assert stop_fraction(Exits(stop="fixed"), D(50000), pulse(D1={"atr": 2000.0})) == D("0.02")


def test_kelly_is_capped_damped_and_limited():
    assert kelly_fraction(Kelly()) == D("0.05")
    roomy = Kelly(max_position=D(1))
    assert abs(kelly_fraction(roomy) - D("0.053125")) < D("1e-20")
    assert kelly_fraction(Kelly(win_probability=D("0.4"), payoff=D(1))) == 0


def test_the_stop_stands_on_the_losing_side_of_the_entry():
    long = proposal(rules=sizing(exits_stop="fixed"))
    assert (long.stop_price, long.target_price) == (D("49000.00"), D("52500.00"))
    short = proposal(
        verdict=verdict("SELL"),
        rules=sizing(exits_stop="fixed", allow_short=True),
        instrument=instrument(can_short=True),
    )
    assert short.effect is Effect.OPEN_SHORT
    assert (short.stop_price, short.target_price) == (D("51000.00"), D("47500.00"))


def test_a_target_of_zero_means_none():
    assert proposal(rules=sizing(exits_target=D(0))).target_price is None


def test_concentration_cuts_the_formula_size_and_says_so():
    made = proposal(rules=sizing(exits_stop="fixed"))
    assert made.sizing.formula_quantity == D("0.1")
    assert made.quantity == D("0.05")
    assert [(clamp.rule, clamp.before, clamp.after) for clamp in made.sizing.clamps] == [
        ("concentration", D("0.1"), D("0.05"))
    ]
    assert made.risk_fraction == D("0.005")


def test_limits_are_applied_in_their_order():
    made = proposal(
        portfolio=account("500", held("0.19", "50000")),
        verdict=verdict(),
        instrument=instrument(Asset.parse("ETHUSD")),
        rules=sizing(exits_stop="fixed", max_leverage=D("1.0")),
    )
    assert made.effect is Effect.NONE  # the position is in the asset itself
    other = propose(
        Asset.parse("ETHUSD"),
        verdict(),
        entry=D(2000),
        pulse=pulse(),
        portfolio=account("500", held("0.19", "50000")),
        instrument=instrument(Asset.parse("ETHUSD")),
        rules=sizing(exits_stop="fixed", max_leverage=D("1.0")),
    )
    assert [clamp.rule for clamp in other.sizing.clamps] == ["concentration", "leverage", "buying_power"]
    assert other.quantity * 2000 <= D(500) * D("0.97")


def test_what_is_promised_elsewhere_leaves_less():
    promised = Reservation("other", BTC, D(2000), AT)
    made = proposal(rules=sizing(exits_stop="fixed"), reservations=(promised,))
    assert made.quantity == D("0.01")


def test_the_size_is_rounded_down_to_the_venue_step():
    made = proposal(rules=sizing(exits_stop="fixed"), instrument=instrument(quantity_increment=D("0.03")))
    assert made.quantity == D("0.03")


def test_a_size_under_the_minimum_is_no_size_and_never_rounded_up():
    made = proposal(rules=sizing(exits_stop="fixed"), instrument=instrument(minimum_quantity=D(1)))
    assert made.quantity is None
    assert "smallest order" in made.sizing.unavailable
    assert not made.signal_only


@pytest.mark.parametrize(
    "portfolio", [None, account(None), account("0"), account(positions_known=False), account(stale=True)]
)
def test_no_known_balance_means_signal_only(portfolio):
    made = proposal(portfolio=portfolio)
    assert made.signal_only
    assert made.quantity is made.stop_price is made.stop_fraction is made.risk_fraction is None
    assert made.effect is Effect.OPEN_LONG


def test_someone_fully_invested_can_always_get_out():
    made = proposal(verdict=verdict("SELL"), portfolio=account("0", held("0.2")))
    assert (made.effect, made.quantity, made.signal_only) == (Effect.CLOSE, D("0.2"), False)
    assert made.stop_price is None


def test_a_close_takes_the_whole_position_and_never_the_formula():
    assert proposal(verdict=verdict("SELL"), portfolio=account("10000", held("3.5"))).quantity == D("3.5")


def test_quote_currency_needs_a_rate():
    assert quote_to_account(Asset.parse("EURUSD"), D("1.1"), "USD") == 1
    assert quote_to_account(Asset.parse("USDJPY"), D(150), "USD") == 1 / D(150)
    assert quote_to_account(Asset.parse("EURGBP"), D("0.85"), "USD") is None


def test_without_a_rate_there_is_no_size_and_the_reason_is_kept():
    cross = Asset.parse("EURGBP")
    made = propose(
        cross, verdict(), entry=D("0.85"), pulse=pulse(), portfolio=account(), instrument=instrument(cross),
        rules=sizing(),
    )  # fmt: skip
    assert made.quantity is None
    assert made.sizing.unavailable == "no rate from GBP to USD"


@given(
    cash=st.decimals("1", "1e9", places=2),
    price=st.decimals("0.00001", "1e6", places=5),
    stop=st.decimals("0.001", "0.5", places=4),
    risk=st.decimals("0.0001", "0.1", places=4),
)
def test_no_limit_is_ever_exceeded(cash, price, stop, risk):
    rules = sizing(exits_stop="fixed", exits_fallback=stop, risk=risk)
    made = proposal(entry=price, portfolio=account(cash), rules=rules)
    if made.quantity is not None:
        notional = made.quantity * price
        assert notional <= cash * rules.max_concentration
        assert notional * (1 + rules.fee) <= cash * rules.buying_power
        assert made.quantity <= made.sizing.formula_quantity
