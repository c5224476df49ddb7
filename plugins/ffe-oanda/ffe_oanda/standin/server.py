"""The routes of the stand-in: who may ask, what is asked, and what goes wrong on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, unquote
from zoneinfo import ZoneInfo

from ffe_core.testing.loopback import Canned, Loopback, Request
from ffe_oanda.standin.market import INSTRUMENTS, MINUTES, Market, stamp

TOKEN = "a-token-for-the-stand-in"  # noqa: S105 - opens nothing
ACCOUNT = "101-001-1234567-001"
#: a Wednesday in winter, noon in London
OPEN_DAY = datetime(2024, 3, 6, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with the next call whose method and path begin so, once.

    ``acts``: the service does what was asked before ``spoil`` takes its answer.
    """

    call: str
    spoil: Callable[[Canned], Canned]
    acts: bool = False

    def meets(self, request: Request) -> bool:
        return re.match(self.call, f"{request.method} {request.path}") is not None


class BadCall(Exception):
    """An error status with its body."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def complained(status: int, message: str) -> BadCall:
    return BadCall(status, {"errorMessage": message})


class OandaStandIn(Loopback):
    """``faults`` befall the next calls that they meet; ``at`` is the service's time, which stands still."""

    def __init__(self, at: datetime = OPEN_DAY) -> None:
        self.at = at
        self.market = Market(lambda: self.at)
        self.faults: list[Fault] = []
        #: how far the service's clock is off
        super().__init__(self._answer)

    def asked(self, call: str) -> list[Request]:
        """The requests whose method and path begin so."""
        return [each for each in self.requests if re.match(call, f"{each.method} {each.path}")]

    def _answer(self, request: Request) -> Canned:
        fault = next((each for each in self.faults if each.meets(request)), None)
        if fault is not None:
            self.faults.remove(fault)
            if not fault.acts:
                return self._dated(fault.spoil(Canned({})))
        try:
            answer = Canned(*self._routed(request))
        except BadCall as refusal:
            answer = Canned(dict(refusal.body), refusal.status)
        return self._dated(fault.spoil(answer) if fault else answer)

    def _dated(self, canned: Canned) -> Canned:
        headers = {"Date": format_datetime(self.at, usegmt=True), "RequestID": "42", **canned.headers}
        return Canned(canned.body, canned.status, headers, canned.delay, canned.pace, canned.cut, canned.reset)

    def _routed(self, request: Request) -> tuple[Any, int]:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise complained(401, "Insufficient authorization to perform request.")
        if request.body and request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise complained(415, "The request's content type is not supported.")
        query = dict(parse_qsl(request.query, strict_parsing=True)) if request.query else {}
        for method, pattern, route in self._routes:
            found = re.fullmatch(f"/v3{pattern}", unquote(request.path))
            if found and method == request.method:
                parts = found.groupdict()
                if parts.pop("account", ACCOUNT) != ACCOUNT:
                    raise complained(403, "The provided request was forbidden.")
                answer = route(self, query, request, **parts)
                return answer if isinstance(answer, tuple) else (answer, 200)
        raise complained(404, "No such endpoint.")

    # what is known without an account

    def _accounts(self, query: dict[str, str], request: Request) -> Any:
        return {"accounts": [{"id": ACCOUNT, "tags": []}]}

    def _candles(self, query: dict[str, str], request: Request, instrument: str) -> Any:
        ask = Query(query, {"price", "granularity", "count", "from", "to", "includeFirst", *_ALIGNMENT})
        if instrument not in INSTRUMENTS:
            raise complained(400, "Invalid value specified for 'instrument'")
        granularity = ask.one_of("granularity", MINUTES, "S5")
        ask.one_of("price", ("M",), "M")
        first, last, now = ask.instant("from"), ask.instant("to"), self.at
        if "count" in query and first is not None and last is not None:
            raise complained(400, "'count' cannot be specified when both 'from' and 'to' are")
        if "includeFirst" in query and first is None:
            raise complained(400, "Invalid value specified for 'includeFirst'")
        count = ask.whole("count", 500)
        if not 1 <= count <= 5000:
            raise complained(400, "Maximum value for 'count' exceeded")
        for name, at in (("from", first), ("to", last)):
            if at is not None and at > now:
                raise complained(400, f"Invalid value specified for '{name}'. Time is in the future")
        if first is not None and last is not None:
            count = int((last - first).total_seconds() // 60 // MINUTES[granularity]) + 1
            if count > 5000:
                raise complained(400, "Maximum value for 'count' exceeded")
        candles = self.market.candles(
            instrument,
            granularity,
            count=count,
            first=first,
            last=last,
            include_first=ask.one_of("includeFirst", ("true", "false", "True", "False"), "true").lower() == "true",
            hour=ask.whole("dailyAlignment", 17),
            zone=ZoneInfo(query.get("alignmentTimezone", "America/New_York")),
        )
        return {"instrument": instrument, "granularity": granularity, "candles": candles}

    def _pricing(self, query: dict[str, str], request: Request) -> Any:
        ask = Query(query, {"instruments", "since", "includeUnitsAvailable", "includeHomeConversions"})
        names = ask.instruments()
        prices = [self.market.price(name) for name in names]
        return {"prices": prices, "time": stamp(self.at)}

    _routes: tuple[tuple[str, str, Callable[..., Any]], ...] = (
        ("GET", "/accounts", _accounts),
        ("GET", "/instruments/(?P<instrument>[^/]+)/candles", _candles),
        ("GET", "/accounts/(?P<account>[^/]+)/pricing", _pricing),
    )


_ALIGNMENT = ("dailyAlignment", "alignmentTimezone", "weeklyAlignment", "smooth")


class Query:
    """The parameters of a call; anything that is not known there is refused, which shows slips of the pen."""

    def __init__(self, given: dict[str, str], known: set[str]) -> None:
        self._given = given
        for name in given:
            if name not in known:
                raise complained(400, f"Invalid parameter '{name}'")

    def one_of(self, name: str, known: Any, default: str) -> str:
        value = self._given.get(name, default)
        if value not in known:
            raise complained(400, f"Invalid value specified for '{name}'")
        return value

    def whole(self, name: str, default: int) -> int:
        value = self._given.get(name, str(default))
        if not re.fullmatch(r"\d{1,12}", value):
            raise complained(400, f"Invalid value specified for '{name}'")
        return int(value)

    def instant(self, name: str) -> datetime | None:
        value = self._given.get(name)
        if value is None:
            return None
        found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?Z", value)
        if found is None:
            raise complained(400, f"Invalid value specified for '{name}'")
        return datetime.fromisoformat(found[1] + (found[2] or "")[:7] + "+00:00")

    def instruments(self) -> list[str]:
        names = self._given.get("instruments", "").split(",")
        if any(name not in INSTRUMENTS for name in names):
            raise complained(400, "Invalid value specified for 'instruments'")
        return names
