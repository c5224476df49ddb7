from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from ffe_core import (
    Asset,
    ClosedTrade,
    Freshness,
    MarketStatus,
    Mode,
    Reservation,
    RiskContext,
    Ruling,
    RulingOutcome,
    Side,
    TradingState,
)
from ffe_core.builtin.gate import ffe_risk_rules
from ffe_core.risk.gate import after_trade, judge
from ffe_core.risk.sizing import propose
from ffe_core.settings.sections import RiskRules
from ffe_core.testing.samples import RISK_SETTINGS
from tests.risk.builders import AT, BTC, account, held, instrument, market, pulse, sizing, verdict

D = Decimal
RULES = tuple(ffe_risk_rules())
ETH, LTC = Asset.parse("ETHUSD"), Asset.parse("LTCUSD")
CROWDED = account("8000", held("0.5", "2000", asset=ETH), held("10", "100", asset=LTC))


def days(*values):
    """The returns of as many days, the last one yesterday."""
    first = AT - timedelta(days=len(values))
    return tuple((f"{first + timedelta(days=n):%Y-%m-%d}", value) for n, value in enumerate(values))


def calm_days(count=60):
    return days(*((-0.01, 0.012, 0.003, -0.004)[n % 4] for n in range(count)))


def wild_days(count=60):
    """Every fourth day costs a quarter."""
    return days(*((-0.25, 0.3, 0.01, -0.02)[n % 4] for n in range(count)))


def trades(*facts):
    """Closed so many hours ago, with that result; sold by hand."""
    return tuple(
        ClosedTrade(
            BTC, Side.BUY, AT - timedelta(days=20), AT - timedelta(hours=float(hours)), D(1), D(1), D(1), D(pnl), "exit"
        )
        for hours, pnl in facts
    )


def stops(*hours):
    return tuple(replace(trade, exit_reason="stop") for trade in trades(*((hour, 1) for hour in hours)))


def entry(**changes):
    return propose(
        BTC, changes.pop("verdict", verdict()), entry=D(50000), pulse=pulse(), portfolio=account(),
        instrument=instrument(), rules=sizing(), **changes,
    )  # fmt: skip


def exit_():
    return propose(
        BTC, verdict("SELL"), entry=D(50000), pulse=pulse(), portfolio=account("10", held("0.1")),
        instrument=instrument(), rules=sizing(),
    )  # fmt: skip


def context(proposal, **changes):
    before = changes.pop("before", account())
    shown = changes.pop("market", market())
    values = dict(
        now=AT, mode=Mode.PAPER, state=TradingState.ACTIVE, before=before,
        after=after_trade(before, proposal), instrument=instrument(), market=shown, freshness=shown.freshness,
        status=shown.status, settings=RISK_SETTINGS, daily_returns={"BTCUSD": CALM}, peak_equity=D(10000),
        day_start_equity=D(10000), closed_trades=(),
    )  # fmt: skip
    return RiskContext(**{**values, **changes})


CALM = calm_days()
STALE = Freshness(False, "critical", 9e9, "2.50 hours", "CRITICAL: data is 2.50 hours old")
CLOSED = MarketStatus(False, "Weekend", None, 60)
PAUSED = MarketStatus(True, "New York", 20, None, entries_allowed=False)
ON = {
    **RISK_SETTINGS,
    "rules": {**RISK_SETTINGS["rules"], "stoploss_guard": True, "cooldown": True, "low_profit": True},
}
UNSURE = {**RISK_SETTINGS, "on_volatile": "veto", "volatile_confidence": 0.81}
#: what trips each rule, and no other
TRIPPED = {
    "known_positions": {"before": account(positions_known=False)},
    "trading_state": {"state": TradingState.REDUCING},
    "market_hours": {"status": CLOSED},
    "freshness": {"freshness": STALE},
    "drawdown": {"peak_equity": D(10527)},
    "daily_loss": {"day_start_equity": D(10310)},
    "correlation": {"before": CROWDED, "daily_returns": dict.fromkeys(("BTCUSD", "ETHUSD", "LTCUSD"), CALM)},
    "var": {"daily_returns": {"BTCUSD": wild_days()}},
    "leverage": {"reservations": (Reservation("other", LTC, D(50000), AT),)},
    "concentration": {"reservations": (Reservation("other", BTC, D(2500), AT),)},
    "volatility": {"market": market(volatility=0.06), "settings": UNSURE},
    "stoploss_guard": {"closed_trades": stops(20, 19, 18, 3), "settings": {**ON, "cooldown": {"bars": 1}}},
    "cooldown": {"closed_trades": stops(0.5), "settings": ON},
    "low_profit": {"closed_trades": trades(("90", -1), ("60", 1), ("30", -4), ("20", 3)), "settings": ON},
    "agreement": {"settings": {**RISK_SETTINGS, "entry_agreement": 1.1}},
}


def outcomes(judgement):
    return {ruling.rule: ruling.outcome for ruling in judgement.rulings}


def test_a_clean_entry_passes_every_rule_in_their_order():
    judgement = judge(entry(), context(entry()), RULES)
    assert not judgement.vetoed
    assert [ruling.rule for ruling in judgement.rulings] == [
        "data_sanity", "known_positions", "trading_state", "market_hours", "freshness", "drawdown", "daily_loss",
        "correlation", "var", "leverage", "concentration", "volatility", "stoploss_guard", "cooldown", "low_profit",
        "agreement", "tradable",
    ]  # fmt: skip
    told = outcomes(judgement)
    off = {name for name, outcome in told.items() if outcome is RulingOutcome.NOT_APPLICABLE}
    assert off == {"correlation", "stoploss_guard", "cooldown", "low_profit"}
    assert set(told.values()) == {RulingOutcome.PASSED, RulingOutcome.NOT_APPLICABLE}


