"""Who says something else under the mask knew more than the market."""

import json
from dataclasses import dataclass
from datetime import timedelta

import pytest

from ffe_core import Action, FixedClock, NotConfigured, Opinion, ProviderFailed
from ffe_core.ai.cassette import Tape
from ffe_core.domain.codec import canonical_json
from ffe_core.engine import Engine
from ffe_core.engine.replay import replay_record
from ffe_core.errors import BudgetSpent, CassetteMiss
from ffe_core.plugins import load_plugins
from ffe_core.plugins.registry import Offer
from ffe_core.settings import load_settings
from tests.engine.deciding import Memory
from tests.risk.builders import AT

DAYS = [AT - timedelta(days=day) for day in range(4, 0, -1)]


@dataclass
class Reader:
    """Knows what became of bitcoin; fails on ``fails``."""

    name: str = "reader"
    model: str = "delphi"
    local: bool = False
    fails: tuple = ()
    configured: bool = True

    def __post_init__(self):
        self.seen = []

    def ask(self, briefing, *, timeout):
        if not self.configured:
            raise NotConfigured("plugins.reader.key is not set")
        self.seen.append(briefing)
        if briefing.as_of in self.fails:
            raise ProviderFailed("503")
        known = briefing.asset.symbol == "BTCUSD"
        return Opinion(
            self.name, self.model, Action.BUY if known else Action.HOLD, 90, "it rose" if known else "no idea",
            prompt="so?", tokens_in=10, tokens_out=10,
        )  # fmt: skip


@pytest.fixture
def made(home):
    def engine(reader=None, **ai):
        (home / "config").mkdir(exist_ok=True)
        (home / "config" / "config.yaml").write_text(json.dumps({"ai": ai}), encoding="utf-8")
        registry = load_plugins(load_settings(env={"FFE_PLUGINS": ""}, home=home), clock=FixedClock(AT))
        registry.offer("provider", "reader", Offer("temple", reader or Reader()))
        return Engine(load_settings(env={"FFE_PLUGINS": ""}, home=home), registry, clock=FixedClock(AT), store=Memory())

    return engine


def test_rules_never_flip_and_who_remembers_always_does(made):
    engine = made()
    done = engine.probe("BTCUSD", at=DAYS, providers=["ensemble", "reader"])
    assert {each.provider: (each.compared, each.flips) for each in done.providers} == {
        "local": (4, 0), "trend_adx": (4, 0), "rsi_reversion": (4, 0), "reader": (4, 4),
    }  # fmt: skip
    reader = done.providers[-1]
    # Wilson's interval of 4 in 4: 1 / (1 + z² / 4) with z = 1.96.
    assert (reader.rate, reader.interval[1]) == (1.0, 1.0)
    assert reader.interval[0] == pytest.approx(4 / (4 + 1.959964**2), abs=1e-6)
    assert engine.store.records == []


def test_the_whole_probe_is_moved_by_one_number_of_weeks(made):
    reader = Reader()
    made(reader).probe("BTCUSD", at=DAYS, providers=["reader"], seed=5)
    shifts = {plain.as_of - hidden.as_of for plain, hidden in zip(reader.seen[::2], reader.seen[1::2], strict=True)}
    assert len(shifts) == 1
    assert shifts.pop() % timedelta(weeks=1) == timedelta(0)


def test_a_failure_is_no_flip_and_is_told(made):
    done = made(Reader(fails=(DAYS[1],))).probe("BTCUSD", at=DAYS, providers=["reader"])
    (reader,) = done.providers
    assert (reader.compared, reader.flips, reader.failures) == (3, 3, ("503",))


def test_nobody_compared_is_no_rate(made):
    done = made(Reader(fails=tuple(DAYS))).probe("BTCUSD", at=DAYS, providers=["reader"])
    (reader,) = done.providers
    assert (reader.compared, reader.rate, reader.interval) == (0, None, None)


def test_a_member_without_its_key_is_left_out_unless_it_was_named(made):
    engine = made(Reader(configured=False), providers=["local", "reader"])
    done = engine.probe("BTCUSD", at=DAYS[:1])
    assert [each.provider for each in done.providers] == ["local"]
    assert done.left_out == {"reader": "plugins.reader.key is not set"}
    (reader,) = engine.probe("BTCUSD", at=DAYS[:1], providers=["reader"]).providers
    assert reader.failures == ("plugins.reader.key is not set",)


@pytest.mark.slow
def test_a_probe_is_recorded_and_replayed_without_asking_anybody(made):
    reader = Reader()
    for tape in (Tape.RECORD, Tape.REPLAY):
        engine = made(reader)
        engine.tape(tape)
        done = engine.probe("BTCUSD", at=DAYS, providers=["reader"])
        assert (done.providers[0].compared, done.providers[0].flips) == (4, 4)
        assert len(reader.seen) == 8
    with pytest.raises(CassetteMiss):
        engine.probe("BTCUSD", at=DAYS, providers=["reader"], seed=99)


def test_a_probe_keeps_within_the_budget(made):
    row = {"model": "delphi", "from": "2020-01-01", "input_usd_per_million": 1, "output_usd_per_million": 1}
    engine = made(prices=[row], budget_usd="0")
    with pytest.raises(BudgetSpent):
        engine.probe("BTCUSD", at=DAYS, providers=["reader"])


def test_an_anonymised_decision_is_marked_priced_as_it_is_and_replays(made):
    reader = Reader()
    engine = made(reader)
    decision = engine.analyze("BTCUSD", at=AT, providers=["reader", "local"], anonymise=3)
    told = decision.ensemble_metadata["anonymised"]
    assert (told["as"], told["notes_left_out"]) == ("ASSET_3", 0)
    assert {briefing.asset.symbol for briefing in reader.seen} == {"ASSET_3"}
    assert decision.asset_pair == "BTCUSD"
    assert float(decision.entry_price) == decision.market.price != reader.seen[0].market.price
    assert engine.answers.mask is None
    record = json.loads(canonical_json(engine.store.records[-1]))
    registry = engine.registry
    again = replay_record(
        record, strategies=registry.strategies_by_name(), rules=registry.rules_by_name(), plugins=registry.versions()
    )
    assert again.same, again.differences


def test_the_mask_of_a_record_shows_the_briefing_that_was_asked(made):
    from ffe_core.ai.anonymise import anonymise
    from ffe_core.domain.codec import restore
    from ffe_core.engine.decide import DecisionInputs

    reader = Reader()
    engine = made(reader)
    engine.analysis("BTCUSD", at=AT, providers=["reader"], indicators=["stoch", "supertrend"], anonymise=1)
    inputs = restore(DecisionInputs, json.loads(canonical_json(engine.store.records[-1]))["inputs"])
    assert canonical_json(anonymise(inputs.briefing, inputs.mask)) == canonical_json(reader.seen[0])


def test_a_debate_is_held_under_the_mask_too(made):
    reader = Reader()
    engine = made(reader)
    engine.settings.ensemble.__dict__["strategy"] = "debate"
    engine.analyze("BTCUSD", at=AT, providers=["reader", "local", "trend_adx"], anonymise=1)
    assert reader.seen
    assert {briefing.asset.symbol for briefing in reader.seen} == {"ASSET_1"}
