"""What all runs of one experiment have in common, and the lean measure of one of them.

An experiment runs the same account over the same bars, or over many variants of them. What does not change is prepared
once, here and in every worker; what is left of a run is its signals, the loop and five numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ffe_core import ColumnProvider, Columns, Instrument, Timeframe, UsageError, VectorProvider
from ffe_lab import loop, rows
from ffe_lab.costs import delays, thin_hours
from ffe_lab.courses import PRICES
from ffe_lab.drawdown import drawdown
from ffe_lab.lab import Lab
from ffe_lab.machine import compiled
from ffe_lab.makers import Maker, OneRule, maker_of
from ffe_lab.market import Market
from ffe_lab.metrics import FEWEST_DAYS, sharpe_per_period
from ffe_lab.returns import daily_equity, daily_rate, periods_per_year, simple_returns
from ffe_lab.simulate import Rulebook, Setup, Simulation, config_of, simulate
from ffe_lab.stops import stop_fractions
from ffe_lab.trades import Floats, Indices
from ffe_lab.trials import digest_of

if TYPE_CHECKING:
    from ffe_lab.backtest import Provider

type Point = Mapping[str, Any]

#: parameters of the account, which an experiment may vary beside those of the provider
ACCOUNT = ("stop", "target", "risk")
#: places of a run's row of numbers; what does not exist is NaN there
FINAL, SHARPE, DRAWDOWN, TRADES, WINS = range(5)
ROW = 5


@dataclass(frozen=True)
class Study:
    """Who decides, for which account, under which rules. ``fewest_days``: below it there is no Sharpe ratio."""

    maker: Maker
    setup: Setup
    instrument: Instrument
    rulebook: Rulebook | None
    risk_free: float
    fewest_days: int = FEWEST_DAYS

    @classmethod
    def of(
        cls,
        lab: Lab,
        market: Market,
        provider: Provider,
        setup: Setup,
        *,
        params: Point | None = None,
        risk_free: float | None = None,
        fewest_days: int = FEWEST_DAYS,
        maker: Maker | None = None,
    ) -> Study:
        """``maker`` where it is made already. Raises like ``maker_of``."""
        return cls(
            maker or maker_of(lab, market, provider, params),
            setup,
            lab.instrument(market.asset, float(market.close[market.first]), setup),
            lab.rulebook if setup.gate else None,
            lab.own.risk_free_rate if risk_free is None else risk_free,
            fewest_days,
        )

    def alone(self) -> VectorProvider | None:
        """The rule whose answers the loop can act on as they are: one, without a gate and without moving stops."""
        quick = isinstance(self.maker, OneRule) and not self.setup.gate and self.setup.exits.stop != "atr"
        return self.maker.provider if quick and isinstance(self.maker, OneRule) else None

    def simulation(self, market: Market, point: Point) -> Simulation:
        params, account = parted(point)
        calls = self.maker.calls(market, params)
        return simulate(market, calls, varied(self.setup, account), self.instrument, self.rulebook)


def parted(point: Point) -> tuple[dict[str, Any], dict[str, Any]]:
    """``(those of the provider, those of the account)``."""
    account = {name: value for name, value in point.items() if name in ACCOUNT}
    return {name: value for name, value in point.items() if name not in ACCOUNT}, account


def varied(setup: Setup, account: Point) -> Setup:
    """The account with another fixed ``stop``, ``target`` or ``risk``. Raises ``UsageError`` for no fraction."""
    if not account:
        return setup
    held = {name: _share(name, value) for name, value in account.items()}
    sizing, exits = setup.sizing, setup.sizing.exits
    if "stop" in held:
        exits = replace(exits, stop="fixed", fallback=held["stop"])
    if "target" in held:
        exits = replace(exits, target=held["target"])
    if "risk" in held:
        sizing = replace(sizing, risk=held["risk"])
    return replace(setup, sizing=replace(sizing, exits=exits))


def _share(name: str, value: Any) -> Decimal:
    most = 0.1 if name == "risk" else 1.0
    try:
        read = float(value)
    except (TypeError, ValueError):
        read = -1.0
    if not 0 <= read < most and not (name == "target" and 0 <= read < float("inf")):
        raise UsageError(f"{name} {value!r} is no fraction from 0 up to {most:g}")
    return Decimal(repr(read))


class Runner:
    """Runs one study over one market as often as is asked: columns and buffers are made once.

    Not for several threads at once; ``twin`` makes another one beside it.
    """

    def __init__(self, study: Study, market: Market) -> None:
        self.study, self.market = study, market.as_compiled()
        self._rate = daily_rate(study.risk_free, periods_per_year(market.asset.kind))
        self._room = 0

    def twin(self) -> Self:
        """The same runs with buffers of their own; indicators are shared."""
        return type(self)(self.study, self.market)

    def row(self, point: Point) -> Floats:
        """``ROW`` numbers of one run. Raises ``UsageError`` for a point that provider or account does not take."""
        study = self.study
        params, account = parted(point)
        if study.setup.gate or account:
            done = study.simulation(self.market, point)
            return self._measured(done.equity, len(done.trades), int(np.count_nonzero(done.trades.pnl > 0)))
        if isinstance(study.maker, OneRule):
            return self.row_of(study.maker.varied(params))
        return self._row_of(study.maker.calls(self.market, params).action)

    def row_of(self, rule: VectorProvider) -> Floats:
        """``row`` of a rule that has its parameters already, in a setup without a gate."""
        series = self.market.series
        return self._row_of(rule.actions(series) if isinstance(rule, ColumnProvider) else rule.ask_all(series).action)

    def _row_of(self, action: Any) -> Floats:
        (outcome,) = self.outcomes(self.market.series, action)
        row = np.empty(ROW)
        row[FINAL], row[DRAWDOWN] = outcome[rows.FINAL], outcome[rows.DRAWDOWN]
        row[TRADES], row[WINS] = outcome[rows.COUNT], outcome[rows.WINS]
        row[SHARPE] = self._sharpe(self._equity[self.market.first :])
        return row

    def outcomes(self, columns: Columns, action: Any) -> Floats:
        """float64[courses, rows.OUTCOMES] of the loop alone, in buffers that the next runs overwrite.

        ``action`` is int8[courses, bars] or int8[bars]. The gate is not asked. Raises ``ValueError`` where an account
        ends with no number.
        """
        prices = [self._table(columns, name) for name in PRICES]
        courses, bars = len(prices[3]), len(self.market.candles)
        signals = np.asarray(action, np.int8)
        signals = signals.reshape(1, bars) if signals.size == bars else signals
        signals = signals if len(signals) == courses else np.broadcast_to(signals, (courses, bars))
        outcomes = np.empty((courses, rows.OUTCOMES))
        self._kernels["run_rows"](
            self.market.first, bars, self._time, *prices, _frozen(signals), *self._fixed,
            self.study.setup.initial_balance, self._state, self._equity, self._trades, outcomes,
        )  # fmt: skip
        if not np.isfinite(outcomes).all():
            raise ValueError("the equity of a bar is no number")
        return outcomes

    def _table(self, columns: Columns, name: str) -> Floats:
        """A row for each course, or one for all where it is never looked at or nobody moves it."""
        if columns is self.market.series or name in self._unread:
            return self._tables[name]
        made: Floats = _frozen(columns.price(name))
        return made

    @cached_property
    def _tables(self) -> dict[str, Floats]:
        return {name: _frozen(getattr(self.market, name))[np.newaxis] for name in PRICES}

    @cached_property
    def _unread(self) -> frozenset[str]:
        """Prices that the loop has no reason to look at."""
        setup = self.study.setup
        exits = setup.exits.stop == "fixed" and setup.exits.fallback <= 0 and setup.exits.target <= 0
        away = {"high", "low"} if exits and setup.leverage <= 1 else set()
        return frozenset(away if setup.is_realistic else away | {"volume"})

    @cached_property
    def _state(self) -> Floats:
        return np.zeros(loop.STATE_SIZE)

    @cached_property
    def _equity(self) -> Floats:
        return np.zeros(len(self.market.candles))

    @cached_property
    def _trades(self) -> Floats:
        # At most one is opened in a bar. Rows that are never reached take no memory.
        return np.zeros((loop.TRADE_ROWS, len(self.market.candles) + 1))

    @cached_property
    def _kernels(self) -> Any:
        return compiled(rows)

    @cached_property
    def _time(self) -> Indices:
        made: Indices = _frozen(self.market.time)
        return made

    @cached_property
    def _fixed(self) -> list[Any]:
        """What the loop takes besides bars and signals."""
        market, setup = self.market, self.study.setup
        realistic, bars = setup.is_realistic, len(self.market.candles)
        late = delays(bars, market.timeframe.milliseconds, setup.seed) if realistic else np.empty(0, np.int64)
        fixed = (
            stop_fractions(market, setup.exits),
            thin_hours(market.time) if realistic else np.empty(0),
            late,
            config_of(setup, market, self.study.instrument),
        )
        return [_frozen(column) for column in fixed]

    def _measured(self, equity: Floats, trades: int, wins: int) -> Floats:
        initial = self.study.setup.initial_balance
        row = np.empty(ROW)
        row[FINAL] = equity[-1]
        row[SHARPE] = self._sharpe(equity)
        row[DRAWDOWN] = drawdown(equity, initial).fraction
        row[TRADES], row[WINS] = trades, wins
        return row

    def _sharpe(self, equity: Floats) -> float:
        """Per period; NaN where there is none."""
        if len(self._ends) < self.study.fewest_days:
            return np.nan
        sampled = self._sampled
        # Whatever the mode, no place is out of bounds; but to raise means a copy first.
        np.take(equity, self._ends, out=sampled[1:], mode="clip")
        found = sharpe_per_period(simple_returns(sampled), self._rate)
        return np.nan if found is None else found

    @cached_property
    def _sampled(self) -> Floats:
        return np.full(len(self._ends) + 1, self.study.setup.initial_balance)

    @cached_property
    def _ends(self) -> Indices:
        """The last bar of each trading day: what ``daily_equity`` makes of an equity that counts the bars."""
        market, first = self.market, self.market.first
        counted = np.arange(len(market), dtype=np.float64)
        made: Indices = daily_equity(market.closes[first:], counted, market.asset.kind, 1.0).equity[1:].astype(np.int64)
        return made


def _frozen(column: Any) -> Any:
    """A contiguous read-only view: one type for the compiler, so that each kernel is compiled once."""
    view = np.ascontiguousarray(column).view()
    view.flags.writeable = False
    return view


def trial_of(provider: str, params: Point, setup: Setup | str, timeframe: Timeframe) -> str:
    """What the trial ledger knows a run by: as ``backtest.configuration`` names it.

    A setup that many runs share may be given as its ``repr``.
    """
    told = setup if isinstance(setup, str) else repr(setup)
    return digest_of({"provider": provider, "params": dict(params), "setup": told, "timeframe": timeframe.value})
