"""What a simulation takes for granted, one line each, in the order of docs/backtesting.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ffe_core import AssetKind, Timeframe
from ffe_lab.market import Market
from ffe_lab.simulate import Setup

if TYPE_CHECKING:
    from ffe_lab.shared_run import Sharing


def assumptions(market: Market, setup: Setup) -> tuple[str, ...]:
    """In the order of the document; what does not apply to this run is left out."""
    return tuple(line for line in _lines(market, setup) if line)


def _lines(market: Market, setup: Setup) -> list[str]:
    costs, exits, sizing = setup.costs, setup.exits, setup.sizing
    percent = "{:.4g} %".format
    return [
        f"decisions are made at the close of each {market.timeframe} bar and know nothing later",
        "an order decided at a close fills at the next open",
        _closed(market),
        "inside a bar the stop is looked at before the target, on the bar of the entry too",
        "a bar that opens beyond a stop or a target fills at its open",
        "a stop fills with slippage, a target without; both pay their fee",
        _stop(setup),
        f"target {percent(float(exits.target) * 100)} from the fill" if exits.target > 0 else "no target",
        f"fee {percent(costs.fee * 100)} per fill"
        + (f", {percent(costs.maker_fee * 100)} at a target" if costs.maker is not None else "")
        + (f", commission {costs.commission:g} per fill" if costs.commission else ""),
        _slippage(setup, market),
        _latency(setup, market),
        _sizing(setup),
        "the gate is on: every entry is judged by the risk rules of live runs; exits always pass"
        if setup.gate
        else "the gate is off: no risk rule judges entries",
        f"an entry needs a confidence of {float(setup.threshold) * 100:g}" if setup.gate else "",
        "an entry is given up where the next open has gone a quarter of the way to its stop, either way"
        if setup.gate
        else "",
        "shorts are opened" if sizing.allow_short else "no shorts: a SELL only leaves a long position",
        f"leverage {setup.leverage:g}, liquidated at {percent(setup.maintenance * 100)} of the initial margin"
        if setup.leverage > 1
        else "nothing is borrowed",
        "equity is marked at every close; a position at the end is marked and not sold",
        "the account is in the asset's quote currency and earns no interest",
    ]


def _closed(market: Market) -> str:
    if market.asset.kind is AssetKind.STOCK and market.timeframe is Timeframe.D1:
        return "a session follows the one before it over week-ends and holidays; entries wait for it"
    return "an entry whose next bar does not follow at once is cancelled, an exit fills at the next open there is"


def _stop(setup: Setup) -> str:
    exits = setup.exits
    if exits.stop == "atr":
        return (
            f"stop {float(exits.atr_multiple):g} daily ranges (ATR 14) from the fill, "
            f"{float(exits.min) * 100:g} to {float(exits.max) * 100:g} %, fixed at the entry"
        )
    return f"stop {float(exits.fallback) * 100:g} % from the fill" if exits.fallback > 0 else "no stop"


def _slippage(setup: Setup, market: Market) -> str:
    costs = setup.costs
    if costs.model == "basic":
        return f"slippage {costs.slippage * 100:.4g} % against every market order"
    return (
        f"slippage by asset ({costs.base(market.asset) * 100:.4g} %), size, hour and share of the bar's volume "
        f"(factor {costs.impact:g}, 5 % at most)"
    )


def _latency(setup: Setup, market: Market) -> str:
    if not setup.is_realistic:
        return "orders arrive at once"
    late = "one that misses the next open fills at a later one"
    return f"orders arrive after a lognormal time, median 0.5 s (seed {setup.seed}); {late}"


def _sizing(setup: Setup) -> str:
    sizing = setup.sizing
    if sizing.method == "all_in":
        return "all of the account goes into every entry"
    if sizing.method == "fixed_amount":
        return f"{float(sizing.amount):g} or a tenth of equity, whichever is less, goes into every entry"
    what = {
        "risk": f"{float(sizing.risk) * 100:g} % of equity is lost at the stop",
        "kelly": "the damped Kelly fraction of equity goes into every entry",
        "fixed_fraction": f"{float(sizing.risk) * 100:g} % of equity goes into every entry",
    }[sizing.method]
    return f"{what}; at most {float(sizing.max_concentration) * 100:g} % of equity in the asset"


def several(market: Market, setup: Setup, sharing: Sharing) -> tuple[str, ...]:
    """Those of several assets, of which ``market`` is one; what does not apply is left out."""
    return tuple(line for line in _shared_lines(market, setup, sharing) if line)


def _shared_lines(market: Market, setup: Setup, sharing: Sharing) -> list[str]:
    costs, exits = setup.costs, setup.exits
    percent = "{:.4g} %".format
    dates = "that all assets have" if sharing.join == "intersection" else "that any asset has"
    return [
        f"decisions are made at the close of each {market.timeframe} bar and know nothing later",
        f"bars are those of the dates {dates}",
        "an order decided at a close fills at the asset's next open; an entry after a gap is cancelled",
        "inside a bar the stop is looked at before the target, on the bar of the entry too",
        "a bar that opens beyond a stop or a target fills at its open",
        "a stop fills with slippage, a target without; both pay their fee",
        _stop(setup),
        f"target {percent(float(exits.target) * 100)} from the fill" if exits.target > 0 else "no target",
        f"fee {percent(costs.fee * 100)} per fill, commission {costs.commission:g}, "
        f"slippage {percent(costs.slippage * 100)}",
        _shared_size(setup, sharing),
        f"less of it, down to a half, where returns of {sharing.window} bars correlate above {sharing.threshold:g} "
        "with anything held",
        "the gate is on: every entry is judged by the risk rules of live runs, on the whole account after the trade; "
        "exits always pass"
        if setup.gate
        else "the gate is off: no risk rule judges entries",
        "assets are decided in their order; what one ordered at a close counts as held for the next"
        if setup.gate
        else "",
        f"an entry needs a confidence of {float(setup.threshold) * 100:g}" if setup.gate else "",
        "an entry is given up where the next open has gone a quarter of the way to its stop, either way"
        if setup.gate
        else "",
        _shorts(setup, sharing),
        f"a drawdown of {percent(sharing.stop * 100)} closes everything at the next opens and ends the run"
        if sharing.stop > 0
        else "",
        "equity is marked at every close; a position at the end is marked and not sold",
        "all assets are quoted in the account's currency, which earns no interest; nothing is borrowed",
    ]


def _shared_size(setup: Setup, sharing: Sharing) -> str:
    if setup.gate:
        return _sizing(setup)
    return (
        f"{sharing.share * 100:g} % of equity, times the confidence (a half at least), goes into a position; "
        f"at most {sharing.cash * 100:g} % of the cash"
    )


def _shorts(setup: Setup, sharing: Sharing) -> str:
    if not setup.sizing.allow_short:
        return "no shorts: a SELL only leaves a long position"
    return (
        "shorts are opened" if setup.gate else f"shorts are opened, up to {sharing.short_limit:g} times equity in all"
    )
