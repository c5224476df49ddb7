"""The briefing: everything that is known at the as-of instant, gathered once, the same for every provider."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.decisions import AccountView, Briefing, Note
from ffe_core.domain.market import Candles, Market, Pulse, Regime
from ffe_core.domain.trading import Action, Mode, Portfolio, Position
from ffe_core.risk.effect import effect_of

_SHARE_STEP = Decimal("0.0001")


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
    shorts: bool = False,
    round_trip_cost: Decimal | None = None,
) -> Briefing:
    """The briefing of what was known; ``notes`` should come through ``known_by``, and it is made sure that they do.

    ``shorts``: whether a short position may be opened. ``round_trip_cost`` is a fraction of the price.
    """
    position = held_quantity(portfolio, asset)
    actions = (Action.BUY, Action.SELL) if position is not None else ()
    return Briefing(
        asset=asset,
        as_of=as_of,
        mode=mode,
        timeframe=timeframe,
        horizon=horizon,
        market=market,
        pulse=pulse,
        regime=regime,
        position=position,
        notes=known_by(as_of, notes)[0],
        indicators=dict(indicators or {}),
        candles=None if candles is None else candles.as_of(as_of),
        account=account_view(portfolio, asset),
        effects={each: effect_of(each, position, can_short=shorts, allow_short=shorts)[0] for each in actions},
        round_trip_cost=round_trip_cost,
    )


def known_by(as_of: datetime, notes: Iterable[Note]) -> tuple[tuple[Note, ...], int]:
    """The notes that had become available at ``as_of``, and how many had not.

    The number belongs to the run, not to the briefing: what is written later must not change what was decided.
    """
    told = list(notes)
    known = tuple(note for note in told if note.available_at <= as_of)
    return known, len(told) - len(known)


def account_view(portfolio: Portfolio | None, asset: Asset) -> AccountView | None:
    """The account in shares of its equity; ``None`` where that is unknown, out of date or not above zero."""
    equity = None if portfolio is None or portfolio.stale else portfolio.equity
    if portfolio is None or portfolio.cash is None or equity is None or equity <= 0:
        return None
    own, others = Decimal(0), dict[str, Decimal]()
    for held in portfolio.positions:
        worth = held.value_in(portfolio.currency) or Decimal(0)
        if held.asset.symbol == asset.symbol:
            own += worth
        elif held.quantity:
            others[held.asset.symbol] = others.get(held.asset.symbol, Decimal(0)) + worth
    return AccountView(
        cash=_share(portfolio.cash / equity),
        asset=_share(own / equity),
        gain=_gain(portfolio.position(asset)),
        others={symbol: _share(worth / equity) for symbol, worth in sorted(others.items())},
    )


def _gain(held: Position | None) -> Decimal | None:
    if held is None or held.entry_price <= 0:
        return None
    side = 1 if held.is_long else -1
    return _share(side * (held.price / held.entry_price - 1))


def _share(value: Decimal) -> Decimal:
    return value.quantize(_SHARE_STEP, ROUND_HALF_EVEN)


def held_quantity(portfolio: Portfolio | None, asset: Asset) -> Decimal | None:
    """Signed quantity; ``None`` where positions are unknown, which is not zero."""
    if portfolio is None or not portfolio.positions_known:
        return None
    held = portfolio.position(asset)
    return held.quantity if held else Decimal(0)
