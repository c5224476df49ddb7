"""Entries that go through unasked: the same sizes, refusals and rulings as if every rule had been asked at each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ffe_lab import entries
from ffe_lab.backtest import market_of
from ffe_lab.beforehand import terms_of
from ffe_lab.gate import Calls, Judged
from ffe_lab.lab import Lab
from ffe_lab.market import Market
from ffe_lab.simulate import Rulebook, Simulation, simulate
from ffe_lab.stops import exact
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core import (
    Action,
    Asset,
    Clearance,
    Confluence,
    Instrument,
    Portfolio,
    Proposal,
    Prospect,
    Pulse,
    RiskContext,
    RiskRule,
    Ruling,
    RulingOutcome,
    Verdict,
    from_ms,
)
from ffe_core.risk.sizing import Exits, Kelly, SizingRules, propose

type Same = Callable[[Simulation, Simulation], None]

#: what is drawn for each experiment beside its market: limits narrow enough to be met, wide enough to be kept
LIMITS: dict[str, tuple[Any, ...]] = {
    "max_drawdown": (0.03, 0.05, 0.3),
    "max_daily_loss": (0.005, 0.01, 0.2),
    "max_var": (0.004, 0.01, 0.02, 0.05),
    "var_confidence": (0.9, 0.95, 0.99),
    "max_leverage": (0.1, 0.2, 3.0),
    "max_concentration": (0.1, 0.2, 0.25, 0.5),
    "max_volatility": (0.03, 0.05, 0.08),
    "volatile_confidence": (0.8, 0.9),
    "on_volatile": ("halve", "halve", "veto"),
    "entry_agreement": (0.0, 0.6),
    "timezone": ("UTC", "UTC", "America/New_York", "Asia/Kathmandu"),
    "fail_closed": ("live", "always"),
    "stoploss_guard": ({"stops": 2, "within_hours": 200, "lock_hours": 100},),
}


@dataclass
class Asked:
    """A rule that has to be asked, because it says nothing beforehand; ``asked`` is when it was."""

    rule: RiskRule
    asked: set[datetime] = field(default_factory=set)

    @property
    def name(self) -> str:
        return self.rule.name

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        self.asked.add(context.now)
        return self.rule.check(proposal, context)


@dataclass
class Told(Asked):
    """A rule that says what it says, and may be asked all the same."""

    def clearance(self, prospect: Prospect) -> Clearance:
        made: Clearance = self.rule.clearance(prospect)  # type: ignore[attr-defined]
        return made


@dataclass(frozen=True)
class Experiment:
    asset: str
    timeframe: str
    frame: pd.DataFrame
    calls: Calls
    account: dict[str, Any]
    risk: dict[str, Any]

    @classmethod
    def drawn(cls, seed: int, lab: Lab, bars: int = 900) -> Experiment:
        rng = np.random.Generator(np.random.Philox(key=seed))

        def one(choices: Any) -> Any:
            return choices[int(rng.integers(len(choices)))]

        timeframe = one(("1h", "1h", "4h", "1d"))
        wild = rng.choice((0.002, 0.006, 0.015), bars // 100 + 1).repeat(100)[:bars]
        close = one((0.07, 1.1, 100.0, 30_000.0)) * np.exp(np.cumsum(rng.normal(0, wild)))
        opened = np.append(close[0], close[:-1])
        reach = np.abs(rng.normal(0, 0.4, (2, bars))) * wild
        index = pd.date_range("2022-01-03", periods=bars, freq={"1h": "h", "4h": "4h", "1d": "D"}[timeframe], tz="UTC")
        frame = pd.DataFrame(
            {
                "open": opened,
                "high": np.maximum(opened, close) * (1 + reach[0]),
                "low": np.minimum(opened, close) * (1 - reach[1]),
                "close": close,
            },
            index=index,
        )
        action = rng.choice(np.array([-1, 0, 0, 0, 1], np.int8), bars)
        agreement = None if one((True, False)) else rng.choice((0.5, 0.6, 1.0), bars)
        calls = Calls(action, rng.choice(np.array([65, 70, 75, 80, 90], np.int8), bars), agreement)
        account = {
            "sizing": one(("risk", "risk", "kelly", "fixed_fraction", "all_in", "fixed_amount")),
            "stop": one(("atr", 0.02, 0.0)),
            "allow_short": one((True, False)),
            "initial_balance": one((40.0, 10_000.0, 123_456.78)),
            "leverage": one((1.0, 1.0, 3.0)),
            "gate": True,
        }
        off = {name: one((True, True, True, False)) for name in lab.rulebook.risk["rules"]}
        locks = ("stoploss_guard", "cooldown", "low_profit")
        rules = {**off, **{name: seed % 4 == 0 and one((True, False)) for name in locks}}
        risk = {**lab.rulebook.risk, **{name: one(values) for name, values in LIMITS.items()}, "rules": rules}
        return cls(one(("BTCUSD", "BTCUSD", "EURUSD", "AAPL")), timeframe, frame, calls, account, risk)

    def market(self, *, compiled: bool) -> Market:
        return market_of(self.frame, asset=self.asset, timeframe=self.timeframe, compiled=compiled)

    def played(self, lab: Lab, kind: type[Asked], *, compiled: bool) -> tuple[Simulation, set[datetime]]:
        market = self.market(compiled=compiled)
        setup = lab.setup(**self.account)
        instrument = lab.instrument(market.asset, float(market.close[0]), setup)
        asked: set[datetime] = set()
        rules = [kind(rule, asked) for rule in lab.rulebook.rules]
        return simulate(market, self.calls, setup, instrument, Rulebook(rules, self.risk)), asked


def judgements(done: Simulation) -> list[Any]:
    return [(one.bar, one.units, one.refused, one.proposal, one.rulings) for one in done.judged]


@pytest.mark.parametrize("seed", range(24))
def test_entries_that_pass_unasked_are_those_that_pass_when_asked(seed: int, lab: Lab, same: Same) -> None:
    experiment = Experiment.drawn(seed, lab)
    eager, asked = experiment.played(lab, Asked, compiled=False)
    assert len(asked) == len(eager.judged)
    for compiled in (False, True):
        told, _ = experiment.played(lab, Told, compiled=compiled)
        same(eager, told)
        assert judgements(told) == judgements(eager)


@pytest.mark.slow
def test_over_many_markets_every_rule_objects_and_most_entries_pass_unasked(lab: Lab, same: Same) -> None:
    """The property above means something; here over more markets than are drawn there."""
    objected: Counter[tuple[str, str]] = Counter()
    unasked = halved = 0
    for seed in range(24, 200):
        experiment = Experiment.drawn(seed, lab)
        eager, _ = experiment.played(lab, Asked, compiled=True)
        told, asked = experiment.played(lab, Told, compiled=True)
        same(eager, told)
        passed = len(told.judged) - len(asked)
        closes = experiment.market(compiled=False).closes
        clamps = sum(clamped(one, "volatility") for one in told.judged if from_ms(int(closes[one.bar])) not in asked)
        assert judgements(told) == judgements(eager)
        unasked, halved = unasked + passed, halved + clamps
        objected.update((each.rule, each.outcome.value) for one in told.judged for each in one.rulings)
    # Prices lie within their own bars here, and a lone holding is tied to nothing: two rules have nothing to object to.
    for rule in ("drawdown", "daily_loss", "var", "volatility", "agreement", "market_hours", "tradable"):
        assert objected[rule, "vetoed"] > 20, rule
    for rule in ("stoploss_guard", "cooldown", "low_profit"):
        assert objected[rule, "vetoed"] > 5, rule
    for rule in ("concentration", "leverage", "volatility"):
        assert objected[rule, "clamped"] > 20, rule
    assert unasked > 2000
    assert halved > 100


def clamped(judged: Judged, name: str) -> bool:
    return any(each.rule == name and each.outcome is RulingOutcome.CLAMPED for each in judged.rulings)


# sizes

STEPS = ("0.00000001", "0.0001", "0.01", "1", "0.25", "10")


@dataclass(frozen=True)
class Account:
    """One size to find: by floats, where they are certain of it, and by decimals."""

    cash: float
    price: float
    stop: float
    step: str
    method: str
    share: str = "0.02"
    margin: str = "1"

    def sizes(self) -> tuple[float, Decimal | None]:
        asset, increment = Asset.parse("BTCUSD"), Decimal(self.step)
        rules = SizingRules(
            exits=Exits(stop="fixed", fallback=exact(self.stop)), method=self.method, risk=Decimal(self.share),
            kelly=Kelly(), max_concentration=Decimal("0.25"), max_leverage=Decimal(3), buying_power=Decimal("0.95"),
            fee=Decimal("0.001"), allow_short=False,
        )  # fmt: skip
        instrument = Instrument(
            asset, increment, Decimal("0.01"), increment, Decimal(1), "USD", margin_rate=Decimal(self.margin)
        )
        terms = terms_of(rules, instrument, "USD")
        assert terms is not None
        made = propose(
            asset,
            Verdict(Action.BUY, 80, 80, "", None, {}),
            entry=exact(self.price),
            pulse=Pulse(asset, from_ms(0), {}, Confluence("unknown", 0), (), ""),
            portfolio=Portfolio("paper", "lab", "USD", exact(self.cash)),
            instrument=instrument,
            rules=rules,
        )
        return entries._units(self.cash, self.price, self.stop, 1.0, np.inf, terms.tolist()), made.quantity


@settings(max_examples=400)
@given(
    st.builds(
        Account,
        # Round amounts and prices, whose sizes fall on a step.
        cash=st.floats(1, 1e7).map(lambda value: round(value, 2)) | st.sampled_from([100.0, 1000.0, 10_000.0]),
        price=st.floats(0.001, 1e5) | st.sampled_from([0.5, 1.0, 40.0, 30_000.0]),
        stop=st.floats(0, 0.2) | st.sampled_from([0.01, 0.02, 0.05]),
        step=st.sampled_from(STEPS),
        method=st.sampled_from(["risk", "kelly", "fixed_fraction", "all_in"]),
        share=st.sampled_from(["0.01", "0.02", "0.1", "0.3"]),
        margin=st.sampled_from(["1", "0.5"]),
    )
)
def test_a_certain_size_is_that_of_decimals(account: Account) -> None:
    found, made = account.sizes()
    if found != entries.UNKNOWN:
        assert made is not None
        assert found == float(made)


@pytest.mark.parametrize("step", STEPS)
def test_a_size_that_falls_on_a_step_is_left_to_decimals(step: str) -> None:
    """1,000 x 0.01 / 0.05 / 0.1 is 2,000, and a little less in floats."""
    assert Account(1000.0, 0.1, 0.05, step, "risk", "0.01").sizes() == (entries.UNKNOWN, Decimal(2000))


@pytest.mark.parametrize("step", STEPS)
def test_nearly_all_sizes_are_certain(step: str) -> None:
    rng = np.random.Generator(np.random.Philox(key=1))
    certain = 0
    for cash, price, stop in zip(
        rng.uniform(1e5, 2e5, 300), rng.uniform(1, 1000, 300), rng.uniform(0.01, 0.05, 300), strict=True
    ):
        found, made = Account(round(cash, 2), price, stop, step, "risk").sizes()
        certain += found != entries.UNKNOWN
        assert made is not None and found in (entries.UNKNOWN, float(made))
    assert certain >= 295


# what rules say wrongly


@dataclass(frozen=True)
class Odd:
    """A rule that lets all pass, and says of it what it was made with, or fails to."""

    said: Clearance | Exception
    name: str = "odd"

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        return Ruling(self.name, RulingOutcome.PASSED)

    def clearance(self, prospect: Prospect) -> Clearance:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


@pytest.mark.parametrize(
    ("said", "unasked"),
    [
        (Clearance(), True),
        (Clearance(where=np.zeros(3, np.bool_)), False),
        (ValueError("no"), False),
        (Clearance(kept=0.3), False),
        (Clearance(kept=np.nan), False),
        (Clearance(exposure=np.nan), False),
        (Clearance(drawdown=np.nan), False),
        (Clearance(daily_loss=-1.0), False),
    ],
)
def test_a_rule_that_says_nothing_sound_is_asked(said: Any, unasked: bool, lab: Lab, walk: Any) -> None:
    frame = walk(900, seed=3)
    action = np.zeros(900, np.int8)
    action[[300, 500, 700]], action[[350, 550]] = 1, -1
    market = market_of(frame, asset="BTCUSD", timeframe="1h", compiled=False)
    setup = lab.setup(stop=0.02, initial_balance=10_000.0)
    instrument = lab.instrument(market.asset, float(market.close[0]), setup)
    asked: set[datetime] = set()
    book = replace(lab.rulebook, rules=[Told(Odd(said), asked)])
    done = simulate(market, Calls(action, np.full(900, 80, np.int8)), setup, instrument, book)
    assert len(done.judged) == len(done.trades) == 3
    assert len(asked) == (0 if unasked else 3)
    assert [one.rulings[0].rule for one in done.judged] == ["odd"] * 3
