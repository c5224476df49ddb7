"""Each rule at its edge: the figure that passes and the next one that does not."""

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from ffe_core import Asset, Mode, Reservation, RulingOutcome
from ffe_core.engine.sizes import risk_settings
from ffe_core.risk.gate import judge
from ffe_core.settings import Settings
from ffe_core.testing.samples import RISK_SETTINGS
from tests.risk.builders import AT, BTC, account, held, instrument, market
from tests.risk.test_gate import CALM, CROWDED, ETH, LTC, ON, RULES, context, days, entry, exit_, stops, trades

D = Decimal
BY_NAME = {rule.name: rule for rule in RULES}


def ruling(name, proposal=None, **changes):
    proposal = proposal or entry()
    return BY_NAME[name].check(proposal, context(proposal, **changes))


def outcome(name, proposal=None, **changes):
    return ruling(name, proposal, **changes).outcome


PASSED, VETOED = RulingOutcome.PASSED, RulingOutcome.VETOED
UNAVAILABLE, NOT_APPLICABLE = RulingOutcome.UNAVAILABLE, RulingOutcome.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("rule", "field", "at_the_limit", "beyond"),
    [
        ("drawdown", "peak_equity", D(10000) / D("0.95"), D("10526.32")),
        ("daily_loss", "day_start_equity", D(10000) / D("0.97"), D("10309.28")),
    ],
)
def test_a_fall_up_to_its_limit_passes(rule, field, at_the_limit, beyond):
    assert outcome(rule, **{field: at_the_limit * (1 - D("1e-20"))}) is PASSED
    assert outcome(rule, **{field: beyond}) is VETOED
    assert outcome(rule, **{field: None}) is UNAVAILABLE
    assert outcome(rule, **{field: beyond}, supposed=True) is NOT_APPLICABLE


def test_a_drawdown_bars_entries_until_its_day_is_over():
    assert outcome("drawdown", drawdown_until=AT + timedelta(seconds=1)) is VETOED
    assert outcome("drawdown", drawdown_until=AT) is PASSED


def test_an_account_that_cannot_be_valued_now_has_no_known_fall():
    proposal = entry()
    assert outcome("drawdown", proposal, before=account(stale=True)) is UNAVAILABLE


def correlated(rho_of_two, count=30):
    """Two series of ``count`` days with about that correlation, and a third that is the first again."""
    rng = random.Random(5)
    one = [rng.gauss(0, 0.01) for _ in range(count)]
    other = [rho_of_two * x + (1 - rho_of_two**2) ** 0.5 * rng.gauss(0, 0.01) for x in one]
    return {"BTCUSD": days(*one), "ETHUSD": days(*other), "LTCUSD": days(*one)}


def test_three_assets_that_move_as_one_are_too_many_and_two_are_not():
    series = dict.fromkeys(("BTCUSD", "ETHUSD", "LTCUSD"), CALM)
    assert outcome("correlation", before=CROWDED, daily_returns=series) is VETOED
    two = account("9000", held("0.5", "2000", asset=ETH))
    assert outcome("correlation", before=two, daily_returns=series) is PASSED
    assert outcome("correlation", before=account(), daily_returns=series) is NOT_APPLICABLE


def test_mirrored_assets_move_as_one_too():
    mirror = tuple((day, -value) for day, value in CALM)
    series = {"BTCUSD": CALM, "ETHUSD": mirror, "LTCUSD": CALM}
    assert outcome("correlation", before=CROWDED, daily_returns=series) is VETOED


def test_a_weak_tie_leaves_a_third_asset_alone():
    found = ruling("correlation", before=CROWDED, daily_returns=correlated(0.2))
    assert found.outcome is PASSED
    assert found.inputs["correlations"]["BTCUSD LTCUSD"] == 1.0


@pytest.mark.parametrize(("count", "expected"), [(9, UNAVAILABLE), (10, VETOED)])
def test_fewer_than_ten_common_days_tell_nothing(count, expected):
    assert outcome("correlation", before=CROWDED, daily_returns=correlated(1.0, count)) is expected


def test_only_thirty_days_count_for_correlation():
    long_ago = tuple((f"2023-04-{day:02d}", value) for day, (_, value) in zip(range(1, 29), CALM, strict=False))
    series = dict.fromkeys(("BTCUSD", "ETHUSD", "LTCUSD"), long_ago)
    assert outcome("correlation", before=CROWDED, daily_returns=series) is UNAVAILABLE


def on(venue, position):
    return replace(position, venue=venue)


def test_assets_on_different_venues_are_counted_apart_and_remarked_on():
    apart = account("8000", on("oanda", held("0.5", "2000", asset=ETH)), on("oanda", held("10", "100", asset=LTC)))
    series = dict.fromkeys(("BTCUSD", "ETHUSD", "LTCUSD"), CALM)
    found = ruling("correlation", before=apart, daily_returns=series)
    assert found.outcome is PASSED
    assert "BTCUSD and ETHUSD move together (+1.00) on different venues" in found.reason


