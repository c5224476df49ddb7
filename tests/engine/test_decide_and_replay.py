import copy
import json
from dataclasses import replace
from decimal import Decimal

import pytest

from ffe_core import (
    Action,
    Briefing,
    Effect,
    Freshness,
    Mode,
    Opinion,
    PluginError,
    Regime,
    Timeframe,
    VerificationFailed,
)
from ffe_core.builtin.gate import ffe_risk_rules
from ffe_core.builtin.voting import ffe_aggregation_strategies
from ffe_core.domain.codec import canonical_json, decision_data
from ffe_core.engine.decide import DecisionInputs, decide, decision_of
from ffe_core.engine.record import Part, record_of, restore_decision
from ffe_core.engine.replay import replay_record
from ffe_core.ensemble.tiers import EnsembleRules
from tests.risk.builders import AT, BTC, account, held, instrument, market, pulse, sizing

STRATEGIES = {strategy.name: strategy for strategy in ffe_aggregation_strategies()}
RULES = {rule.name: rule for rule in ffe_risk_rules()}
PLUGINS = {"rules": "0.1.0", "voting": "0.1.0", "gate": "0.1.0"}


def said(provider, action="BUY", confidence=80):
    return Opinion(provider, "m", Action(action), confidence, "because", Decimal("0.1"), local=True)


def inputs(*opinions, portfolio=None, shown=None, **changes):
    portfolio = portfolio if portfolio is not None else account()
    position = portfolio.position(BTC) if portfolio.positions_known else None
    briefing = Briefing(
        asset=BTC, as_of=AT, mode=Mode.PAPER, timeframe=Timeframe.H1, horizon=24, market=shown or market(),
        pulse=pulse(D1={"atr": 750.0}), regime=Regime.TRENDING_BULL,
        position=position.quantity if position else Decimal(0),
    )  # fmt: skip
    values = {
        "briefing": briefing, "opinions": opinions or (said("a"), said("b"), said("c")), "fallback_opinions": (),
        "ensemble": EnsembleRules("weighted", {}, 3), "sizing": sizing(), "entry_price": Decimal(50000),
        "instrument": instrument(), "portfolio": portfolio, "risk_settings": {"entry_agreement": 0.6},
    }  # fmt: skip
    return DecisionInputs(**{**values, **changes})


def decided(given):
    made = decide(given, STRATEGIES, RULES.values())
    return decision_of("00000000-0000-4000-8000-000000000001", AT, given, made)


def recorded(given):
    record = record_of(
        decided(given), given, settings={}, plugins=PLUGINS, candles={},
        parts={"strategies": [Part(name, "voting") for name in STRATEGIES],
               "rules": [Part(name, "gate") for name in RULES]},
    )  # fmt: skip
    return json.loads(canonical_json(record))


def replayed(record, plugins=PLUGINS, rules=RULES):
    return replay_record(record, strategies=STRATEGIES, rules=rules, plugins=plugins)


def test_an_agreed_buy_is_sized_explained_and_protected():
    decision = decided(inputs())
    assert (decision.action, decision.effect, decision.position_type) == (Action.BUY, Effect.OPEN_LONG, "LONG")
    assert decision.position_size == Decimal("0.05")
    assert decision.amount == Decimal("2500.00")
    assert decision.stop_loss_price == Decimal("48500.00")
    assert decision.stop_loss_fraction == Decimal("0.03")
    assert decision.risk_fraction == Decimal("0.0075")
    assert not decision.vetoed


def test_a_vetoed_entry_reads_hold_and_still_says_what_the_panel_wanted():
    stale = Freshness(False, "critical", 9e9, "2.50 hours", "CRITICAL: data is 2.50 hours old")
    decision = decided(inputs(shown=market(freshness=stale)))
    assert (decision.action, decision.effect, decision.position_size) == (Action.HOLD, Effect.NONE, None)
    assert decision.vetoed
    assert decision.reasoning.startswith("[vetoed: freshness: CRITICAL: data is 2.50 hours old; the panel said BUY")
    assert decision.ensemble_metadata["verdict_action"] == "BUY"


def test_a_view_on_stale_data_that_has_no_effect_reads_hold_too():
    stale = Freshness(False, "critical", 9e9, "281 days", "CRITICAL: data end 2026-02-13; use --at")
    decision = decided(inputs(*(said(name, "SELL") for name in "abc"), shown=market(freshness=stale)))
    assert (decision.action, decision.effect_reason) == (Action.HOLD, "shorts_not_allowed")
    assert decision.reasoning.startswith("[CRITICAL: data end 2026-02-13; use --at]")


