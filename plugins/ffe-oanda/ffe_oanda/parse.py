"""What the v20 API answers, checked member by member; no network in here. Amounts and prices are texts there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ffe_core import Asset, AssetKind, BadData, NoData, Quote, Timeframe
from ffe_core.http import decode_json

METALS = frozenset({"XAU", "XAG", "XPT", "XPD"})
GRANULARITIES = {
    Timeframe.M1: "M1",
    Timeframe.M5: "M5",
    Timeframe.M15: "M15",
    Timeframe.M30: "M30",
    Timeframe.H1: "H1",
    Timeframe.H4: "H4",
    Timeframe.D1: "D",
}
_TEXT_LENGTH = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Bar:
    """``time`` is the open in epoch milliseconds; ``volume`` counts ticks; prices are mids."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    complete: bool


@dataclass(frozen=True, slots=True)
class Complaint:
    """An error of the API. ``rejected`` is the transaction that says why an order was not taken, where there is one."""

    message: str = ""
    code: str = ""
    rejected: Mapping[str, Any] | None = None
    #: whether the service itself spoke, and not something on the way to it
    is_its_own: bool = False

    @property
    def reason(self) -> str:
        """The service's word for it, else its sentence."""
        told = self.rejected.get("rejectReason") if self.rejected else None
        return _word(told) or _word(self.code) or self.message


def served(asset: Asset) -> bool:
    """Whether OANDA may have ``asset``: pairs of currencies, and metals against them."""
    return asset.kind is AssetKind.FOREX or (asset.base in METALS and bool(asset.quote))


def instrument_of(asset: Asset) -> str:
    """``EUR_USD`` of EURUSD. Raises ``NoData`` for what is no pair."""
    if not asset.quote:
        raise NoData(f"OANDA trades pairs such as EURUSD, and {asset} is none")
    return f"{asset.base}_{asset.quote}"


def asset_of(instrument: str) -> Asset:
    """EURUSD of ``EUR_USD``."""
    base, _, quote = instrument.partition("_")
    asset = Asset.parse(instrument)
    return asset if (asset.base, asset.quote) == (base, quote) else Asset(base + quote, base, quote, asset.kind)


def parse_candles(body: Mapping[str, Any], instrument: str, timeframe: Timeframe) -> list[Bar]:
    """Bars in their order. Raises ``BadData`` for another instrument or frame, or for one that cannot be read."""
    if (body.get("instrument"), body.get("granularity")) != (instrument, GRANULARITIES[timeframe]):
        raise BadData(f"oanda: asked for {timeframe} candles of {instrument}, others came")
    return [_bar(each) for each in objects(body, "candles")]


def parse_prices(body: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The prices of a pricing answer by instrument."""
    return {text(each, "instrument"): each for each in objects(body, "prices")}


def parse_quote(price: Mapping[str, Any], asset: Asset, source: str) -> Quote:
    """Best bid and ask, or what a position could be closed at. Raises ``NoData`` where there is neither."""
    bid, ask = (_best(price, side) or _closeout(price, side) for side in ("bid", "ask"))
    if bid is None or ask is None:
        raise NoData(f"oanda has no price of {asset} now")
    try:
        return Quote(asset, bid, ask, instant(price, "time"), source)
    except ValueError as error:
        raise BadData(f"oanda: {error}") from None


def is_tradeable(price: Mapping[str, Any]) -> bool:
    """Whether orders are taken at this moment. What does not say so is not."""
    return price.get("tradeable") is True


def parse_complaint(body: bytes) -> Complaint:
    """What an error says; an empty complaint where it cannot be read."""
    try:
        found = decode_json(body)
    except ValueError:
        return Complaint()
    if not isinstance(found, dict):
        return Complaint()
    rejected = next(
        (each for name, each in found.items() if name.endswith("RejectTransaction") and isinstance(each, dict)), None
    )
    said = found.get("errorMessage")
    return Complaint(
        message=" ".join(said.split())[:_TEXT_LENGTH] if isinstance(said, str) else "",
        code=_word(found.get("errorCode")),
        rejected=rejected,
        is_its_own=isinstance(said, str) or rejected is not None,
    )


# members


def objects(holder: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    """The objects of a list. Raises ``BadData`` where it is none."""
    found = holder.get(name)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise BadData(f"oanda: {name} is no list of objects")
    yield from found


def an_object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = holder.get(name)
    if not isinstance(found, dict):
        raise BadData(f"oanda: {name} is missing or no object")
    return found


def text(holder: Mapping[str, Any], name: str) -> str:
    found = holder.get(name)
    if not isinstance(found, str) or not found:
        raise BadData(f"oanda: {name} is missing or no text")
    return found


def amount(holder: Mapping[str, Any], name: str) -> Decimal:
    """A number that stands in a text. Raises ``BadData`` for anything that is not one."""
    found = maybe_amount(holder, name)
    if found is None:
        raise BadData(f"oanda: {name} is missing")
    return found


def maybe_amount(holder: Mapping[str, Any], name: str) -> Decimal | None:
    """As ``amount``; ``None`` where it is not there."""
    found = holder.get(name)
    if found is None:
        return None
    if isinstance(found, str) and re.fullmatch(r"[+-]?\d{1,30}(\.\d{1,30})?", found, re.ASCII):
        return Decimal(found)
    if isinstance(found, int | Decimal) and not isinstance(found, bool):
        return Decimal(found)
    raise BadData(f"oanda: {name} is no number: {found!r:.40}")


def instant(holder: Mapping[str, Any], name: str) -> datetime:
    return parse_instant(text(holder, name))


def parse_instant(written: str) -> datetime:
    """RFC 3339 with nine digits, of which Python's clock holds six: the rest is cut. Raises ``BadData``."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?Z", written, re.ASCII)
    try:
        second = datetime.fromisoformat(f"{found[1]}+00:00") if found else None
    except ValueError:
        second = None
    if found is None or second is None:
        raise BadData(f"oanda: {written!r:.40} is no instant in UTC")
    return second.replace(microsecond=int((found[2] or "0").ljust(6, "0")))


def written(at: datetime) -> str:
    """An instant as the API reads it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


def _bar(candle: Mapping[str, Any]) -> Bar:
    opened = (instant(candle, "time") - _EPOCH).total_seconds()
    mid = an_object(candle, "mid")
    return Bar(
        time=round(opened * 1000),
        open=float(amount(mid, "o")),
        high=float(amount(mid, "h")),
        low=float(amount(mid, "l")),
        close=float(amount(mid, "c")),
        volume=float(amount(candle, "volume")),
        complete=candle.get("complete") is True,
    )


def _best(price: Mapping[str, Any], side: str) -> Decimal | None:
    offers = price.get(f"{side}s")
    if not isinstance(offers, Sequence) or not offers or not isinstance(offers[0], Mapping):
        return None
    return maybe_amount(offers[0], "price")


def _closeout(price: Mapping[str, Any], side: str) -> Decimal | None:
    return maybe_amount(price, f"closeout{side.capitalize()}")


def _word(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[A-Z0-9_]{1,80}", value) else ""
