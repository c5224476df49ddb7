"""Whoever of the panel fails, a decision comes out whose weights are whole and whose tier says how it came about."""

from dataclasses import dataclass
from itertools import product

import pytest

from ffe_core import Action, FixedClock, Opinion, ProviderFailed
from ffe_core.engine import Engine
from ffe_core.plugins import load_plugins
from ffe_core.plugins.registry import Offer
from ffe_core.settings import Settings
from tests.engine.deciding import Memory
from tests.risk.builders import AT

NAMES = ("a", "b", "c", "d", "e")
WEIGHTS = dict(zip(NAMES, (0.4, 0.2, 0.2, 0.1, 0.1), strict=True))


@dataclass
class Member:
    name: str
    answers: bool
    model: str = "m"
    local: bool = True

    def ask(self, briefing, *, timeout):
        if not self.answers:
            raise ProviderFailed(f"{self.name} is down")
        return Opinion(self.name, self.model, Action.BUY, 60, f"{self.name} says so", local=True)


class Raises:
    name = "raises"

    def combine(self, ballot):
        raise ValueError("on purpose")


@pytest.fixture
def decide(home):
    """The decision of five providers, of which some answer, under a strategy."""

    def made(answering, strategy="weighted"):
        settings = Settings(ai={"providers": list(NAMES)}, ensemble={"weights": WEIGHTS, "strategy": strategy})
        registry = load_plugins(settings, clock=FixedClock(AT))
        for name, answers in zip(NAMES, answering, strict=True):
            registry.offer("provider", name, Offer("test", Member(name, answers)))
        registry.offer("strategy", "raises", Offer("test", Raises()))
        store = Memory()
        with Engine(settings, registry, clock=FixedClock(AT), store=store) as engine:
            return engine.analyze("BTCUSD", at=AT)

    return made


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["weighted", "raises"])
@pytest.mark.parametrize(
    "answering", list(product([True, False], repeat=5)), ids=lambda held: "".join("01"[x] for x in held)
)
def test_any_part_of_a_panel_of_five_may_fail(decide, answering, strategy):
    decision = decide(answering, strategy)
    told = decision.ensemble_metadata
    alive = [name for name, answers in zip(NAMES, answering, strict=True) if answers]
    assert told["providers_used"] == alive
    assert told["providers_failed"] == {name: f"{name} is down" for name in NAMES if name not in alive}
    assert sum(told["original_weights"].values()) == pytest.approx(1, abs=1e-12)
    if not alive:
        assert (decision.action, decision.confidence) == (Action.HOLD, 0)
        assert told["fallback_tier"] == "no_provider"
        assert told["adjusted_weights"] == {}
        return
    total = sum(WEIGHTS[name] for name in alive)
    expected = {name: WEIGHTS[name] / total for name in alive}
    assert told["adjusted_weights"] == pytest.approx(expected, abs=1e-12)
    assert sum(told["adjusted_weights"].values()) == pytest.approx(1, abs=1e-12)
    second = "majority_voting" if len(alive) > 1 else "single_provider"
    assert told["fallback_tier"] == ("weighted_voting" if strategy == "weighted" else second)
    assert told["verdict_action"] == "BUY"
    assert told["confidence_adjustment_factor"] == pytest.approx(
        (0.7 + 0.3 * len(alive) / 5) * (1 if len(alive) >= 3 else 0.7)
    )