def test_an_exit_on_stale_data_goes_through():
    stale = Freshness(False, "critical", 9e9, "2.50 hours", "CRITICAL: data is 2.50 hours old")
    selling = tuple(said(name, "SELL") for name in "abc")
    decision = decided(inputs(*selling, portfolio=account("0", held("0.3")), shown=market(freshness=stale)))
    assert (decision.action, decision.effect, decision.position_size) == (Action.SELL, Effect.CLOSE, Decimal("0.3"))
    assert not decision.signal_only


def test_a_split_panel_opens_nothing():
    decision = decided(inputs(said("a", "BUY", 90), said("b", "HOLD", 40), said("c", "HOLD", 40)))
    assert decision.ensemble_metadata["verdict_action"] == "BUY"
    assert decision.vetoed
    assert "agreement" in decision.reasoning


def test_unknown_positions_bar_an_entry():
    decision = decided(inputs(portfolio=account(None, positions_known=False)))
    assert decision.vetoed
    assert decision.signal_only


def test_rules_that_stand_in_for_a_failed_panel_open_nothing_and_may_close():
    down = tuple(Opinion.failure(name, "m", "down") for name in "xyz")
    stand_ins = tuple(said(name) for name in "abc")
    opened = decided(inputs(*down, fallback_opinions=stand_ins))
    assert (opened.effect, opened.effect_reason) == (Effect.NONE, "fallback_opens_nothing")
    assert opened.ensemble_metadata["fallback_tier"] == "rule_fallback"
    assert set(opened.ensemble_metadata["providers_failed"]) == set("xyz")
    closing = tuple(said(name, "SELL") for name in "abc")
    closed = decided(inputs(*down, fallback_opinions=closing, portfolio=account("0", held("0.3"))))
    assert closed.effect is Effect.CLOSE


def test_a_panel_that_failed_as_a_whole_holds_without_confidence():
    decision = decided(inputs(*(Opinion.failure(name, "m", "down") for name in "xyz")))
    assert (decision.action, decision.confidence) == (Action.HOLD, 0)
    assert decision.ensemble_metadata["fallback_tier"] == "no_provider"


def test_replay_of_a_record_gives_the_same_bytes():
    assert replayed(recorded(inputs())).same
    assert replayed(recorded(inputs(said("a", "SELL"), said("b", "SELL"), Opinion.failure("c", "m", "down")))).same


def test_a_record_from_before_a_field_was_added_replays_to_the_same():
    record = recorded(inputs(said("a"), said("b")))
    for opinion in (*record["decision"]["opinions"], *record["inputs"]["opinions"]):
        del opinion["hint"]
    assert replayed(record).same


def test_replay_names_the_fields_that_differ():
    record = recorded(inputs())
    record["decision"]["position_size"] = "0.06"
    record["decision"]["ensemble_metadata"]["adjusted_weights"]["a"] = 0.5
    done = replayed(record)
    assert not done.same
    assert [found.path for found in done.differences] == [
        "ensemble_metadata.adjusted_weights.a", "position_size",
    ]  # fmt: skip


def test_recorded_settings_win_over_present_ones():
    given = replace(inputs(), sizing=sizing(max_concentration=Decimal("0.10")))
    assert replayed(recorded(given)).same


@pytest.mark.parametrize("present", [{"gate": "0.1.0"}, {"gate": "0.2.0", "voting": "0.1.0"}])
def test_replay_wants_the_plugins_that_took_part_in_their_versions(present):
    with pytest.raises(PluginError, match=r"0\.1\.0"):
        replayed(recorded(inputs()), plugins=present)


def test_replay_does_not_mind_plugins_that_took_no_part():
    assert replayed(recorded(inputs()), plugins={"voting": "0.1.0", "gate": "0.1.0", "newcomer": "3"}).same


def test_replay_wants_the_rules_that_took_part():
    with pytest.raises(PluginError, match="market_hours"):
        replayed(recorded(inputs()), rules={name: rule for name, rule in RULES.items() if name != "market_hours"})


def test_a_record_of_another_schema_cannot_be_replayed():
    record = recorded(inputs())
    record["schema"] = 99
    with pytest.raises(VerificationFailed, match="schema"):
        replayed(record)


def test_a_decision_read_back_from_its_record_prints_the_same():
    given = inputs()
    record = recorded(given)
    assert decision_data(restore_decision(record)) == decision_data(decided(given))


def test_inputs_are_not_touched_by_deciding():
    given = inputs()
    before = copy.deepcopy(canonical_json(given))
    decided(given)
    assert canonical_json(given) == before
