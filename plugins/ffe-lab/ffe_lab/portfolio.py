"""Several assets on shared cash: correlated positions are made smaller, and one stop watches over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from ffe_core import AssetKind, Candles, UsageError, from_ms
from ffe_core.domain.clock import iso
from ffe_lab import shared_cash as pool
from ffe_lab.assumptions import several
from ffe_lab.backtest import (
    Provider,
    isos,
    market_of,
    money,
    name_of,
    pair,
    record,
    setup_of,
    trade_rows_of,
    usual_lab,
)
from ffe_lab.behind import decisions_of, refusals_of
from ffe_lab.bootstrap import Intervals, intervals
from ffe_lab.lab import ENSEMBLE, Lab
from ffe_lab.machine import COMPILED_PAYS_FROM
from ffe_lab.market import Market
from ffe_lab.metrics import Metrics, measure
from ffe_lab.returns import Daily, MetricsBasis, daily_equity
from ffe_lab.shared_run import Dates, Done, Run, Sharing, Table
from ffe_lab.simulate import UNGATED, Setup
from ffe_lab.terms import Account, require_known
from ffe_lab.trades import NO_TRADES, Floats, Indices, Trades

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Portfolio:
    """A run of several assets. ``time`` and ``closes`` are its dates: when its bars open, and when they end.

    ``intervals``, ``baselines`` and ``cost_sensitivity`` are computed when they are asked for.
    """

    lab: Lab
    provider: str
    params: Mapping[str, Any]
    setup: Setup
    run: Run = field(repr=False)
    done: Done = field(repr=False)
    metrics: Metrics
    basis: MetricsBasis

    @property
    def markets(self) -> tuple[Market, ...]:
        return self.run.markets

    @property
    def sharing(self) -> Sharing:
        return self.run.sharing

    @property
    def time(self) -> Indices:
        return self.run.table.time[: len(self.done.equity)]

    @property
    def closes(self) -> Indices:
        return self.run.table.closes[: len(self.done.equity)]

    @property
    def equity(self) -> Floats:
        """The account at the close of each date, up to the one on which everything was closed."""
        return self.done.equity

    @property
    def trades(self) -> Trades:
        return self.done.trades

    @property
    def of_asset(self) -> Indices:
        """Which asset each trade was of."""
        return self.done.of_asset

    @property
    def kind(self) -> AssetKind:
        """Of the days that returns are measured over: the assets' own, or calendar days where they differ."""
        return _kind(self.markets)

    @property
    def stopped(self) -> bool:
        """Whether the account fell so far that everything was closed."""
        return bool((self.trades.reason == int(pool.BY_PORTFOLIO_STOP)).any())

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(market.asset.symbol for market in self.markets)

    def attribution(self) -> dict[str, dict[str, float | int | None]]:
        """What each asset brought: ``pnl``, its trades, the share of them that won, and its share of the sum.

        The ``pnl`` of all assets add up to what the account gained; ``contribution`` is ``None`` where that is nothing.
        """
        total = float(self.trades.pnl.sum())
        made: dict[str, dict[str, float | int | None]] = {}
        for place, symbol in enumerate(self.symbols):
            pnl = self.trades.pnl[self.of_asset == place]
            brought, count = float(pnl.sum()), len(pnl)
            made[symbol] = {
                "pnl": brought,
                "trades": count,
                "win_rate": float(np.count_nonzero(pnl > 0) / count) if count else None,
                "contribution": brought / total if total else None,
            }
        return made

    @cached_property
    def assumptions(self) -> tuple[str, ...]:
        return several(self.markets[0], self.setup, self.sharing)

    @cached_property
    def refused(self) -> Mapping[str, int]:
        """How many entries came to nothing, by why."""
        return refusals_of([judged for _, judged in self.done.judged], self.done.refused)

    @cached_property
    def daily(self) -> Daily:
        return daily_equity(self.closes, self.equity, self.kind, self.setup.initial_balance)

    def intervals(self, *, resamples: int = 2000, seed: int = 0) -> Intervals:
        """Where return, Sharpe ratio and drawdown would lie in 95 % of histories of these days."""
        return intervals(self.daily.returns, self.kind, self.basis.risk_free, resamples=resamples, seed=seed)

    def baselines(self) -> dict[str, Any]:
        """Buying as much of each asset at its first open and keeping it, at the same costs; and doing nothing."""
        courses = {"buy_and_hold": self.held(), "always_hold": np.full(len(self.equity), self.setup.initial_balance)}
        return {
            name: record(_measured(self.run, self.setup, self.basis.risk_free, equity, NO_TRADES, None))
            for name, equity in courses.items()
        }

    def cost_sensitivity(self) -> list[dict[str, Any]]:
        """What twice the cost, the venue's usual fee and the break-even cost make of the run."""
        from ffe_lab.sensitivity import rows_at

        assets = [market.asset for market in self.markets]
        return rows_at(self, self.setup, assets, lambda setup: _over(self, setup))

    def columns(self) -> dict[str, dict[str, list[Any]]]:
        """By asset the columns of its bars from the first date to the last, for pictures."""
        names = ("time", "open", "high", "low", "close")
        ends = [int(np.searchsorted(market.closes, self.closes[-1], side="right")) for market in self.markets]
        return {
            market.asset.symbol: {name: getattr(market, name)[market.first : end].tolist() for name in names}
            for market, end in zip(self.markets, ends, strict=True)
        }

    def held(self) -> Floats:
        """The account of someone who bought as much of each asset at its first open, and kept it, at every close."""
        return _held(self)

    def decisions(self) -> list[dict[str, Any]]:
        """What stood behind each trade: the call at the close before its entry, and what the risk rules said."""
        made = []
        for place, (market, calls) in enumerate(zip(self.markets, self.run.calls, strict=True)):
            opened = self.time[self.trades.entry[self.of_asset == place]]
            bars = np.searchsorted(market.time, opened) - 1
            judged = [one for at, one in self.done.judged if at == place]
            told = decisions_of(market, calls, judged, bars.tolist())
            made += [{"asset_pair": market.asset.symbol, **one} for one in told]
        return made

    def frame(self) -> pd.DataFrame:
        """Equity of every date, indexed by the UTC time at which its bars open."""
        import pandas as pd

        index = pd.to_datetime(self.time, unit="ms", utc=True)
        return pd.DataFrame({"equity": self.equity}, index=index.rename("time"))

    def _repr_html_(self) -> str:
        import pandas as pd

        return str(pd.DataFrame(self.attribution()).T.to_html())

    def data(self, *, full: bool = True) -> dict[str, Any]:
        """What ``ffe backtest A B --json`` prints; with ``full`` intervals, baselines and other costs."""
        first = self.markets[0]
        made: dict[str, Any] = {
            "asset_pairs": list(self.symbols),
            "timeframe": first.timeframe.value,
            "start": iso(from_ms(int(self.time[0]))),
            "end": iso(from_ms(int(self.closes[-1]))),
            "source": ",".join(dict.fromkeys(market.candles.source for market in self.markets)),
            "synthetic": any(market.candles.synthetic for market in self.markets),
            "provider": self.provider,
            "params": dict(self.params),
            "assumptions": list(self.assumptions),
            "fingerprints": {market.asset.symbol: market.candles.fingerprint for market in self.markets},
            "metrics_basis": record(self.basis),
            "metrics": record(self.metrics),
            "attribution": {
                symbol: {**found, "pnl": money(float(found["pnl"] or 0.0))}
                for symbol, found in self.attribution().items()
            },
            "portfolio_stop": self.stopped,
        }
        if full:
            found = self.intervals()
            made["intervals"] = {one.name: pair(getattr(found, one.name)) for one in fields(found)}
            made["baselines"] = self.baselines()
        made["trades"] = [
            {"asset_pair": self.symbols[place], **row}
            for place, row in zip(self.of_asset.tolist(), trade_rows_of(self.trades, self.time), strict=True)
        ]
        made["equity"] = [
            {"time": at, "value": value} for at, value in zip(isos(self.closes), self.equity.tolist(), strict=True)
        ]
        made["refused"] = dict(self.refused)
        if full:
            made["cost_sensitivity"] = self.cost_sensitivity()
        return made | self.of_models()

    def of_models(self) -> dict[str, Any]:
        """``ai``, in all and by asset, and ``hindsight`` of the account, where models were asked, else nothing."""
        heard = [calls.heard for calls in self.run.calls if calls.heard is not None]
        if not heard:
            return {}
        from ffe_lab.exposure import Decided, Result, expenses, hindsight, together

        settings, dates = self.lab.settings, self.run.table.dates
        each = zip(heard, self.markets, self.run.calls, dates.bars, dates.place, strict=True)
        decided = [
            Decided.of(votes, market, calls, self.setup, settings.decision.horizon, at=bars, bar=place)
            for votes, market, calls, bars, place in each
        ]
        result = Result(self.closes, self.daily, self.basis, self.trades, self.of_asset)
        panel = self.lab.panel(self.provider.split(","))
        counts = np.bincount(self.of_asset, minlength=len(heard)).tolist()
        by_asset = zip(self.symbols, heard, counts, strict=True)
        spent = {
            **expenses(together(heard), len(self.trades)),
            "assets": {symbol: expenses(votes, count) for symbol, votes, count in by_asset},
        }
        return {"ai": spent, "hindsight": hindsight(decided, result, panel, settings)}


