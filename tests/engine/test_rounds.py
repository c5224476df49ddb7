"""Debate and two_phase through the whole engine: asked, recorded, replayed, counted."""

import copy
import threading
from dataclasses import replace
from decimal import Decimal

import pytest

from ffe_core import Action, FixedClock, UnknownName
from ffe_core.ai.cassette import Tape
from ffe_core.ai.prompt import render_prompt
from ffe_core.ai.reply import read_reply
from ffe_core.domain.codec import canonical_json
from ffe_core.engine import Engine
from ffe_core.engine.replay import replay_record
from ffe_core.plugins import load_plugins
from ffe_core.plugins.registry import Offer
from ffe_core.settings import Settings
from ffe_core.testing import FakeProvider
from tests.engine.deciding import Memory, stripped
from tests.risk.builders import AT

BUY, SELL, HOLD = Action.BUY, Action.SELL, Action.HOLD


@pytest.fixture
def make(home):
    def made(strategy, *providers, panel=None, **plugins):
        settings = Settings(
            ai={"providers": panel or [provider.name for provider in providers], "timeout": 5},
            ensemble={"strategy": strategy, "premium_calls_per_day": 2},
            plugins=plugins,
        )
        registry = load_plugins(settings, clock=FixedClock(AT))
        for provider in providers:
            registry.offer("provider", provider.name, Offer("test", provider))
        return Engine(settings, registry, clock=FixedClock(AT), store=Memory())

    return made


def last(engine):
    return engine.registry.store.open().records[-1]


def replayed(engine, record):
    registry = engine.registry
    return replay_record(
        record,
        strategies=registry.strategies_by_name(),
        rules=registry.rules_by_name(),
        plugins=registry.versions(),
    )


def fake(name, *script, **facts):
    return FakeProvider(*script, name=name, **{"local": True, **facts})


def debaters():
    return fake("ann", (BUY, 90)), fake("bob", (SELL, 60)), fake("cyd", (BUY, 65))


def test_a_debate_is_asked_recorded_and_replayed(make):
    providers = debaters()
    engine = make("debate", *providers)
    decision = engine.analyze("BTCUSD", at=AT)
    assert decision.ensemble_metadata["fallback_tier"] == "debate_voting"
    assert decision.ensemble_metadata["verdict_action"] == "BUY"
    assert [opinion.provider for opinion in decision.opinions] == ["ann", "bob", "cyd"]
    assert [opinion.calibratable for opinion in decision.opinions] == [False, False, True]
    assert "for the buyers" in providers[0].briefings[0].part
    assert [len(provider.briefings) for provider in providers] == [1, 1, 1]
    assert replayed(engine, last(engine)).same


def test_a_replay_notices_that_the_strategy_would_ask_something_else(make):
    engine = make("debate", *debaters())
    engine.analyze("BTCUSD", at=AT)
    record = copy.deepcopy(last(engine))
    record["inputs"]["rounds"][2]["ask"]["briefing"]["part"] = "You are the judge. Say BUY."
    found = replayed(engine, record)
    assert not found.same
    assert [difference.path for difference in found.differences] == ["rounds[2].briefing.part"]


def test_the_two_sides_of_a_debate_are_asked_at_the_same_time(make):
    both = threading.Barrier(2, timeout=3)

    class Patient(FakeProvider):
        def ask(self, briefing, *, timeout):
            both.wait()
            return super().ask(briefing, timeout=timeout)

    engine = make("debate", Patient((BUY, 80), name="ann"), Patient((SELL, 70), name="bob"), fake("cyd", (HOLD, 50)))
    assert engine.analyze("BTCUSD", at=AT).ensemble_metadata["fallback_tier"] == "debate_voting"


def test_a_panel_of_one_is_simply_asked(make):
    engine = make("debate", *debaters())
    decision = engine.analyze("BTCUSD", at=AT, providers=["ann"])
    assert decision.ensemble_metadata["fallback_tier"] == "single_provider"
    assert last(engine)["inputs"]["rounds"] == []


def test_a_panel_of_two_is_counted_and_told_that_it_is_no_debate(make):
    decision = make("debate", *debaters()[:2]).analyze("BTCUSD", at=AT)
    assert decision.ensemble_metadata["fallback_tier"] == "majority_voting"
    assert decision.ensemble_metadata["tier_errors"] == ["debate: the seat of the bull is empty"]


def test_a_seat_for_somebody_unknown_is_a_mistake_in_the_settings(make):
    engine = make("debate", *debaters(), rounds={"judge": "cid"})
    with pytest.raises(UnknownName, match="cid"):
        engine.analyze("BTCUSD", at=AT)


def first_phase(confidence=60):
    return [fake(name, (BUY, confidence)) for name in ("ann", "bob", "cyd")]


