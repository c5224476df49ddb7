"""The reading of six timeframes: trend, strength, agreement, and the same in words.

Where a number is cut to a whole one the arithmetic is exact (fractions of the decimals as printed): 77.5 is 77 and 70
is 70 on every machine, which floats do not promise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction

from ffe_core.analysis.indicators import last, standard_set
from ffe_core.analysis.narrative import describe
from ffe_core.domain.assets import PULSE_TIMEFRAMES, Asset, Timeframe
from ffe_core.domain.clock import require_utc
from ffe_core.domain.market import Candles, Confluence, FramePulse, Pulse, Trend, VolatilityClass

#: Bars that a frame is read from. After 500 the memory of Wilder's and the exponential means is below the last bit, so
#: a fixed window makes the reading the same however much history a source happens to hold.
PULSE_BARS = 500

#: How much each frame counts towards agreement.
WEIGHTS = {
    Timeframe.D1: 40,
    Timeframe.H4: 25,
    Timeframe.H1: 15,
    Timeframe.M15: 10,
    Timeframe.M5: 5,
    Timeframe.M1: 5,
}

#: The MACD histogram is a price difference: 1.0 is nothing for bitcoin and absurd for the euro. In quarters of the ATR
#: it has no unit, and the two thresholds 1.0 and 0.5 part every market alike: on crypto, forex and stocks from one
#: minute to one day the first is passed by 21 to 34 % of all bars and the second by 53 to 65 %.
HISTOGRAM_UNIT_IN_ATR = Fraction(1, 4)

type PluginIndicators = Callable[[Candles], Mapping[str, float | None]]


def build_pulse(
    asset: Asset,
    as_of: datetime,
    series: Mapping[Timeframe, Candles | None],
    *,
    indicators: Sequence[str] = (),
    plugin_indicators: PluginIndicators | None = None,
    compiled: bool = False,
) -> Pulse:
    """The pulse of ``asset`` from bars complete at ``as_of``; later ones are not looked at.

    ``indicators`` are names of the catalogue, ``plugin_indicators`` is asked once per frame; both end up in ``extra``.
    A frame that is absent or empty is ``None`` and listed in ``missing``. Raises ``UnknownName`` for an indicator that
    the catalogue does not have.
    """
    as_of = require_utc(as_of)
    frames: dict[Timeframe, FramePulse | None] = {}
    for timeframe in PULSE_TIMEFRAMES:
        candles = series.get(timeframe)
        frames[timeframe] = (
            frame_pulse(candles.as_of(as_of), extra=indicators, plugin_indicators=plugin_indicators, compiled=compiled)
            if candles is not None
            else None
        )
    agreement = confluence(frames)
    return Pulse(
        asset=asset,
        as_of=as_of,
        frames=frames,
        confluence=agreement,
        missing=tuple(timeframe for timeframe, frame in frames.items() if frame is None),
        summary=describe(asset, as_of, frames, agreement),
    )


def frame_pulse(
    candles: Candles,
    *,
    extra: Sequence[str] = (),
    plugin_indicators: PluginIndicators | None = None,
    compiled: bool = False,
) -> FramePulse | None:
    """The reading at the last bar of ``candles``, all of which count as complete; ``None`` for an empty series."""
    closed_at = candles.last_close_at
    if closed_at is None:
        return None
    bars = candles.tail(PULSE_BARS)
    columns = standard_set(bars, compiled=compiled)
    value = {name: last(column) for name, column in columns._asdict().items()}
    price = float(bars.close[-1])
    # Without a single move RSI is 0 by definition, which would read as oversold; a flat market is neither.
    rsi = value["rsi"] if min(bars.close) < max(bars.close) else None
    band = percent_b(price, value["bb_upper"], value["bb_lower"])
    trend, strength = classify_trend(
        price,
        value["bb_middle"],
        value["sma_50"],
        adx=value["adx"],
        plus_di=value["plus_di"],
        minus_di=value["minus_di"],
        macd=value["macd"],
        macd_signal=value["macd_signal"],
    )
    return FramePulse(
        timeframe=candles.timeframe,
        closed_at=closed_at,
        bars=len(bars),
        price=price,
        trend=trend,
        strength=strength,
        signal_strength=signal_strength(
            rsi=rsi, histogram=value["macd_histogram"], atr=value["atr"], adx=value["adx"], percent_b=band
        ),
        rsi=rsi,
        macd=value["macd"],
        macd_signal=value["macd_signal"],
        macd_histogram=value["macd_histogram"],
        bb_upper=value["bb_upper"],
        bb_middle=value["bb_middle"],
        bb_lower=value["bb_lower"],
        bb_percent_b=band,
        adx=value["adx"],
        plus_di=value["plus_di"],
        minus_di=value["minus_di"],
        atr=value["atr"],
        sma_20=value["bb_middle"],
        sma_50=value["sma_50"],
        volatility_class=classify_volatility(value["atr"], price),
        extra=_extra(bars, extra, plugin_indicators),
    )


def classify_trend(
    price: float,
    sma_20: float | None,
    sma_50: float | None,
    *,
    adx: float | None = None,
    plus_di: float | None = None,
    minus_di: float | None = None,
    macd: float | None = None,
    macd_signal: float | None = None,
) -> tuple[Trend, int]:
    """``(trend, strength)``, strength 0-100; unknown with 0 until there are 50 bars.

    The two means give direction and, by their distance, strength. A high ADX with the matching DI confirms, a low one
    weakens; MACD on the right side of its signal adds a little. A price more than 2 % on the wrong side of the short
    mean leaves no trend.
    """
    if sma_20 is None or sma_50 is None:
        return Trend.UNKNOWN, 0
    if sma_20 == sma_50 or not sma_50:
        return Trend.RANGING, 50
    up = sma_20 > sma_50
    if (up and exact(price) < exact(sma_20) * 98 / 100) or (not up and exact(price) > exact(sma_20) * 102 / 100):
        return Trend.RANGING, 50
    separation = abs(exact(sma_20) / exact(sma_50) - 1) * 100
    strength = min(100, int(50 + 200 * separation))
    if adx is not None and plus_di is not None and minus_di is not None:
        if adx <= 25:
            strength = max(30, strength - 15)
        elif plus_di > minus_di if up else minus_di > plus_di:
            strength = min(100, strength + 10)
    if macd is not None and macd_signal is not None and (macd > macd_signal if up else macd < macd_signal):
        strength = min(100, strength + 5)
    return Trend.UPTREND if up else Trend.DOWNTREND, strength


def signal_strength(
    *,
    rsi: float | None = None,
    histogram: float | None = None,
    atr: float | None = None,
    adx: float | None = None,
    percent_b: float | None = None,
) -> int:
    """0-100, how much the indicators have to say: the mean of those there are, cut to a whole number; 50 without any.

    ``histogram`` and ``atr`` in the same price unit, the others 0-100.
    """
    parts: list[Fraction | int] = []
    if rsi is not None:
        parts.append(80 if rsi < 30 or rsi > 70 else 60 if rsi < 40 or rsi > 60 else 40)
    if histogram is not None and atr is not None:
        size = abs(exact(histogram)) / (exact(atr) * HISTOGRAM_UNIT_IN_ATR) if atr > 0 else 0
        parts.append(80 if size > 1 else 65 if size > Fraction(1, 2) else 50)
    if adx is not None:
        parts.append(min(Fraction(100), 50 + exact(adx)) if adx > 25 else 30)
    if percent_b is not None:
        parts.append(85 if percent_b < 10 or percent_b > 90 else 65 if percent_b < 30 or percent_b > 70 else 45)
    return int(Fraction(sum(parts)) / len(parts)) if parts else 50


def confluence(frames: Mapping[Timeframe, FramePulse | None]) -> Confluence:
    """Agreement of the frames by weight: more than 60 % of it one way makes a direction, else it is mixed.

    A ranging frame counts against both directions and is listed as a conflict; an unknown or missing one is left out.
    """
    up = down = Fraction(0)
    total = 0
    conflicts = []
    for timeframe, weight in WEIGHTS.items():
        frame = frames.get(timeframe)
        if frame is None or frame.trend is Trend.UNKNOWN:
            continue
        total += weight
        if frame.trend is Trend.UPTREND:
            up += Fraction(weight * frame.strength, 100)
        elif frame.trend is Trend.DOWNTREND:
            down += Fraction(weight * frame.strength, 100)
        else:
            conflicts.append(timeframe)
    signal, reasons = entry_signal(frames.get(Timeframe.M15), frames.get(Timeframe.M5))
    if not total:
        return Confluence("unknown", 0, (), signal, reasons)
    share = max(up, down) / total * 100
    direction = "mixed" if share <= 60 else Trend.UPTREND.value if up > down else Trend.DOWNTREND.value
    return Confluence(direction, int(share), tuple(conflicts), signal, reasons)


def entry_signal(m15: FramePulse | None, m5: FramePulse | None) -> tuple[str, tuple[str, ...]]:
    """``(bullish | bearish | neutral, reasons)`` for the moment of entry, from the 15- and the 5-minute frame."""
    buys: list[str] = []
    sells: list[str] = []
    for frame in (m15, m5):
        if frame is not None and frame.rsi is not None and frame.rsi < 30:
            buys.append(f"{frame.timeframe} RSI {frame.rsi:.1f} is oversold")
        if frame is not None and frame.rsi is not None and frame.rsi > 70:
            sells.append(f"{frame.timeframe} RSI {frame.rsi:.1f} is overbought")
    if m15 is not None and m15.sma_20 is not None:
        price, mean = exact(m15.price), exact(m15.sma_20)
        if price < mean * 98 / 100:
            buys.append("15m price has pulled back more than 2 % below its 20-bar mean")
        if price > mean * 102 / 100:
            sells.append("15m price is extended more than 2 % above its 20-bar mean")
    signal = "bullish" if len(buys) > len(sells) else "bearish" if len(sells) > len(buys) else "neutral"
    return signal, (*buys, *sells)


def percent_b(price: float, upper: float | None, lower: float | None) -> float | None:
    """Where the price stands between the bands: 0 at the lower, 100 at the upper, 50 where they have collapsed."""
    if upper is None or lower is None:
        return None
    return (price - lower) / (upper - lower) * 100 if upper > lower else 50.0


def classify_volatility(atr: float | None, price: float) -> VolatilityClass:
    """By ATR over price: low under 1 %, medium under 2.5 %, else high."""
    if atr is None or price <= 0:
        return VolatilityClass.UNKNOWN
    share = exact(atr) / exact(price)
    if share < Fraction(1, 100):
        return VolatilityClass.LOW
    return VolatilityClass.MEDIUM if share < Fraction(25, 1000) else VolatilityClass.HIGH


def exact(value: float) -> Fraction:
    """The decimal that ``value`` prints as, without the error of its binary form."""
    return Fraction(repr(float(value)))


def _extra(bars: Candles, names: Iterable[str], plugin_indicators: PluginIndicators | None) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for name in names:
        from ffe_core.analysis import catalogue

        values.update(catalogue.compute(name, bars))
    if plugin_indicators is not None:
        for name, value in plugin_indicators(bars).items():
            values[name] = None if value is None else last((value,))
    return values