def portfolio(
    assets: Mapping[str, pd.DataFrame | Candles] | Sequence[Market],
    provider: Provider = ENSEMBLE,
    *,
    params: Mapping[str, Any] | None = None,
    sharing: Sharing | None = None,
    risk_free: float | None = None,
    compiled: bool | None = None,
    lab: Lab | None = None,
    **account: Unpack[Account],
) -> Portfolio:
    """What ``provider`` would have made of several assets of one timeframe and currency with one account.

    ``assets``: DataFrames or candles by name, or markets; each may begin with bars for warm-up. With the gate, which is
    on unless told otherwise, an entry is sized as a live one, made smaller beside what it moves with, and judged by the
    risk rules on the whole account after the trade; without it ``sharing`` says how much goes into a position. Raises
    ``UsageError``, ``BadData``, ``NoData`` where the assets have fewer than five dates in common, and ``TypeError``
    for a keyword that there is not.
    """
    require_known(account, Account)
    bench, sharing = lab or usual_lab(), sharing or Sharing()
    markets = _markets(assets)
    setup = setup_of(bench, account)
    require_shared(setup, account.get("sizing"))
    dates = Dates.of(markets, sharing.join)
    # Nobody pays for what a model says of a date that is not traded.
    calls = bench.calls_together(markets, provider, params, dates.bars)
    table = Table.of(dates, markets, calls)
    fast = table.cells >= COMPILED_PAYS_FROM if compiled is None else compiled
    run = Run(bench, markets, calls, sharing, table, fast)
    rate = bench.own.risk_free_rate if risk_free is None else risk_free
    return _made(bench, name_of(provider), dict(params or {}), setup, run, rate)


