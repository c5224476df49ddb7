"""What a rule says beforehand is no more than what it says when asked, and nearly as much."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from ffe_core import AssetKind, Effect, Prospect, RulingOutcome, VectorRule, from_ms, to_ms
from ffe_core.market.hours import entries_allowed, market_status
from ffe_core.risk.gate import after_trade
from tests.risk.builders import BTC, account, instrument, market, verdict
from tests.risk.test_gate import RULES, context, days, entry

BY_NAME = {rule.name: rule for rule in RULES}
CASH = 10_000.0


def prospect(proposal, **changes):
    """Of that one entry, and whatever is given otherwise."""
    asked = context(proposal)
    whole = np.zeros(1, np.int64)
    values = dict(
        asset=BTC, instrument=instrument(), settings=asked.settings, sent=whole + to_ms(asked.now),
        side=np.ones(1, np.int8), confidence=np.array([proposal.confidence], np.int8),
        agreement=np.array([proposal.agreement]), price=np.array([float(proposal.entry_price)]),
        low=np.array([asked.market.bar_low]), high=np.array([asked.market.bar_high]),
        volatility=np.array([asked.market.volatility]), returns=np.zeros(0), since=whole, until=whole,
    )  # fmt: skip
    return Prospect(**{**values, **changes})


def test_every_rule_can_say_something_beforehand():
    assert all(isinstance(rule, VectorRule) for rule in RULES)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_a_calm_entry_is_clear_by_every_rule_that_says_anything(name):
    proposal = entry()
    returns = np.full(60, 0.001)
    seen = prospect(proposal, returns=returns, until=np.array([60]))
    found = BY_NAME[name].clearance(seen)
    locks = {"stoploss_guard", "cooldown", "low_profit"}
    assert bool(np.all(found.where)) is (name not in locks or not seen.settings["rules"][name])


@pytest.mark.parametrize("name", ["market_hours", "drawdown", "var", "volatility", "cooldown"])
def test_a_rule_that_is_off_clears_everything(name):
    seen = prospect(entry(), volatility=np.array([np.nan]))
    seen = replace(seen, settings={**seen.settings, "rules": {name: False}})
    found = BY_NAME[name].clearance(seen)
    assert (found.where, found.exposure, found.drawdown, found.daily_loss) == (True, np.inf, np.inf, np.inf)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("seed", range(6))
def test_the_exposure_that_var_clears_is_the_most_that_it_passes(seed, side):
    rng = np.random.Generator(np.random.Philox(key=seed))
    count = int(rng.integers(30, 61))
    returns = rng.normal(0.001, 0.03, count + 5)
    seen = prospect(
        entry(), returns=returns, since=np.array([5]), until=np.array([count + 5]), side=np.array([side], np.int8)
    )
    bound = float(BY_NAME["var"].clearance(seen).exposure[0])
    told = {"BTCUSD": tuple(zip((day for day, _ in days(*returns[5:])), returns[5:].tolist(), strict=True))}
    for share, passes in ((bound * (1 - 1e-9), True), (bound * (1 + 1e-9), False)):
        asked = replace(
            entry(),
            effect=Effect.OPEN_LONG if side > 0 else Effect.OPEN_SHORT,
            quantity=Decimal(repr(share * CASH)) / Decimal(50_000),
        )
        before = account(repr(CASH))
        ruling = BY_NAME["var"].check(
            asked, context(asked, before=before, after=after_trade(before, asked), daily_returns=told)
        )
        assert (ruling.outcome is RulingOutcome.PASSED) is passes


@pytest.mark.parametrize(("fail_closed", "cleared"), [("live", True), ("always", False)])
def test_what_var_cannot_judge_it_clears_only_where_that_bars_nothing(fail_closed, cleared):
    short = prospect(entry(), returns=np.full(29, 0.01), until=np.array([29]))
    short = replace(short, settings={**short.settings, "fail_closed": fail_closed})
    found = BY_NAME["var"].clearance(short)
    assert (bool(found.where.all()), bool(np.isinf(found.exposure).all())) == (cleared, True)
    broken = prospect(entry(), returns=np.array([np.nan] * 60), until=np.array([60]))
    assert not np.any(BY_NAME["var"].clearance(broken).where)


@pytest.mark.parametrize("fail_closed", ["live", "always"])
@pytest.mark.parametrize("on_volatile", ["halve", "veto"])
@pytest.mark.parametrize("confidence", [79, 80])
@pytest.mark.parametrize("wildness", [0.01, 0.05, 0.0500001, 0.2, None])
def test_what_volatility_says_beforehand_is_what_it_does(wildness, confidence, on_volatile, fail_closed):
    proposal = entry(verdict=verdict(confidence=confidence))
    column = np.array([np.nan if wildness is None else wildness])
    seen = prospect(proposal, volatility=column)
    limits = {
        **seen.settings, "max_volatility": 0.05, "volatile_confidence": 0.8, "on_volatile": on_volatile,
        "fail_closed": fail_closed,
    }  # fmt: skip
    found = BY_NAME["volatility"].clearance(replace(seen, settings=limits))
    ruling = BY_NAME["volatility"].check(
        proposal, context(proposal, market=market(volatility=wildness), settings=limits)
    )
    if wildness is None:
        assert ruling.outcome is RulingOutcome.UNAVAILABLE
        assert bool(found.where[0]) is (fail_closed == "live")
    elif found.where[0] and np.broadcast_to(found.kept, 1)[0] == 1:
        assert ruling.outcome is RulingOutcome.PASSED
    elif found.where[0]:
        assert ruling.after == proposal.quantity * Decimal(found.kept[0].item())
    else:
        # The limit itself lies within a hair of what floats can tell.
        assert ruling.outcome is not RulingOutcome.PASSED or wildness == 0.05


@pytest.mark.parametrize("kind", list(AssetKind))
def test_hours_of_a_series_are_those_of_each_instant(kind):
    """Every quarter of an hour over both changes of New York's clocks, and around every opening and close."""
    asset = replace(BTC, kind=kind)
    begin = to_ms(datetime.fromisoformat("2024-03-01T00:00Z"))
    at = np.arange(begin, begin + timedelta(days=20) // timedelta(milliseconds=1), 900_000)
    later = at + timedelta(days=238) // timedelta(milliseconds=1)
    instants = np.concatenate((np.sort(np.concatenate((at, at - 1, at + 1))), later))
    held = [market_status(asset, from_ms(each)) for each in instants.tolist()]
    assert entries_allowed(kind, instants).tolist() == [each.is_open and each.entries_allowed for each in held]
