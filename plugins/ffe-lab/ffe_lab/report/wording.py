"""Figures as people read them: their names, their units, and why one is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from numbers import Real
from typing import Any

from ffe_core.domain.clock import from_ms, to_ms
from ffe_core.domain.numbers import format_price

MONEY, FRACTION, SHARE, RATIO, COUNT, BARS = range(6)
NOT_SHOWN = "not shown"
#: days or trades under which a statistic says nothing
ENOUGH = 30


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric of a run: its key in the data, what people call it, and its unit."""

    key: str
    label: str
    unit: int
    meaning: str = ""


_GROUPS = {
    "Result": (
        Figure("initial_balance", "Initial balance", MONEY),
        Figure("final_value", "Final value", MONEY, "open positions at the last close"),
        Figure("total_return", "Total return", FRACTION),
        Figure("annual_return", "Annual return", FRACTION, "compound, by calendar time"),
        Figure("total_fees", "Fees paid", MONEY),
    ),
    "Risk": (
        Figure("annual_volatility", "Annual volatility", SHARE, "of daily returns"),
        Figure("max_drawdown", "Maximum drawdown", SHARE, "on the equity of every bar"),
        Figure("max_drawdown_bars", "Longest drawdown", BARS, "from a peak until it is reached again"),
        Figure("ulcer_index", "Ulcer index", SHARE, "root mean square of drawdowns"),
        Figure("var_95", "Value at risk, 95 %", SHARE, "of a day"),
        Figure("var_99", "Value at risk, 99 %", SHARE, "of a day"),
        Figure("es_95", "Expected shortfall, 95 %", SHARE, "mean loss of the worst days"),
        Figure("es_99", "Expected shortfall, 99 %", SHARE, "mean loss of the worst days"),
    ),
    "Return for risk": (
        Figure("sharpe", "Sharpe ratio", RATIO, "a year"),
        Figure("sortino", "Sortino ratio", RATIO, "a year, downside only"),
        Figure("calmar", "Calmar ratio", RATIO, "annual return over maximum drawdown"),
        Figure("treynor", "Treynor ratio", RATIO, "excess return over beta"),
        Figure("recovery_factor", "Recovery factor", RATIO, "profit over maximum drawdown"),
    ),
    "Trades": (
        Figure("total_trades", "Trades", COUNT, "those open at the end among them"),
        Figure("winning_trades", "Winning", COUNT),
        Figure("losing_trades", "Losing", COUNT),
        Figure("break_even_trades", "Break even", COUNT),
        Figure("win_rate", "Win rate", SHARE),
        Figure("average_win", "Average win", MONEY),
        Figure("average_loss", "Average loss", MONEY),
        Figure("profit_factor", "Profit factor", RATIO, "gross profit over gross loss"),
        Figure("exposure", "Exposure", SHARE, "bars in the market"),
        Figure("longest_winning_streak", "Longest winning streak", COUNT),
        Figure("longest_losing_streak", "Longest losing streak", COUNT),
        Figure("concentration", "Concentration", RATIO, "0: all winners won the same; 1: one won everything"),
        Figure("pnl_autocorrelation", "Autocorrelation of results", RATIO, "of a trade with the one before"),
    ),
    "Luck or skill": (
        Figure("psr", "Probabilistic Sharpe ratio", SHARE, "chance that the true Sharpe ratio is above zero"),
        Figure("dsr", "Deflated Sharpe ratio", SHARE, "the same after paying for every configuration tried"),
        Figure("trials", "Configurations tried", COUNT, "on this asset and span"),
        Figure(
            "min_track_record_length",
            "Minimum track record",
            COUNT,
            "days until such a Sharpe ratio is shown to be above zero",
        ),
    ),
}
GROUPS: Mapping[str, tuple[Figure, ...]] = _GROUPS
FIGURES: Mapping[str, Figure] = {figure.key: figure for group in _GROUPS.values() for figure in group}

_OF_TRADES = frozenset({"win_rate", "average_win", "average_loss", "profit_factor"})
_OF_TRIALS = frozenset({"dsr", "trials"})
_WITHOUT = {
    "average_win": "no winning trade",
    "average_loss": "no losing trade",
    "profit_factor": "no losing trade",
    "sortino": "no day below the target",
    "calmar": "no drawdown",
    "recovery_factor": "no drawdown",
    "treynor": "no market to compare with",
    "min_track_record_length": "no Sharpe ratio above zero",
}


