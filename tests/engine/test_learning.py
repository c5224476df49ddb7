"""What came of earlier decisions reaches the strategies that learn from it, and only what was known by then."""

import json
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from ffe_core import Action, Asset, FixedClock, Outcome
from ffe_core.engine import Engine
from ffe_core.plugins import load_plugins
from ffe_core.settings import Settings
from ffe_core.store import Database, Store
from tests.engine.deciding import bytes_of

AT = datetime(2024, 5, 6, 12, tzinfo=UTC)
BUY, SELL, HOLD = Action.BUY, Action.SELL, Action.HOLD
HOUR = timedelta(hours=1)


def outcomes(count, *, until=AT, skill=0.8, synthetic=True, name="earlier"):
    """Hourly, the last one resolved at ``until``: ``local`` is right that often, ``rsi_reversion`` as often wrong."""
    rng = random.Random(count)
    made = []
    for number in range(count):
        move = rng.choice((-0.02, 0.02))
        right, wrong = (BUY, SELL) if move > 0 else (SELL, BUY)
        good, bad = (right, wrong) if rng.random() < skill else (wrong, right)
        calls = {"local": good, "rsi_reversion": bad, "trend_adx": rng.choice((BUY, SELL))}
        resolved = until - (count - 1 - number) * HOUR
        made.append(
            Outcome(
                f"{name}-{number}", Asset.parse("BTCUSD"), resolved, HOLD, None, None, provider_actions=calls,
                provider_confidences=dict.fromkeys(calls, 75), price_return=move, cost=0.001, synthetic=synthetic,
                as_of=resolved - 24 * HOUR,
            )
        )  # fmt: skip
    return made


def engine_with(folder, strategy, known=(), **skills):
    """An engine on the invented market and a store of its own that holds these outcomes."""
    settings = Settings(ensemble={"strategy": strategy}, data={"bars": 60}, plugins={"skills": skills})
    clock = FixedClock(AT + timedelta(days=900))
    store = Store(Database.open(None, folder, clock=clock))
    store.record_outcomes(known)
    return Engine(settings, load_plugins(settings, clock=clock), clock=clock, store=store)


def decided(folder, strategy, known=(), **skills):
    """The decision, its whole record, and whether a replay gives the same."""
    with engine_with(folder, strategy, known, **skills) as engine:
        decision = engine.analyze("BTCUSD", at=AT)
        stored = engine.store.get(decision.id)
        return decision, stored.record, engine.replay(decision.id)


@pytest.mark.parametrize("strategy", ["hedge", "thompson"])
def test_who_was_right_weighs_more_afterwards(home, tmp_path, strategy):
    before, _, _ = decided(tmp_path / "new", strategy)
    after, record, replayed = decided(tmp_path / "taught", strategy, outcomes(150))

    first, now = before.ensemble_metadata["skill_weights"], after.ensemble_metadata["skill_weights"]
    assert after.ensemble_metadata["outcomes"] == 150
    assert now["local"] > max(first["local"], now["trend_adx"], 0.5)
    assert now["rsi_reversion"] < now["trend_adx"]
    assert sum(now.values()) == pytest.approx(1)
    assert all(0 <= weight <= 1 for weight in now.values())
    assert [one["decision_id"] for one in record["inputs"]["history"]][:2] == ["earlier-0", "earlier-1"]
    assert replayed.same


@pytest.mark.slow
def test_what_was_recorded_in_one_process_weighs_in_another(home, monkeypatch):
    tell = (
        "import sys, json; from pathlib import Path\n"
        "from ffe_core.store import Database, Store; from tests.engine.test_learning import outcomes\n"
        "from ffe_core.settings import load_settings\n"
        "with Store.open(load_settings()) as store: print(len(store.record_outcomes(outcomes(60))))\n"
    )
    monkeypatch.setenv("FFE_ENSEMBLE__STRATEGY", "hedge")

    def run(*arguments):
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def weight():
        shown = json.loads(run("-m", "ffe_core.cli", "analyze", "BTCUSD", "--at", AT.isoformat(), "--json"))
        return shown["data"]["ensemble_metadata"]["skill_weights"]["local"]

    first = weight()
    assert run("-c", tell).strip() == "60"
    assert weight() > first + 0.2


def test_outcomes_on_real_prices_teach_nothing_about_invented_ones(home, tmp_path):
    decision, record, _ = decided(tmp_path, "hedge", outcomes(150, synthetic=False))

    assert record["inputs"]["history"] == []
    assert decision.ensemble_metadata["outcomes"] == 0


def test_a_strategy_that_does_not_learn_keeps_small_records(home, tmp_path):
    assert decided(tmp_path, "weighted", outcomes(5))[1]["inputs"]["history"] == []


def test_as_many_outcomes_are_remembered_as_the_strategy_wants(home, tmp_path):
    _, record, _ = decided(tmp_path, "hedge", outcomes(30), history=7)

    assert [one["decision_id"] for one in record["inputs"]["history"]] == [f"earlier-{n}" for n in range(23, 30)]


def test_stacking_leaves_it_to_the_next_tier_until_it_is_trained(home, tmp_path):
    known = outcomes(120)
    before, _, _ = decided(tmp_path / "few", "stacking", known[:99])
    after, record, replayed = decided(tmp_path / "enough", "stacking", known)

    assert before.ensemble_metadata["fallback_tier"] == "majority_voting"
    assert after.ensemble_metadata["fallback_tier"] == "stacking_voting"
    assert len(record["inputs"]["history"]) == 120
    assert replayed.same


@pytest.mark.parametrize("strategy", ["hedge", "thompson", "stacking"])
def test_what_was_resolved_later_changes_no_decision(home, tmp_path, strategy):
    # More of them than any strategy wants: were they counted, they would crowd out what was known.
    later = outcomes(250, until=AT + 300 * HOUR, skill=0.0, name="later")
    known = outcomes(130)
    assert min(one.resolved_at for one in later) > AT

    skills = {"stacking_window": 130, "history": 130}
    alone = decided(tmp_path / "alone", strategy, known, **skills)[1]
    besides = decided(tmp_path / "besides", strategy, [*later, *known], **skills)[1]
    earlier = decided(tmp_path / "earlier", strategy, known[:-1], **skills)[1]

    assert bytes_of(alone) == bytes_of(besides)
    assert bytes_of(alone) != bytes_of(earlier), "the comparison would see an outcome more"


@pytest.mark.slow
def test_random_cuts_of_what_is_known_change_no_decision(home, tmp_path):
    rng = random.Random(4)
    scattered = outcomes(60, until=AT + 30 * HOUR)
    rng.shuffle(scattered)
    for number in range(4):
        known = [one for one in scattered if one.resolved_at <= AT]
        future = rng.sample([one for one in scattered if one.resolved_at > AT], rng.randint(1, 29))
        cut, whole = (
            bytes_of(decided(tmp_path / f"{name}{number}", "hedge", some)[1])
            for name, some in (("cut", known), ("whole", [*future, *known]))
        )
        assert cut == whole
