"""The briefing: everything that is known at the as-of instant, gathered once, the same for every provider."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.decisions import Briefing, Note
from ffe_core.domain.market import Candles, Market, Pulse, Regime
from ffe_core.domain.trading import Mode, Portfolio


def build_briefing(
    asset: Asset,
    as_of: datetime,
    *,
    mode: Mode,
    timeframe: Timeframe,
    horizon: int,
    market: Market,
    pulse: Pulse,
    regime: Regime,
    portfolio: Portfolio | None,
    notes: Iterable[Note] = (),
    indicators: Mapping[str, float] | None = None,
    candles: Candles | None = None,
) -> Briefing:
    """The briefing of what was known; ``notes`` should come through ``known_by``, and it is made sure that they do."""
    return Briefing(
        asset=asset,
        as_of=as_of,
        mode=mode,
        timeframe=timeframe,
        horizon=horizon,
        market=market,
        pulse=pulse,
        regime=regime,
        position=held_quantity(portfolio, asset),
        notes=known_by(as_of, notes)[0],
        indicators=dict(indicators or {}),
        candles=None if candles is None else candles.as_of(as_of),
    )


def known_by(as_of: datetime, notes: Iterable[Note]) -> tuple[tuple[Note, ...], int]:
    """The notes that had become available at ``as_of``, and how many had not.

    The number belongs to the run, not to the briefing: what is written later must not change what was decided.
    """
    told = list(notes)
    known = tuple(note for note in told if note.available_at <= as_of)
    return known, len(told) - len(known)


def held_quantity(portfolio: Portfolio | None, asset: Asset) -> Decimal | None:
    """Signed quantity; ``None`` where positions are unknown, which is not zero."""
    if portfolio is None or not portfolio.positions_known:
        return None
    held = portfolio.position(asset)
    return held.quantity if held else Decimal(0)