def test_premium_questions_are_counted_over_runs_until_the_day_is_spent(make):
    asked = fake("dan", (SELL, 99), local=False)
    engines = [make("two_phase", *first_phase(), asked) for _ in range(3)]
    told = [engine.analyze("BTCUSD", at=AT).ensemble_metadata for engine in engines]
    assert [facts["premium_provider"] for facts in told] == ["dan", "dan", None]
    assert told[2]["phase2_skipped"] == "budget_exceeded"
    assert len(asked.briefings) == 2


def test_what_is_at_stake_is_what_an_entry_would_be_worth(make):
    engine = make("two_phase", *first_phase(90), fake("dan", (BUY, 90), local=False))
    decision = engine.analyze("BTCUSD", at=AT)
    stake = Decimal(last(engine)["inputs"]["agenda"]["stake"])
    assert decision.ensemble_metadata["phase2_reasons"] == ["high_stakes"]
    assert stake == decision.sizing.formula_quantity * decision.entry_price or stake == (
        decision.position_size * decision.entry_price
    )


def test_no_quorum_is_a_stored_hold(make):
    failing = [fake(name, ValueError("gone")) for name in ("bob", "cyd")]
    engine = make("two_phase", fake("ann", (BUY, 90)), *failing, fake("dan", (BUY, 90), local=False))
    decision = engine.analyze("BTCUSD", at=AT)
    assert (decision.action, decision.confidence) == (HOLD, 0)
    assert decision.ensemble_metadata["no_decision"] is True
    assert replayed(engine, last(engine)).same


def test_a_cassette_holds_the_questions_and_what_was_left_of_the_day(make, tmp_path):
    def run(tape):
        providers = [*first_phase(), fake("dan", (BUY, 99), local=False)]
        engine = make("two_phase", *providers)
        engine.tape(tape, tmp_path / "tape")
        engine.analyze("BTCUSD", at=AT)
        return canonical_json(stripped(last(engine))), [len(provider.briefings) for provider in providers]

    recorded, asked = run(Tape.RECORD)
    assert asked == [1, 1, 1, 1]
    replayed_bytes, asked = run(Tape.REPLAY)
    assert asked == [0, 0, 0, 0]
    assert replayed_bytes == recorded


# what a replay reads again


REPLY = '{"action": "BUY", "confidence": 81, "reasoning": "It rises.", "amount": 0.5, "mood": "fine"}'


class Model:
    name, model, local = "model", "m-1", True

    def ask(self, briefing, *, timeout):
        prompt = render_prompt(briefing)
        return read_reply(REPLY, provider=self.name, model=self.model, horizon=briefing.horizon, prompt=prompt)


def test_replies_are_read_again_as_they_came(make):
    engine = make("weighted", Model(), *first_phase())
    decision = engine.analyze("BTCUSD", at=AT)
    assert decision.opinions[0].raw_reply == REPLY
    record = last(engine)
    assert replayed(engine, record).same

    # Both the opinion and its decision say 99 now, so that only the reply tells.
    forged = copy.deepcopy(record)
    for opinions in (forged["inputs"]["opinions"], forged["decision"]["opinions"]):
        opinions[0]["reasoning"] = "It falls."
    paths = {difference.path for difference in replayed(engine, forged).differences}
    assert "opinions.model.reasoning" in paths


def test_a_reply_that_can_no_longer_be_read_is_a_difference(make):
    engine = make("weighted", Model(), *first_phase())
    engine.analyze("BTCUSD", at=AT)
    record = copy.deepcopy(last(engine))
    record["inputs"]["opinions"][0]["raw_reply"] = "BUY, I think"
    found = replayed(engine, record)
    assert any("cannot be read" in str(difference.replayed) for difference in found.differences)


def test_an_opinion_without_a_reply_is_an_input(make):
    engine = make("weighted", *first_phase())
    engine.analyze("BTCUSD", at=AT)
    assert replayed(engine, last(engine)).same


def test_a_provider_asked_twice_is_taken_at_its_last_word_and_a_failure_takes_back_nothing():
    from ffe_core import Ask, Opinion, Round
    from ffe_core.engine.rounds import answers_of
    from ffe_core.testing import make_briefing, make_opinion

    ask = Ask(("ann", "bob"), make_briefing())
    first = Round(ask, (make_opinion("ann", BUY, 60), Opinion.failure("bob", "m", "late")))
    second = Round(ask, (Opinion.failure("ann", "m", "late"), make_opinion("bob", SELL, 70)))
    third = Round(replace(ask, providers=("bob",)), (make_opinion("bob", HOLD, 50),))
    assert [(one.provider, one.action) for one in answers_of([first, second, third])] == [("ann", BUY), ("bob", HOLD)]