def require_shared(setup: Setup, sizing: str | None) -> None:
    """Raises ``UsageError`` for an account that several assets cannot share."""
    if setup.is_realistic:
        raise UsageError("several assets are simulated with flat slippage", hint="--execution basic")
    if setup.leverage != 1:
        raise UsageError("several assets share an account that borrows nothing", hint="--leverage 1")
    if sizing is not None and (sizing in UNGATED or not setup.gate):
        raise UsageError(
            f"sizing {sizing} is for one asset", hint="without the gate each position gets a share of equity"
        )


def _made(bench: Lab, provider: str, params: Mapping[str, Any], setup: Setup, run: Run, rate: float) -> Portfolio:
    done = run.through(setup)
    metrics = _measured(run, setup, rate, done.equity, done.trades, done.exposure)
    return Portfolio(bench, provider, params, setup, run, done, metrics, MetricsBasis.of(_kind(run.markets), rate))


def _over(made: Portfolio, setup: Setup) -> Portfolio:
    return _made(made.lab, made.provider, made.params, setup, made.run, made.basis.risk_free)


def _measured(run: Run, setup: Setup, rate: float, equity: Floats, trades: Trades, exposure: float | None) -> Metrics:
    table, kind = run.table, _kind(run.markets)
    closes = table.closes[: len(equity)]
    return measure(
        closes=closes,
        equity=equity,
        trades=trades,
        initial_balance=setup.initial_balance,
        kind=kind,
        risk_free=rate,
        exposure=exposure,
        benchmark=daily_equity(closes, _side_by_side(table)[: len(closes)], kind, 1.0).returns,
        begins=int(table.time[0]),
    )


def _markets(assets: Mapping[str, pd.DataFrame | Candles] | Sequence[Market]) -> tuple[Market, ...]:
    made = (
        tuple(market_of(bars, asset=name) for name, bars in assets.items())
        if isinstance(assets, Mapping)
        else tuple(assets)
    )
    if not made:
        raise UsageError("a portfolio without assets makes nothing")
    names = [market.asset.symbol for market in made]
    if len(set(names)) < len(names):
        raise UsageError(f"{', '.join(names)}: an asset is named twice")
    if len({market.timeframe for market in made}) > 1:
        raise UsageError("the assets of a portfolio have bars of one length")
    if len({market.asset.quote for market in made} - {""}) > 1:
        told = ", ".join(f"{market.asset} in {market.asset.quote}" for market in made if market.asset.quote)
        raise UsageError(f"the assets of a portfolio are quoted in one currency, not {told}")
    return made


def _kind(markets: Sequence[Market]) -> AssetKind:
    kinds = {market.asset.kind for market in markets}
    return kinds.pop() if len(kinds) == 1 else AssetKind.UNKNOWN


def _side_by_side(table: Table) -> Floats:
    """What is worth as much of each asset at its first close, and 1 until then, on the average."""
    worth = np.zeros(len(table.closes))
    for close in table.prices["close"]:
        begins = int(np.argmax(close > 0))
        worth += np.where(close > 0, close / close[begins], 1.0) if close[begins] > 0 else 1.0
    made: Floats = worth / len(table.prices["close"])
    return made


def _held(made: Portfolio) -> Floats:
    """What waits for the first open of an asset is cash."""
    table, costs, count = made.run.table, made.setup.costs, len(made.equity)
    share = made.setup.initial_balance / len(made.markets)
    worth = np.zeros(count)
    for place, market in enumerate(made.markets):
        begins = int(np.argmax(table.present[place] > 0))
        price = float(table.prices["open"][place][begins]) * (1 + costs.base(market.asset))
        units = (share - costs.commission) / (price * (1 + costs.fee))
        close = table.prices["close"][place][:count]
        worth += np.where(np.arange(count) < begins, share, units * close)
    return worth


__all__ = ["Portfolio", "Sharing", "portfolio"]
