"""Providers that were never set up: left out of the configured panel, a failure where the user asked for them."""

import pytest

from ffe_core import FixedClock, NotConfigured
from ffe_core.engine import Engine
from ffe_core.plugins import load_plugins
from ffe_core.plugins.registry import Offer
from ffe_core.settings import Settings
from tests.engine.deciding import Memory
from tests.risk.builders import AT


class Keyless:
    name, model, local = "keyless", "m", False

    def ask(self, briefing, *, timeout):
        raise NotConfigured("plugins.keyless.api_key is not set", hint="set it")


@pytest.fixture
def engine(home):
    settings = Settings(ai={"providers": ["local", "trend_adx", "rsi_reversion", "keyless"]})
    registry = load_plugins(settings, clock=FixedClock(AT))
    registry.offer("provider", "keyless", Offer("test", Keyless()))
    return Engine(settings, registry, clock=FixedClock(AT), store=Memory())


def test_a_provider_without_its_key_is_left_out_of_the_configured_panel_with_a_line(engine):
    analysis = engine.analysis("BTCUSD", at=AT)
    told = analysis.decision.ensemble_metadata
    assert (told["num_total"], told["failure_rate"]) == (3, 0.0)
    assert "keyless is left out: plugins.keyless.api_key is not set" in analysis.warnings


def test_a_provider_that_the_user_named_and_cannot_have_is_a_failure(engine):
    analysis = engine.analysis("BTCUSD", at=AT, providers=["ensemble", "keyless"])
    told = analysis.decision.ensemble_metadata
    assert told["num_total"] == 4
    assert told["providers_failed"] == {"keyless": "plugins.keyless.api_key is not set"}


def test_a_panel_of_which_nobody_is_set_up_is_a_hold_that_says_so(engine):
    decision = engine.analyze("BTCUSD", at=AT, providers=["keyless"])
    assert decision.ensemble_metadata["fallback_tier"] == "no_provider"
    assert decision.confidence == 0
