"""A market, an account and a provider that shouts; and an oracle that keeps its own books, in fractions.

The account trades what ``decide`` and the trading states let through. The oracle never asks the product what is
allowed: it values the account by units, as a fund does, sorts scenarios itself and lets numpy correlate.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np

from ffe_core import (
    Asset,
    Briefing,
    Effect,
    Mode,
    Opinion,
    Portfolio,
    Position,
    Regime,
    Reservation,
    SafetyRefusal,
    Timeframe,
    TradingState,
)
from ffe_core.builtin.gate import ffe_risk_rules
from ffe_core.builtin.voting import ffe_aggregation_strategies
from ffe_core.engine.decide import DecisionInputs, decide, decision_of
from ffe_core.ensemble.tiers import EnsembleRules
from ffe_core.risk.equity import BREACH, RESTART, Mark, past_of
from ffe_core.risk.states import TradingStates
from ffe_core.store.risk import StateEntry
from ffe_core.testing.samples import RISK_SETTINGS
from tests.risk.builders import AT, instrument, market, pulse, sizing

STRATEGIES = {strategy.name: strategy for strategy in ffe_aggregation_strategies()}
RULES = tuple(ffe_risk_rules())
ASSETS = {name: Asset.parse(name) for name in ("BTCUSD", "ETHUSD", "LTCUSD", "SOLUSD", "ADAUSD")}
FEE, SLIP = Decimal("0.001"), Decimal("0.0001")
DAY = timedelta(days=1)


class Log:
    """What the store's log of trading states is to ``TradingStates``."""

    def __init__(self, bazaar):
        self.bazaar, self.entries = bazaar, {}

    def append(self, asset, state, reason):
        self.entries[asset] = StateEntry(self.bazaar.now, asset, state, reason)
        return self.entries[asset]

    def standing(self):
        return list(self.entries.values())


def series(seed, kind, now):
    """Sixty daily returns of every asset: independent and calm, all alike, or wild."""
    rng = random.Random(seed)
    scale = 0.15 if kind == "wild" else 0.01
    common = [rng.gauss(0, scale) for _ in range(60)]
    made = {}
    for name in ASSETS:
        own = [rng.gauss(0, scale) for _ in range(60)]
        values = [c + o / 20 for c, o in zip(common, own, strict=True)] if kind == "alike" else own
        first = now - timedelta(days=60)
        made[name] = tuple((f"{first + timedelta(days=n):%Y-%m-%d}", value) for n, value in enumerate(values))
    return made


