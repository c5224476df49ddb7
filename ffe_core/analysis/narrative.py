"""A pulse in words, for prompts and terminals."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ffe_core.analysis.shape import age_in_words
from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.clock import iso
from ffe_core.domain.market import Confluence, FramePulse, Trend
from ffe_core.domain.numbers import format_price


def describe(
    asset: Asset, as_of: datetime, frames: Mapping[Timeframe, FramePulse | None], agreement: Confluence
) -> str:
    """The whole pulse as lines of text: direction, one line per frame (longest first), entry, alignment, age."""
    lines = [f"{asset}: overall {agreement.direction}, confidence {agreement.score} %"]
    for timeframe, frame in reversed(list(frames.items())):
        lines.append(f"{timeframe}: {describe_frame(frame) if frame is not None else 'no data'}")
    if agreement.entry_reasons:
        lines.append(f"Entry: {agreement.entry_signal} ({'; '.join(agreement.entry_reasons)})")
    lines.append(describe_alignment(frames))
    lines.append(describe_age(as_of, frames))
    return "\n".join(lines)


def describe_frame(frame: FramePulse) -> str:
    """One frame in one line; what has too few bars is left out."""
    price = f"price {format_price(frame.price)}"
    if frame.trend is Trend.UNKNOWN:
        parts = [f"trend unknown ({frame.bars} bars, 50 are needed)"]
    else:
        parts = [f"{frame.trend} (strength {frame.strength}, signals {frame.signal_strength})"]
    if frame.rsi is not None:
        parts.append(f"RSI {frame.rsi:.1f} {rsi_class(frame.rsi)}")
    if frame.macd_histogram is not None:
        parts.append(f"MACD {macd_side(frame.macd_histogram)}")
    if frame.bb_percent_b is not None:
        parts.append(f"{band_zone(frame.bb_percent_b)} (%B {frame.bb_percent_b:.0f})")
    if frame.adx is not None:
        parts.append(f"ADX {frame.adx:.1f} {adx_class(frame.adx)}, {dominant_side(frame)}")
    if frame.atr is not None:
        parts.append(f"ATR {format_price(frame.atr)}, {frame.volatility_class} volatility")
    for name, value in frame.extra.items():
        if value is not None:
            parts.append(f"{name} {format_price(value)}")
    return "; ".join([*parts, price])


def rsi_class(rsi: float) -> str:
    return "overbought" if rsi > 70 else "oversold" if rsi < 30 else "neutral"


def macd_side(histogram: float) -> str:
    return "bullish" if histogram > 0 else "bearish" if histogram < 0 else "neutral"


def band_zone(percent_b: float) -> str:
    """Where the price is against its Bollinger bands; ``percent_b`` in percent."""
    if percent_b > 100:
        return "above the upper band"
    if percent_b < 0:
        return "below the lower band"
    if percent_b > 80:
        return "near the upper band"
    return "near the lower band" if percent_b < 20 else "mid-band"


def adx_class(adx: float) -> str:
    return "strong" if adx > 25 else "developing" if adx > 20 else "weak"


def dominant_side(frame: FramePulse) -> str:
    if frame.plus_di is None or frame.minus_di is None or frame.plus_di == frame.minus_di:
        return "no side dominant"
    return "+DI dominant" if frame.plus_di > frame.minus_di else "-DI dominant"


def alignment(frames: Mapping[Timeframe, FramePulse | None]) -> str:
    """``bullish`` or ``bearish`` where at least three frames trend that way and fewer the other, else ``mixed``."""
    up, down, _ = _tally(frames)
    if up > down and up >= 3:
        return "bullish"
    return "bearish" if down > up and down >= 3 else "mixed"


def describe_alignment(frames: Mapping[Timeframe, FramePulse | None]) -> str:
    up, down, known = _tally(frames)
    text = f"Alignment: {alignment(frames)}, {up} up, {down} down, {known - up - down} ranging"
    agreeing = max(up, down)
    # Three fifths of what can be read is agreement, unless hardly anything can be read.
    return f"{text}; {agreeing} of {known} timeframes agree" if known >= 3 and agreeing * 5 >= known * 3 else text


def describe_age(as_of: datetime, frames: Mapping[Timeframe, FramePulse | None]) -> str:
    closed = [frame.closed_at for frame in frames.values() if frame is not None]
    if not closed:
        return f"Data: none at {iso(as_of)}"
    return f"Data: newest bar closed {age_in_words(as_of - max(closed))} before {iso(as_of)}"


def _tally(frames: Mapping[Timeframe, FramePulse | None]) -> tuple[int, int, int]:
    trends = [frame.trend for frame in frames.values() if frame is not None and frame.trend is not Trend.UNKNOWN]
    return trends.count(Trend.UPTREND), trends.count(Trend.DOWNTREND), len(trends)