@pytest.mark.parametrize("rule", TRIPPED)
def test_each_rule_trips_alone(rule):
    judgement = judge(entry(), context(entry(), **TRIPPED[rule]), RULES)
    assert judgement.vetoed
    assert [name for name, outcome in outcomes(judgement).items() if outcome is RulingOutcome.VETOED] == [rule]


def test_a_venue_that_does_not_trade_overrides_the_calendar():
    judgement = judge(entry(), context(entry(), instrument=instrument(tradeable=False)), RULES)
    assert "venue" in judgement.veto_reasons[0]


def test_entries_pause_around_the_weekly_close():
    assert judge(entry(), context(entry(), status=PAUSED), RULES).vetoed


def test_a_size_that_no_venue_takes_is_vetoed():
    tiny = replace(entry(), quantity=None)
    assert outcomes(judge(tiny, context(tiny), RULES))["tradable"] is RulingOutcome.VETOED


def test_exit_is_approved_while_every_limit_is_breached():
    everything = {key: value for facts in TRIPPED.values() for key, value in facts.items()}
    judgement = judge(exit_(), context(exit_(), **everything, mode=Mode.LIVE), RULES)
    assert not judgement.vetoed
    assert judgement.proposal.quantity == D("0.1")


@pytest.mark.parametrize("rule", TRIPPED)
def test_each_rule_can_be_switched_off_where_settings_have_a_switch(rule):
    facts = TRIPPED[rule]
    held = facts.get("settings", RISK_SETTINGS)
    off = {**facts, "settings": {**held, "rules": {**held["rules"], rule: False}}}
    judgement = judge(entry(), context(entry(), **off), RULES)
    told = next(ruling for ruling in judgement.rulings if ruling.rule == rule)
    assert told.outcome is RulingOutcome.NOT_APPLICABLE
    assert told.reason == f"switched off (risk.rules.{rule})"
    assert set(RISK_SETTINGS["rules"]) == set(RiskRules.model_fields)


def test_only_a_price_that_is_no_price_stops_an_exit():
    judgement = judge(exit_(), context(exit_(), market=market(price=1.0)), RULES)
    assert judgement.veto_reasons[0].startswith("data_sanity")


class Rule:
    name = "extra"

    def __init__(self, answer):
        self.answer = answer

    def check(self, proposal, context):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_clamp_shrinks_the_size_its_risk_and_the_portfolio_that_later_rules_see():
    seen = []

    class Watcher:
        name = "watcher"

        def check(self, proposal, context):
            seen.append((proposal.quantity, context.after.position(BTC).quantity))
            return Ruling("watcher", RulingOutcome.PASSED)

    proposal = entry()
    half = proposal.quantity / 2
    clamp = Rule(Ruling("extra", RulingOutcome.CLAMPED, "half", before=proposal.quantity, after=half))
    judgement = judge(proposal, context(proposal), (clamp, Watcher()))
    assert judgement.proposal.quantity == half
    assert judgement.proposal.risk_fraction == proposal.risk_fraction / 2
    assert seen == [(half, half)]


@pytest.mark.parametrize("answer", [ValueError("no history"), None, "fine"])
def test_a_rule_that_fails_is_noted_on_paper_and_bars_a_live_entry(answer):
    paper = judge(entry(), context(entry()), (Rule(answer),))
    assert outcomes(paper) == {"extra": RulingOutcome.UNAVAILABLE}
    assert not paper.vetoed
    live = judge(entry(), context(entry(), mode=Mode.LIVE), (Rule(answer),))
    assert live.vetoed


def test_a_rule_cannot_enlarge_a_size():
    proposal = entry()
    bigger = Ruling("extra", RulingOutcome.CLAMPED, before=proposal.quantity * 3, after=proposal.quantity * 2)
    judgement = judge(proposal, context(proposal), (Rule(bigger),))
    assert judgement.proposal.quantity == proposal.quantity
    assert outcomes(judgement) == {"extra": RulingOutcome.UNAVAILABLE}


def test_a_rule_cannot_speak_in_the_name_of_another():
    judgement = judge(entry(), context(entry()), (Rule(Ruling("market_hours", RulingOutcome.PASSED)),))
    assert judgement.rulings[0].rule == "extra"


def test_the_portfolio_after_the_trade_keeps_its_equity():
    proposal = entry()
    after = after_trade(account(), proposal)
    assert after.equity == account().equity
    assert after.position(BTC).quantity == proposal.quantity


def test_a_position_in_another_currency_counts_in_the_accounts():
    pounds = replace(held("10000", "0.85", asset=Asset.parse("EURGBP")), rate=D("1.25"))
    before = account("89375", pounds)
    # Ten thousand euros at 0.85 are 8500 pounds, at 1.25 dollars each 10 625 dollars.
    assert (pounds.market_value, pounds.value_in("USD"), before.equity) == (8_500, 10_625, 100_000)
    assert after_trade(before, entry()).equity == before.equity
    assert account("89375", replace(pounds, rate=None)).equity is None


def test_yen_are_worth_what_their_own_pair_says():
    yen = held("10000", "150", asset=Asset.parse("USDJPY"))
    assert abs(account("90000", yen).equity - 100_000) < D("1E-20")


def test_nothing_to_do_is_judged_by_nobody():
    hold = entry(verdict=verdict("HOLD"))
    assert judge(hold, context(hold), RULES).rulings == ()