def test_var_counts_what_is_held_and_what_is_proposed_with_its_sign():
    # 2,500 of BTC beside 2,500 of ETH that mirrors it: nothing is lost on any day.
    mirror = tuple((day, -value) for day, value in CALM)
    both = account("7500", held("1", "2500", asset=ETH))
    found = ruling("var", before=both, daily_returns={"BTCUSD": CALM, "ETHUSD": mirror})
    assert found.outcome is PASSED
    assert found.inputs["var"] == 0.0
    short = account("12500", held("-1", "2500", asset=ETH))
    twice = ruling("var", before=short, daily_returns={"BTCUSD": CALM, "ETHUSD": mirror})
    assert twice.inputs["var"] == pytest.approx(0.5 * 0.01)


def test_var_by_hand():
    # 0.05 BTC at 50,000 is a quarter of 10,000. 40 days: k = 2, the third worst return is -0.18.
    worst = (-0.30, -0.19, -0.18, -0.17)
    found = ruling("var", daily_returns={"BTCUSD": days(*worst, *[0.01] * 36)})
    assert found.inputs["var"] == pytest.approx(0.045)
    assert found.inputs["cvar"] == pytest.approx(0.25 * (0.30 + 0.19 + 0.18) / 3)
    assert found.outcome is PASSED
    assert outcome("var", daily_returns={"BTCUSD": days(-0.30, -0.25, -0.21, *[0.01] * 37)}) is VETOED


@pytest.mark.parametrize(("count", "expected"), [(29, UNAVAILABLE), (30, PASSED)])
def test_var_needs_thirty_common_days(count, expected):
    assert outcome("var", daily_returns={"BTCUSD": CALM[-count:]}) is expected


def test_var_lacks_a_series_by_name():
    found = ruling("var", before=CROWDED, daily_returns={"BTCUSD": CALM, "ETHUSD": CALM})
    assert (found.outcome, found.reason) == (UNAVAILABLE, "no daily returns of LTCUSD")


def test_what_is_unavailable_passes_on_paper_and_bars_live_entries_or_all_by_setting():
    lacking = {"daily_returns": None}
    assert not judge(entry(), context(entry(), **lacking), RULES).vetoed
    assert judge(entry(), context(entry(), **lacking, mode=Mode.LIVE), RULES).vetoed
    strict = {**RISK_SETTINGS, "fail_closed": "always"}
    assert judge(entry(), context(entry(), **lacking, settings=strict), RULES).vetoed
    assert not judge(exit_(), context(exit_(), **lacking, settings=strict, mode=Mode.LIVE), RULES).vetoed


def reserved(notional, asset=BTC):
    return (Reservation("other", asset, D(notional), AT),)


def test_concentration_leaves_room_for_less():
    # The proposal is 2,500 of 10,000; 500 of the same asset are promised to somebody else.
    found = ruling("concentration", reservations=reserved(500))
    assert found.outcome is RulingOutcome.CLAMPED
    assert (found.before, found.after) == (D("0.05"), D("0.04"))
    assert found.inputs["limit"] == D("0.25")
    assert outcome("concentration", reservations=reserved(500, ETH)) is PASSED
    assert outcome("concentration", reservations=reserved(2500)) is VETOED


def test_leverage_adds_up_longs_shorts_and_promises():
    # 2,500 proposed, 30,000 short, 17,499 promised: a hair under five times 10,000.
    short = account("40000", held("-3", "10000", asset=ETH))
    assert outcome("leverage", before=short, reservations=reserved(17499, LTC)) is PASSED
    found = ruling("leverage", before=short, reservations=reserved(18500, LTC))
    assert (found.outcome, found.after) == (RulingOutcome.CLAMPED, D("0.03"))


def test_a_position_that_cannot_be_valued_makes_the_limits_unavailable():
    cross = account("9000", held("10", "0.85", asset=Asset.parse("EURGBP")))
    for rule in ("leverage", "concentration", "var", "correlation"):
        assert outcome(rule, before=cross) is UNAVAILABLE


def test_without_a_size_the_portfolio_rules_have_nothing_to_judge():
    nothing = replace(entry(), quantity=None)
    for rule in ("leverage", "concentration", "var", "correlation"):
        assert outcome(rule, nothing) is NOT_APPLICABLE


