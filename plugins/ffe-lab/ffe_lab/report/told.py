"""A run in sentences, the same for the page and the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ffe_lab.report.run import BUY_AND_HOLD, Run
from ffe_lab.report.wording import day_of, instant, name_of, number, parameters, percent


def title_of(data: Mapping[str, Any]) -> str:
    return f"{', '.join(assets_of(data))} by {name_of(data['provider'])}"


def assets_of(data: Mapping[str, Any]) -> list[str]:
    """The asset of a run, or those that shared its account."""
    several = data.get("asset_pairs")
    return [str(data["asset_pair"])] if several is None else [str(name) for name in several]


def fingerprints_of(data: Mapping[str, Any]) -> list[str]:
    """Of the data that the run saw, with the asset where there are several."""
    several = data.get("fingerprints")
    return [str(data["fingerprint"])] if several is None else [f"{name} {text}" for name, text in several.items()]


def span(data: Mapping[str, Any]) -> str:
    """Which bars the run saw and with which parameters."""
    params = parameters(data)
    told = f"{data['timeframe']} bars, {_day(data['start'])} to {_day(data['end'])}"
    return f"{told}; {params}" if params else told


def _day(value: Any) -> str:
    return value[:10] if isinstance(value, str) else day_of(instant(value))


def warnings(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What makes the figures less than they seem, each as a word and a sentence."""
    told = []
    if data.get("synthetic"):
        told.append(("SYNTHETIC", "these prices are invented; nothing here was or could have been earned"))
    if data.get("in_sample"):
        why = data["in_sample"]
        told.append(("IN-SAMPLE", why if isinstance(why, str) else "the parameters were chosen on this very span"))
    if data.get("portfolio_stop"):
        told.append(("PORTFOLIO STOP", "a drawdown of the whole account closed everything, and the run ended there"))
    return told


def lead(run: Run) -> str:
    """The run in three sentences, the last of which says what luck could have done."""
    metrics, days = run.metrics, len(run.days)
    total = number(metrics.get("total_return")) or 0.0
    count = int(number(metrics.get("total_trades")) or 0)
    told = (
        f"{run.initial:,.2f} became {metrics['final_value']:,.2f} ({percent(total)}) in {days:,} days with {count:,} "
        f"{'trade' if count == 1 else 'trades'}, after {metrics['total_fees']:,.2f} of fees."
    )
    held = number(run.baselines.get(BUY_AND_HOLD, {}).get("total_return"))
    if held is not None:
        told += f" Buying at the start and holding would have made {percent(held)}."
    return told + _luck(run.intervals.get("total_return"))


def _luck(interval: Sequence[float] | None) -> str:
    ends = [number(end) for end in interval or ()]
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        return " No interval was computed, so nothing here says how much of it is luck."
    told = f" The 95 % interval of the return reaches from {percent(ends[0])} to {percent(ends[1])}"
    if ends[0] <= 0 <= ends[1]:
        return f"{told}: zero lies within it, so luck alone would do as an explanation."
    return f"{told}: zero does not lie within it."