class Bazaar:
    def __init__(self, *, kind="calm", seed=0, shorts=False, rules=RULES):
        self.now, self.kind, self.seed, self.shorts, self.rules = AT, kind, seed, shorts, rules
        self.prices = dict.fromkeys(ASSETS, Decimal(100))
        self.portfolio = Portfolio("paper", "main", "USD", Decimal(10_000))
        self.marks, self.breach, self.restart, self.paid_in = [], None, None, Decimal(10_000)
        self.promises, self.states = [], TradingStates(Log(self))
        self.entries = self.exits = self.number = 0
        # the oracle's own books
        self.cash, self.held = Fraction(10_000), dict.fromkeys(ASSETS, Fraction(0))
        self.units, self.looks, self.barred = Fraction(10_000), [], None
        self.stopped = {}

    # the account, as the product sees it

    def valued(self):
        positions = tuple(
            replace(held, price=self.prices[held.asset.symbol]) for held in self.portfolio.positions if held.quantity
        )
        self.portfolio = replace(self.portfolio, positions=positions, at=self.now)
        return self.portfolio

    def past(self, equity):
        found = past_of(
            self.marks,
            Mark(self.now, equity, self.paid_in),
            day_began=self.now.replace(hour=0, minute=0, second=0, microsecond=0),
            max_drawdown=Decimal("0.05"),
            breach=self.breach,
            restart=self.restart,
        )
        if found.mark is not None:
            self.marks.append(found.mark)
            self.breach = found.mark if found.mark.kind == BREACH else self.breach
            self.restart = found.mark if found.mark.kind == RESTART else self.restart
        return found

    def inputs(self, name, action, volatility):
        asset, price, portfolio = ASSETS[name], self.prices[name], self.valued()
        self.promises = [one for one in self.promises if one.expires_at > self.now]
        equity = portfolio.equity
        past = self.past(equity)
        self.oracle_marks()
        standing = self.states.current(asset)
        shown = market(price=float(price), volatility=volatility)
        position = portfolio.position(asset)
        briefing = Briefing(
            asset=asset, as_of=self.now, mode=Mode.LIVE, timeframe=Timeframe.H1, horizon=24, market=shown,
            pulse=pulse(D1={"atr": float(price) * 0.01}), regime=Regime.UNKNOWN,
            position=position.quantity if position else Decimal(0),
        )  # fmt: skip
        shouts = tuple(Opinion(who, "m", action, 100, "ALL IN", local=True) for who in "abc")
        return DecisionInputs(
            briefing=briefing, opinions=shouts, fallback_opinions=(), ensemble=EnsembleRules("weighted", {}, 3),
            sizing=sizing(allow_short=self.shorts), entry_price=price,
            instrument=instrument(asset, can_short=self.shorts), portfolio=portfolio, state=standing.state,
            reservations=tuple(self.promises), risk_settings=RISK_SETTINGS, state_reason=standing.reason,
            daily_returns=series(self.seed, self.kind, self.now), peak_equity=past.peak,
            day_start_equity=past.day_start, drawdown_until=past.barred_until, closed_trades=(),
        )  # fmt: skip

    # what may happen

    def shout(self, name, action, volatility=0.02):
        """The whole panel shouts; what comes through is filled, a little worse and with a fee."""
        inputs = self.inputs(name, action, volatility)
        decided = decide(inputs, STRATEGIES, self.rules)
        self.number += 1
        decision = decision_of(str(self.number), self.now, inputs, decided)
        if decision.effect is Effect.NONE or decision.position_size is None:
            return
        try:
            self.states.require(decision.effect, ASSETS[name])
        except SafetyRefusal:
            return
        quantity = decision.position_size
        if decision.effect.is_exit:
            held = self.portfolio.position(ASSETS[name]).quantity
            signed = -quantity if held > 0 else quantity
        else:
            signed = -quantity if decision.effect is Effect.OPEN_SHORT else quantity
        self.judge(name, signed, volatility)
        self.fill(name, signed)
        self.entries += decision.effect.is_entry
        self.exits += decision.effect.is_exit

    def fill(self, name, signed):
        with localcontext(prec=80):
            price = self.prices[name] * (1 + SLIP * (1 if signed > 0 else -1))
            fee = abs(signed) * price * FEE
            held = self.portfolio.position(ASSETS[name])
            left = signed + (held.quantity if held else 0)
            others = tuple(one for one in self.portfolio.positions if one is not held)
            kept = (Position(ASSETS[name], left, price, self.prices[name]),) if left else ()
            cash = self.portfolio.cash - signed * price - fee
            self.portfolio = replace(self.portfolio, cash=cash, positions=others + kept)
        at = Fraction(self.prices[name]) * (1 + Fraction(SLIP) * (1 if signed > 0 else -1))
        self.cash -= Fraction(signed) * at + abs(Fraction(signed)) * at * Fraction(FEE)
        self.held[name] += Fraction(signed)

    def close_by_hand(self, name):
        held = self.valued().position(ASSETS[name])
        if held is not None:
            self.states.require(Effect.CLOSE, ASSETS[name], by_hand=True)
            self.fill(name, -held.quantity)

    def move(self, name, percent):
        moved = self.prices[name] * (100 + percent) / 100
        self.prices[name] = min(max(moved.quantize(Decimal("0.01")), Decimal(1)), Decimal(10_000))

    def pay(self, amount):
        """Cash comes or goes; the account is valued before and after, as it would be by whoever looks."""
        equity = self.valued().equity
        if equity <= 0 or equity + amount < 100:
            return
        self.past(equity)
        self.oracle_marks()
        self.units += Fraction(amount) * self.units / self.worth()
        self.cash += Fraction(amount)
        self.portfolio = replace(self.portfolio, cash=self.portfolio.cash + amount)
        self.paid_in += amount
        self.past(self.valued().equity)
        self.oracle_marks()

    def stop(self, change, name=None):
        asset = ASSETS[name] if name else None
        getattr(self.states, change)("because", asset)
        self.stopped[name] = {"halt": 2, "reduce": 1, "arm": 0}[change]

    def promise(self, name, notional):
        expires = self.now + timedelta(minutes=5)
        self.promises.append(Reservation(f"other-{len(self.promises)}", ASSETS[name], Decimal(notional), expires))

    def wait(self, minutes):
        self.now += timedelta(minutes=minutes)

    # the oracle

    def worth(self):
        return self.cash + sum(self.held[name] * Fraction(self.prices[name]) for name in ASSETS)

    def nav(self):
        return self.worth() / self.units

    def oracle_marks(self):
        """A drawdown seen now bars a day; the first look after that forgets every earlier peak.

        A look within a quarter of an hour of the one before is forgotten when it saw nothing new: no cash came or
        went, and the account had not risen by a thousandth.
        """
        seen = (self.now, self.nav(), self.worth(), self.paid_in)
        anew = self.barred is not None and self.now >= self.barred + DAY
        if anew:
            self.barred, self.looks = None, []
        self.looks = [look for look in self.looks if look[0] >= self.now - timedelta(days=30)]
        falls = self.barred is None and self.fall() > Fraction(5, 100)
        if falls:
            self.barred = self.now
        last = self.looks[-1] if self.looks else None
        alike = last and last[3] == seen[3] and seen[2] - last[2] <= abs(last[2]) / 1000
        if anew or falls or not (alike and self.now - last[0] < timedelta(minutes=15)):
            self.looks.append(seen)

    def fall(self):
        peak = max([self.nav(), *(look[1] for look in self.looks)])
        return 1 - self.nav() / peak if peak > 0 else Fraction(0)

    def morning(self):
        """What today's cash was worth when the day (UTC) began: by the last look of the day before, else the first."""
        began = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        before = [nav for at, nav, *_ in self.looks if began - DAY <= at <= began]
        since = [nav for at, nav, *_ in self.looks if at > began]
        return self.units * (before or since or [self.nav()])[-1 if before else 0]

    def judge(self, name, signed, volatility):
        """What an order may do, by the oracle's books. An assertion that fails is a limit that was passed."""
        severity = max(self.stopped.get(None, 0), self.stopped.get(name, 0))
        before, after = self.held[name], self.held[name] + Fraction(signed)
        assert severity < 2, "an order while HALTED"
        if abs(after) < abs(before):
            assert after == 0 or (after > 0) == (before > 0), "an exit that goes on to the other side"
            return
        assert severity == 0, "exposure grew while REDUCING"
        equity = self.worth()
        assert equity > 0, "an entry without equity"
        positions = {**self.held, name: after}
        values = {one: positions[one] * Fraction(self.prices[one]) for one in ASSETS if positions[one]}
        promised = sum(Fraction(one.notional) for one in self.promises)
        here = sum(Fraction(one.notional) for one in self.promises if one.asset.symbol == name)
        assert abs(values[name]) + here <= Fraction(25, 100) * equity, "concentration"
        assert sum(map(abs, values.values())) + promised <= 5 * equity, "leverage"
        paid = abs(Fraction(signed)) * Fraction(self.prices[name]) * (1 + Fraction(FEE))
        assert paid <= (self.cash - promised) * Fraction(97, 100), "buying power"
        assert self.barred is None or self.now >= self.barred + DAY, "an entry within a day of a drawdown"
        assert self.fall() <= Fraction(5, 100), "drawdown"
        assert self.worth() >= Fraction(97, 100) * self.morning(), "daily loss"
        assert volatility is not None, "an entry in a market of unknown volatility"
        self.judge_portfolio(values, equity)

    def judge_portfolio(self, values, equity):
        returns = series(self.seed, self.kind, self.now)
        rows = [
            sum(float(values[one] / equity) * value for one, (_, value) in zip(values, day, strict=True))
            for day in zip(*(returns[one] for one in values), strict=True)
        ]
        assert -sorted(rows)[round(Decimal(len(rows)) * Decimal("0.05"))] <= 0.05 + 1e-12, "value at risk"
        if len(values) > 1:
            since = f"{self.now - timedelta(days=30):%Y-%m-%d}"
            recent = [[value for day, value in returns[one] if day >= since] for one in values]
            rho = np.abs(np.corrcoef(recent))
            np.fill_diagonal(rho, 0)
            assert int((rho.max(axis=0) >= 0.7005).sum()) <= 2, "too many that move as one"

    def check_books(self):
        """Cash and positions are worth the same in both books, to the last digit."""
        portfolio = self.valued()
        with localcontext(prec=80):
            assert Fraction(portfolio.cash) == self.cash
            assert Fraction(portfolio.equity) == self.worth()
        for name, asset in ASSETS.items():
            held = portfolio.position(asset)
            assert (Fraction(held.quantity) if held else 0) == self.held[name]


__all__ = ["ASSETS", "Bazaar", "TradingState"]
