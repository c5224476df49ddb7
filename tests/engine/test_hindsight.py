"""Every decision says whether its panel may have known the future, and says so again when it is replayed."""

import copy
from dataclasses import dataclass
from datetime import date, datetime

import pytest

from ffe_core import Action, FixedClock, Opinion
from ffe_core.engine import Engine
from ffe_core.engine.replay import replay_record
from ffe_core.plugins import load_plugins
from ffe_core.plugins.guard import Guard
from ffe_core.plugins.proxies import guarded
from ffe_core.plugins.registry import Offer
from ffe_core.settings import Settings
from tests.risk.builders import AT


@dataclass
class Oracle:
    cutoff: date | None = None
    name: str = "oracle"
    model: str = "delphi"
    local: bool = False

    def ask(self, briefing, *, timeout):
        return Opinion(self.name, self.model, Action.BUY, 60, "seen it", prompt="so?")


@pytest.fixture
def decide(home):
    def made(provider=None, at=AT, **ai):
        settings = Settings(ai={"providers": ["local", "oracle"], **ai})
        registry = load_plugins(settings, clock=FixedClock(AT))
        registry.offer("provider", "oracle", Offer("temple", provider or Oracle()))
        made = Engine(settings, registry, clock=FixedClock(AT))
        decision = made.analyze("BTCUSD", at=at)
        return made, copy.deepcopy(made.store.get(decision.id).record)

    return made


def marks(record):
    return record["decision"]["ensemble_metadata"].get("hindsight")


def replayed(engine, record):
    registry = engine.registry
    return replay_record(
        record,
        strategies=registry.strategies_by_name(),
        rules=registry.rules_by_name(),
        plugins=registry.versions(),
    )


def test_a_model_of_unknown_training_contaminates_a_decision_about_the_past(decide):
    engine, record = decide()
    assert marks(record) == {"decision": "contaminated", "providers": {"local": "clean", "oracle": "contaminated"}}
    assert replayed(engine, record).same


def test_a_cutoff_of_the_settings_or_of_the_provider_clears_it(decide):
    early = date(AT.year - 1, 1, 1)
    for engine, record in (decide(cutoffs={"delphi": early}), decide(Oracle(early))):
        assert marks(record) == {"decision": "clean", "providers": {"local": "clean", "oracle": "clean"}}
        assert replayed(engine, record).same


def test_a_longer_embargo_contaminates_again(decide):
    _, record = decide(Oracle(date(AT.year - 1, 1, 1)), embargo_days=3650)
    assert marks(record)["decision"] == "contaminated"


def test_a_decision_about_now_is_clean_whatever_the_model(decide):
    _, record = decide(at=None)
    assert marks(record)["decision"] == "clean"


def test_a_replay_uses_what_was_recorded_and_not_what_is_known_today(decide):
    _, record = decide()
    better, _ = decide(Oracle(date(2000, 1, 1)))
    assert replayed(better, record).same
    record["inputs"]["training"]["cutoffs"]["oracle"] = "2000-01-01"
    paths = [found.path for found in replayed(better, record).differences]
    assert any(path.startswith("ensemble_metadata.hindsight") for path in paths)


def test_a_record_from_before_the_question_was_asked_replays_without_an_answer(decide):
    engine, record = decide()
    del record["inputs"]["training"], record["decision"]["ensemble_metadata"]["hindsight"]
    assert replayed(engine, record).same


@pytest.mark.parametrize("wrong", ["2024-01-31", datetime(2024, 1, 31), 2024])
def test_a_cutoff_that_is_no_day_is_refused(wrong):
    with pytest.raises(Exception, match="is no date"):
        guarded("provider", Oracle(wrong), Guard("temple", 5.0), "oracle", frozenset({"Dated"}))
