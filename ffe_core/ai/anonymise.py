"""The same market under a mask: no ticker, no date, no price that a model could recognise and remember.

Prices are in other units, as if one share had been split, and all instants lie the same number of whole weeks earlier.
Whatever has no unit of price stays as it is to the last bit, so that a rule answers as before; whoever answers
otherwise knew the asset, the time or the price, and not only the market.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ffe_core.ai.prompt import tidy
from ffe_core.analysis.narrative import describe
from ffe_core.analysis.pulse import frame_pulse
from ffe_core.domain.assets import COINS, FIAT, NEW_YORK, PULSE_TIMEFRAMES, STABLECOINS, Asset, AssetKind, Timeframe
from ffe_core.domain.clock import iso
from ffe_core.domain.decisions import AccountView, Briefing, Note, Trust
from ffe_core.domain.market import COLUMNS, Candles, CandleShape, FramePulse, Market, Pulse

#: what the first close of the decision's series becomes
START = 100.0
#: whole weeks that the instants are moved back by, from one year to ten
WEEKS = range(53, 521)
SOURCE = "masked"

_OF_FRAME = ("price macd macd_signal macd_histogram bb_upper bb_middle bb_lower atr sma_20 sma_50").split()
_OF_MARKET = "price bar_open bar_high bar_low".split()
_OF_SHAPE = "price_range body_size upper_wick lower_wick".split()
_PRICES = ("open", "high", "low", "close")

#: what else the press calls them
_ALIASES = {
    "BTC": "bitcoin xbt satoshi", "ETH": "ethereum ether", "SOL": "solana", "AVAX": "avalanche", "MATIC": "polygon",
    "ADA": "cardano", "DOT": "polkadot", "LINK": "chainlink", "UNI": "uniswap", "XRP": "ripple", "LTC": "litecoin",
    "DOGE": "dogecoin", "EUR": "euro euros", "GBP": "pound pounds sterling cable", "JPY": "yen",
    "AUD": "aussie australian", "CAD": "loonie canadian", "CHF": "franc swiss", "NZD": "kiwi zealand",
    "USD": "dollar dollars greenback", "CNY": "yuan renminbi", "INR": "rupee", "MXN": "peso", "BRL": "real",
    "ZAR": "rand", "TRY": "lira", "RUB": "ruble rouble",
}  # fmt: skip
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


@dataclass(frozen=True, slots=True)
class Mask:
    """How one briefing is disguised: as ``ASSET_number``, ``weeks`` earlier, with ``first_close`` at 100.

    ``extras`` and ``indicators`` are those of the rescaled bars: of what unit they are nobody knows in general.
    """

    number: int
    weeks: int
    first_close: float
    extras: Mapping[Timeframe, Mapping[str, float | None]] = field(default_factory=dict)
    indicators: Mapping[str, float] = field(default_factory=dict)
    #: sha256 of the texts of the notes that would have given it away
    withheld: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"ASSET_{self.number}"

    def asset(self, asset: Asset) -> Asset:
        return Asset(self.name, self.name, "QUOTE" if asset.quote else "", asset.kind)

    def at(self, instant: datetime) -> datetime:
        return instant - timedelta(weeks=self.weeks)

    def price(self, value: float) -> float:
        return value / self.first_close * START

    def told(self) -> dict[str, Any]:
        """What the record of a decision says of it."""
        return {
            "as": self.name,
            "weeks_earlier": self.weeks,
            "first_close": self.first_close,
            "notes_left_out": len(self.withheld),
        }


def weeks_back(seed: int, instants: Iterable[datetime]) -> int:
    """One shift for all ``instants``: drawn from ``seed``, and if there is one, such that New York's clocks agree.

    An hour of the week would otherwise no longer be the hour that its session says.
    """
    held = list(instants)
    drawn = random.Random(seed).sample(WEEKS, len(WEEKS))
    return next((weeks for weeks in drawn if all(_same_clock(at, weeks) for at in held)), drawn[0])


def _same_clock(at: datetime, weeks: int) -> bool:
    zone = ZoneInfo(NEW_YORK)
    return at.astimezone(zone).utcoffset() == (at - timedelta(weeks=weeks)).astimezone(zone).utcoffset()


def mask_of(
    briefing: Briefing,
    series: Mapping[Timeframe, Candles | None],
    *,
    number: int,
    weeks: int,
    extras: Sequence[str] = (),
    indicators: Callable[[Candles], Mapping[str, float]] | None = None,
) -> Mask:
    """The mask of ``briefing``, which was made of ``series``; ``extras`` and ``indicators`` are computed again.

    Raises ``ValueError`` where the decision's own series is empty.
    """
    own = series.get(briefing.timeframe)
    if own is None or not len(own):
        raise ValueError(f"no {briefing.timeframe} bars of {briefing.asset} to rescale")
    mask = Mask(number, weeks, own.close[0])
    further: dict[Timeframe, Mapping[str, float | None]] = {}
    if extras:
        for timeframe, candles in series.items():
            frame = None if candles is None else frame_pulse(masked(candles.as_of(briefing.as_of), mask), extra=extras)
            if frame is not None:
                further[timeframe] = frame.extra
    return replace(
        mask,
        extras=further,
        indicators={} if indicators is None else dict(indicators(masked(own, mask))),
        withheld=tuple(_digest(note) for note in briefing.notes if _gives_away(note, briefing.asset)),
    )


def masked(candles: Candles, mask: Mask) -> Candles:
    """The bars under the mask: other stamps, other prices, the same volumes."""
    earlier = timedelta(weeks=mask.weeks) // timedelta(milliseconds=1)
    columns: dict[str, Any] = {name: list(getattr(candles, name)) for name in COLUMNS}
    columns |= {name: [mask.price(value) for value in columns[name]] for name in _PRICES}
    return Candles.of(
        mask.asset(candles.asset),
        candles.timeframe,
        SOURCE,
        time=[stamp - earlier for stamp in candles.time],
        **columns,
        synthetic=candles.synthetic,
        day_boundary=candles.day_boundary,
        coverage=candles.coverage,
    )


def anonymise(briefing: Briefing, mask: Mask) -> Briefing:
    """The briefing as ``mask`` shows it: every price rescaled, every instant moved, every name replaced."""
    return replace(
        briefing,
        asset=mask.asset(briefing.asset),
        as_of=mask.at(briefing.as_of),
        market=_market(briefing.market, mask),
        pulse=_pulse(briefing.pulse, mask),
        # Not judged again here: what advocates of a debate say was said under the mask already.
        notes=tuple(
            replace(note, available_at=mask.at(note.available_at))
            for note in briefing.notes
            if _digest(note) not in mask.withheld
        ),
        indicators=mask.indicators,
        candles=None if briefing.candles is None else masked(briefing.candles, mask),
        account=None if briefing.account is None else _account(briefing.account, mask),
    )


def _account(account: AccountView, mask: Mask) -> AccountView:
    """Shares tell no price; what else is held would tell the time and the kind of market."""
    others = enumerate(account.others.values(), start=mask.number + 1)
    return replace(account, others={f"ASSET_{number}": share for number, share in others})


def _market(market: Market, mask: Mask) -> Market:
    message = _INSTANT.sub(lambda found: iso(mask.at(datetime.fromisoformat(found[0]))), market.freshness.message)
    prices: dict[str, Any] = {name: mask.price(getattr(market, name)) for name in _OF_MARKET}
    return replace(
        market,
        **prices,
        source=SOURCE,
        fingerprint="",
        freshness=replace(market.freshness, message=message),
        bar_closed_at=mask.at(market.bar_closed_at),
        shape=None if market.shape is None else _shape(market.shape, mask),
        remarks=(),
    )


def _shape(shape: CandleShape, mask: Mask) -> CandleShape:
    prices: dict[str, Any] = {name: mask.price(getattr(shape, name)) for name in _OF_SHAPE}
    return replace(shape, **prices)


def _pulse(pulse: Pulse, mask: Mask) -> Pulse:
    asset, as_of = mask.asset(pulse.asset), mask.at(pulse.as_of)
    # In their own order, which a record does not keep and the summary is written in.
    held = {name: pulse.frames[name] for name in PULSE_TIMEFRAMES if name in pulse.frames}
    frames = {name: None if frame is None else _frame(frame, mask) for name, frame in held.items()}
    summary = describe(asset, as_of, frames, pulse.confluence)
    return replace(pulse, asset=asset, as_of=as_of, frames=frames, summary=summary)


def _frame(frame: FramePulse, mask: Mask) -> FramePulse:
    held = {name: getattr(frame, name) for name in _OF_FRAME}
    prices: dict[str, Any] = {name: None if value is None else mask.price(value) for name, value in held.items()}
    return replace(
        frame,
        **prices,
        closed_at=mask.at(frame.closed_at),
        extra=dict(sorted(mask.extras.get(frame.timeframe, {}).items())),
    )


# Notes


def _digest(note: Note) -> str:
    return hashlib.sha256(note.text.encode("utf-8", "replace")).hexdigest()


def _gives_away(note: Note, asset: Asset) -> bool:
    """Whether a note names the asset or the year; of an asset whose other names are not known every stranger may."""
    known = asset.base in COINS | FIAT | STABLECOINS
    if note.trust is Trust.UNTRUSTED and not known:
        return True
    text = tidy(note.text).casefold()
    names = [asset.base, *_ALIASES.get(asset.base, "").split()]
    if asset.kind is AssetKind.FOREX:
        names += [asset.quote, *_ALIASES.get(asset.quote, "").split()]
    words = set(re.findall(r"\w+", text)) | set(re.findall(r"[a-z]+", text))
    spelled = re.sub(r"[\W_]", "", text)
    return bool(_YEAR.search(text)) or asset.symbol.casefold() in spelled or any(n.casefold() in words for n in names)