@pytest.mark.parametrize(
    ("volatility", "confidence", "expected"),
    [
        (0.05, 10, PASSED),
        (0.0500001, 79, RulingOutcome.CLAMPED),
        (0.0500001, 80, PASSED),
        (0.5, 80, PASSED),
        (None, 100, UNAVAILABLE),
        # percent would read 2.5 as far above the limit; a fraction of 0.025 is a calm day
        (0.025, 0, PASSED),
    ],
)
def test_a_wild_market_wants_a_sure_view(volatility, confidence, expected):
    proposal = replace(entry(), confidence=confidence)
    found = ruling("volatility", proposal, market=market(volatility=volatility))
    assert found.outcome is expected
    if expected is RulingOutcome.CLAMPED:
        assert found.after == proposal.quantity / 2


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ((26, 25, 24.5, 3), VETOED),  # the first of the four is 23 hours before the last
        ((26, 20, 10, 3.5), VETOED),
        ((27.5, 20, 10, 3.5), PASSED),  # exactly a day apart is not within a day
        ((10, 9, 8, 4), PASSED),  # the lock is over after four hours
        ((10, 9, 3), PASSED),
        ((10, 9, 8, 7, 3.9), VETOED),
    ],
)
def test_four_stops_in_a_day_lock_an_asset_for_four_hours(hours, expected):
    assert outcome("stoploss_guard", closed_trades=stops(*hours), settings=ON) is expected


def test_stops_of_another_asset_and_other_exits_lock_nothing():
    others = tuple(replace(trade, asset=ETH) for trade in stops(4.5, 4, 3.5, 3))
    by_hand = trades(*((hour, -1) for hour in ("4", "3.5", "3", "2")))
    assert outcome("stoploss_guard", closed_trades=others, settings=ON) is PASSED
    assert outcome("stoploss_guard", closed_trades=by_hand, settings=ON) is PASSED


@pytest.mark.parametrize(("hours", "bars", "expected"), [(0.99, 1, VETOED), (1, 1, PASSED), (2.9, 3, VETOED)])
def test_the_cooldown_lasts_as_many_decision_bars(hours, bars, expected):
    settings = {**ON, "cooldown": {"bars": bars}}
    assert outcome("cooldown", closed_trades=trades((hours, 5)), settings=settings) is expected
    assert outcome("cooldown", closed_trades=(), settings=settings) is PASSED


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ((("100", 1), ("80", 1), ("50", -4), ("23", 1)), VETOED),
        ((("100", 1), ("80", 1), ("50", -3), ("23", 1)), PASSED),
        ((("100", 1), ("80", 1), ("50", -4), ("24", 1)), PASSED),
        ((("80", -1), ("50", -4), ("23", 1)), PASSED),
        ((("191", -9), ("80", 1), ("50", 1), ("23", 1)), PASSED),
    ],
)
def test_a_week_that_lost_money_locks_an_asset_for_a_day(facts, expected):
    assert outcome("low_profit", closed_trades=trades(*facts), settings=ON) is expected


@pytest.mark.parametrize("rule", ["stoploss_guard", "cooldown", "low_profit"])
def test_rules_on_trades_say_when_the_trades_are_unknown(rule):
    assert outcome(rule, closed_trades=None, settings=ON) is UNAVAILABLE
    assert outcome(rule, closed_trades=None, settings=ON, supposed=True) is NOT_APPLICABLE


def test_a_state_that_cannot_be_read_bars_entries_on_paper_too():
    judgement = judge(entry(), context(entry(), state=None), RULES)
    assert judgement.veto_reasons == ("trading_state: the trading state cannot be read",)


def test_a_clamp_is_seen_by_the_rules_that_follow():
    shown = market(volatility=0.06)
    unsure = replace(entry(), confidence=60)
    judgement = judge(unsure, context(unsure, market=shown, reservations=reserved(500)), RULES)
    clamps = [(found.rule, found.before, found.after) for found in judgement.rulings if found.after is not None]
    assert clamps == [("concentration", D("0.05"), D("0.04")), ("volatility", D("0.04"), D("0.02"))]
    assert judgement.proposal.quantity == D("0.02")


def test_a_clamp_below_the_smallest_order_is_a_veto_by_the_last_rule():
    unsure = replace(entry(), confidence=60)
    coarse = instrument(quantity_increment=D("0.05"), minimum_quantity=D("0.05"))
    judgement = judge(unsure, context(unsure, market=market(volatility=0.06), instrument=coarse), RULES)
    assert judgement.vetoed
    assert judgement.veto_reasons[0].startswith("tradable")


def test_rules_read_the_settings_and_their_defaults_are_those_of_the_document():
    assert risk_settings(Settings()) == RISK_SETTINGS
    changed = risk_settings(Settings(risk={"max_var": 0.1, "rules": {"var": False}, "cooldown": {"bars": 3}}))
    assert (changed["max_var"], changed["rules"]["var"], changed["cooldown"]) == (0.1, False, {"bars": 3})


def test_a_time_zone_that_does_not_exist_is_refused():
    with pytest.raises(ValidationError, match="no such time zone"):
        Settings(risk={"timezone": "Europe/Nowhere"})
