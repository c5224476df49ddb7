"""What one bar looks like, and what is wrong with it."""

from __future__ import annotations

import math
from datetime import timedelta

from ffe_core.domain.market import CandleShape

OLDEST_USABLE = timedelta(hours=24)


def candle_shape(open: float, high: float, low: float, close: float) -> CandleShape:  # noqa: A002
    """Anatomy of one bar: sizes in price, fractions of the close. A bar without range closes in its middle."""
    span = high - low
    body = abs(close - open)
    return CandleShape(
        price_range=span,
        price_range_fraction=span / close if close else 0.0,
        body_size=body,
        body_fraction=body / close if close else 0.0,
        upper_wick=high - max(open, close),
        lower_wick=min(open, close) - low,
        trend="bullish" if close > open else "bearish" if close < open else "neutral",
        is_bullish=close > open,
        close_position=(close - low) / span if span else 0.5,
    )


def violations(
    open: float | None,  # noqa: A002
    high: float | None,
    low: float | None,
    close: float | None,
    *,
    age: timedelta | None = None,
) -> tuple[str, ...]:
    """Each rule that one bar breaks, ready to print; empty for a sound one. ``age`` is the time since it closed."""
    found = []
    prices = {"open": open, "high": high, "low": low, "close": close}
    for name, value in prices.items():
        if value is None or math.isnan(value):
            found.append(f"{name} is missing")
        elif math.isinf(value):
            found.append(f"{name} is infinite")
        elif value <= 0:
            found.append(f"{name} is {value:g}, not a positive price")
    known = {name: value for name, value in prices.items() if value is not None and math.isfinite(value)}
    top, bottom = known.get("high"), known.get("low")
    if top is not None and bottom is not None and top < bottom:
        found.append("high is below low")
    else:
        for name in ("open", "close"):
            value = known.get(name)
            if value is not None and top is not None and value > top:
                found.append(f"{name} is above high")
            if value is not None and bottom is not None and value < bottom:
                found.append(f"{name} is below low")
    if age is not None and age > OLDEST_USABLE:
        found.append(f"closed {age_in_words(age)} ago, more than a day")
    return tuple(found)


def age_in_words(age: timedelta) -> str:
    """``45 seconds``, ``3 minutes``, ``2 hours 5 minutes``, ``12 days``; a negative age is ``0 seconds``."""
    seconds = max(0, int(age.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if days >= 2:
        return _count(days, "day")
    if hours:
        rest = minutes - hours * 60
        return _count(hours, "hour") + (f" {_count(rest, 'minute')}" if rest else "")
    return _count(minutes, "minute") if minutes else _count(seconds, "second")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
