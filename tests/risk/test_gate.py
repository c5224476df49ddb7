from dataclasses import replace
from decimal import Decimal

import pytest

from ffe_core import Freshness, MarketStatus, Mode, RiskContext, Ruling, RulingOutcome, TradingState
from ffe_core.builtin.gate import ffe_risk_rules
from ffe_core.risk.gate import after_trade, judge
from ffe_core.risk.sizing import propose
from tests.risk.builders import AT, BTC, account, held, instrument, market, pulse, sizing, verdict

D = Decimal
RULES = tuple(ffe_risk_rules())


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
        status=shown.status, settings={"entry_agreement": 0.6},
    )  # fmt: skip
    return RiskContext(**{**values, **changes})


STALE = Freshness(False, "critical", 9e9, "2.50 hours", "CRITICAL: data is 2.50 hours old")
CLOSED = MarketStatus(False, "Weekend", None, 60)
PAUSED = MarketStatus(True, "New York", 20, None, entries_allowed=False)
TRIPPED = {
    "known_positions": {"before": account(positions_known=False)},
    "market_hours": {"status": CLOSED},
    "freshness": {"freshness": STALE},
    "agreement": {"settings": {"entry_agreement": 1.1}},
}


def outcomes(judgement):
    return {ruling.rule: ruling.outcome for ruling in judgement.rulings}


def test_a_clean_entry_passes_every_rule_in_their_order():
    judgement = judge(entry(), context(entry()), RULES)
    assert not judgement.vetoed
    assert [ruling.rule for ruling in judgement.rulings] == [
        "data_sanity", "known_positions", "market_hours", "freshness", "agreement", "tradable",
    ]  # fmt: skip
    assert set(outcomes(judgement).values()) == {RulingOutcome.PASSED}


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
    judgement = judge(exit_(), context(exit_(), **everything), RULES)
    assert not judgement.vetoed
    assert judgement.proposal.quantity == D("0.1")


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


def test_nothing_to_do_is_judged_by_nobody():
    hold = entry(verdict=verdict("HOLD"))
    assert judge(hold, context(hold), RULES).rulings == ()