def number(value: Any) -> float | None:
    """``value`` where it is a number that exists, be it written as text as amounts of money are."""
    if isinstance(value, bool) or not isinstance(value, Real | Decimal | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def money(value: Any) -> str:
    """An amount with two decimals and its sign: what a trade earned or lost."""
    amount = number(value)
    return NOT_SHOWN if amount is None else f"{amount:+,.2f}"


def percent(value: float, *, sign: bool = True, digits: int = 2) -> str:
    """A fraction as people say it: 0.1234 is +12.34 %. What rounds to nothing has no sign."""
    text = f"{value * 100:{'+' if sign else ''},.{digits}f}"
    return f"{text if text.strip('+-0.') else text.lstrip('+-')} %"


def worded(key: str, value: Any) -> str:
    """The metric's value in its unit, or :data:`NOT_SHOWN`."""
    figure, amount = FIGURES[key], number(value)
    if amount is None:
        return NOT_SHOWN
    if figure.unit == MONEY:
        return f"{amount:,.2f}"
    if figure.unit in (FRACTION, SHARE):
        return percent(amount, sign=figure.unit == FRACTION)
    if figure.unit == RATIO:
        return f"{amount:,.2f}"
    return f"{amount:,.0f}{' bars' if figure.unit == BARS else ''}"


def between(key: str, interval: Any) -> str | None:
    """``low to high`` of an interval ``[low, high]``; None where there is none."""
    if not interval or any(number(end) is None for end in interval):
        return None
    low, high = (worded(key, end) for end in interval)
    return f"{low.removesuffix(' %')} to {high}"


def reason_missing(key: str, data: Mapping[str, Any], days: int) -> str:
    """Why the data hold no figure under ``key``."""
    trades = number(data["metrics"].get("total_trades")) or 0
    if key == "concentration":
        return "fewer than three winning trades"
    if key in _OF_TRADES and not trades:
        return "no trades"
    if key in _OF_TRADES or key == "pnl_autocorrelation":
        return _WITHOUT.get(key, "too few trades") if trades >= ENOUGH else f"{trades:.0f} trades are too few"
    if key in _OF_TRIALS and number(data["metrics"].get("trials")) is None:
        return "nobody counted what was tried"
    if days < ENOUGH:
        return f"{days} days are too few, {ENOUGH} are needed"
    return _WITHOUT.get(key, "cannot be computed from these returns")


def instant(value: Any) -> int:
    """Epoch milliseconds of an ISO 8601 text, an aware datetime or milliseconds.

    Raises ``ValueError`` for a text or datetime without a time zone.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; write it with one, such as a Z at its end")
        return to_ms(value.astimezone(UTC))
    return int(value)


def day_of(ms: int) -> str:
    return f"{from_ms(ms):%Y-%m-%d}"


def minute_of(ms: int) -> str:
    return f"{from_ms(ms):%Y-%m-%d %H:%M}"


def price(value: Any) -> str:
    amount = number(value)
    return NOT_SHOWN if amount is None else format_price(amount)


def parameters(data: Mapping[str, Any]) -> str:
    """The provider's parameters on one line, empty where there are none."""
    return ", ".join(f"{name_of(key)} {value}" for key, value in (data.get("params") or {}).items())


def numbered(assumptions: Sequence[Any]) -> list[tuple[int, str]]:
    """Assumptions with their numbers: their own where they bring them along, as ``3. no shorts`` does."""
    found: list[tuple[int, str]] = []
    for at, line in enumerate(map(str, assumptions), 1):
        own, dot, rest = line.partition(". ")
        found.append((int(own), rest) if dot and own.isascii() and own.isdecimal() else (at, line))
    return found


def decisive(assumptions: Sequence[Any], most: int) -> list[tuple[int, str]]:
    """The assumptions that name a figure, ``most`` at most: what was set for this run rather than holds for all."""
    told = numbered(assumptions)
    return [(at, line) for at, line in told if any(letter.isdigit() for letter in line)][:most] or told[:most]


def name_of(key: object) -> str:
    """A key as words: ``buy_and_hold`` is buy and hold."""
    return str(key).replace("_", " ")
