"""Whatever befalls an order on its way, it is one order at most, and nobody is told more than is known."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from ffe_coinbase.platform import CoinbasePlatform
from ffe_coinbase.standin import BROKEN, INTERNAL, NOON, TOO_MANY, CoinbaseStandIn, Fault

from ffe_core import NotConfigured, Order, OrderState, OrderType, PlatformError, Refused, Unknown
from ffe_core.testing import make_order
from ffe_core.testing.loopback import Canned

Make = Callable[..., CoinbasePlatform]


def ready(venue: CoinbasePlatform) -> Order:
    order = make_order()
    return replace(order, prepared=dict(venue.prepare(order)))


def error(code: str = "UNKNOWN_FAILURE_REASON", new: str = "UNKNOWN_FAILURE_REASON", preview: str = "") -> Canned:
    response = {
        "error": code,
        "message": "said",
        "error_details": "",
        "preview_failure_reason": preview or "UNKNOWN_PREVIEW_FAILURE_REASON",
        "new_order_failure_reason": new,
    }
    return Canned({"success": False, "error_response": response})


REFUSALS: dict[str, tuple[Canned, str]] = {
    "429": (TOO_MANY, "Too many requests"),
    "400": (Canned({"error": "INVALID_ARGUMENT", "message": "bad size"}, 400), "bad size"),
    "401": (Canned(b"Unauthorized\n", 401, {"Content-Type": "text/plain"}), "does not accept the key"),
    "403": (Canned({"error": "PERMISSION_DENIED", "error_details": "Missing required scopes"}, 403), "may not do this"),
    "the order's own reason comes first": (
        error("INSUFFICIENT_FUND", "INVALID_LIMIT_PRICE_POST_ONLY", "PREVIEW_INSUFFICIENT_FUND"),
        "INVALID_LIMIT_PRICE_POST_ONLY: said",
    ),
    "then the preview's": (
        error("INSUFFICIENT_FUND", preview="PREVIEW_INSUFFICIENT_FUND"),
        "PREVIEW_INSUFFICIENT_FUND",
    ),
    "then the error": (error("INSUFFICIENT_FUND"), "INSUFFICIENT_FUND: said"),
    "no reason at all": (Canned({"success": False, "error_response": {}}), "no reason given"),
    "a reason nobody knows": (error("BRAND_NEW_REASON"), "BRAND_NEW_REASON"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_the_venues_own_no_is_a_refusal(kind: str, server: CoinbaseStandIn, platform: Make) -> None:
    answer, words = REFUSALS[kind]
    venue = platform()
    order = ready(venue)
    server.faults.append(Fault("/orders", answer, method="POST"))
    with pytest.raises(Refused, match=words) as caught:
        venue.submit(order)
    assert "\n" not in caught.value.message
    assert len(server.posts()) == 1
    assert venue.find(order) is None


DOUBTS: dict[str, dict[str, Any]] = {
    "reset": {},
    "502 with a web page": {"answer": BROKEN},
    "500": {"answer": INTERNAL},
    "408": {"answer": Canned(b"", 408)},
    "a redirect": {"answer": Canned(b"", 302, {"Location": "https://elsewhere.test/"})},
    "an empty answer": {"answer": Canned(b"")},
    "a list": {"answer": Canned([])},
    "a web page": {"answer": Canned(b"<html>", headers={"Content-Type": "text/html"})},
    "no JSON": {"answer": Canned(b'{"success": tr')},
    "without success": {"answer": Canned({})},
    "success as a word": {"answer": Canned({"success": "true"})},
    "success without an order": {"answer": Canned({"success": True})},
    "success without an id": {"answer": Canned({"success": True, "success_response": {"order_id": ""}})},
    "no and yes at once": {"answer": Canned({"success": False, "success_response": {"order_id": "a"}})},
    "another client id": {
        "answer": Canned({"success": True, "success_response": {"order_id": "a", "client_order_id": "other"}})
    },
    "another side": {"answer": Canned({"success": True, "success_response": {"order_id": "a", "side": "SELL"}})},
    "other terms": {
        "answer": Canned(
            {
                "success": True,
                "success_response": {"order_id": "a"},
                "order_configuration": {"market_market_ioc": {"base_size": "7"}},
            }
        )
    },
}
SPOILT: dict[str, dict[str, Any]] = {"cut": {"cut": 25}, "slow": {"delay": 3.0}}


@pytest.mark.parametrize("taken", [True, False], ids=["taken", "not taken"])
@pytest.mark.parametrize("kind", DOUBTS)
def test_an_answer_that_says_nothing_leaves_one_order_at_most(
    kind: str, taken: bool, server: CoinbaseStandIn, platform: Make
) -> None:
    venue = platform()
    order = ready(venue)
    server.faults.append(Fault("/orders", after=taken, method="POST", **DOUBTS[kind]))
    with pytest.raises(Unknown) as caught:
        venue.submit(order)
    assert order.client_order_id in caught.value.message
    settled(server, venue, order, taken=taken)


@pytest.mark.parametrize("kind", SPOILT)
def test_an_answer_that_does_not_come_whole_leaves_one_order(
    kind: str, server: CoinbaseStandIn, platform: Make
) -> None:
    venue = platform(timeout=0.5)
    order = ready(venue)
    server.faults.append(Fault("/orders", method="POST", **SPOILT[kind]))
    with pytest.raises(Unknown):
        venue.submit(order)
    settled(server, venue, order, taken=True)


def settled(server: CoinbaseStandIn, venue: CoinbasePlatform, order: Order, *, taken: bool) -> None:
    """One call was made; the venue's word decides; sent again, there is one order."""
    assert len(server.posts()) == 1
    found = venue.find(order)
    assert (found is not None) == taken
    venue.submit(order)
    assert len(server.exchange.orders) == 1
    again = venue.find(order)
    assert again is not None
    assert again.state is OrderState.FILLED


def test_an_order_that_does_not_show_itself_at_once_is_found(server: CoinbaseStandIn, platform: Make) -> None:
    server.exchange.shy = 2
    venue = platform()
    order = ready(venue)
    report = venue.submit(order)
    # By its own id it is not found either, twice: that proves nothing.
    found = venue.find(replace(order, venue_order_id=report.venue_order_id))
    assert found is not None
    assert found.venue_order_id == report.venue_order_id


def test_an_order_of_long_ago_is_looked_for_once(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform(at=NOON + timedelta(minutes=2))
    server.clock = lambda: NOON + timedelta(minutes=2)
    before = len(server.requests)
    assert venue.find(make_order()) is None
    assert len(server.requests) == before + 1


def test_an_order_is_found_on_a_later_page(server: CoinbaseStandIn, platform: Make) -> None:
    server.largest_page = 2
    venue = platform()
    order = ready(venue)
    venue.submit(order)
    for index in range(7):
        venue.submit(make_order(id=f"later-{index}", quantity=order.quantity / 10))
    found = venue.find(order)
    assert found is not None
    assert found.client_order_id == order.client_order_id


def test_a_venue_that_says_duplicate_is_asked_for_the_order(server: CoinbaseStandIn, platform: Make) -> None:
    server.exchange.tells_duplicates = True
    venue = platform()
    order = ready(venue)
    first = venue.submit(order)
    again = venue.submit(order)
    assert (again.venue_order_id, again.state) == (first.venue_order_id, OrderState.FILLED)


def test_a_duplicate_that_does_not_show_itself_is_in_doubt(server: CoinbaseStandIn, platform: Make) -> None:
    server.exchange.tells_duplicates = True
    venue = platform()
    order = ready(venue)
    venue.submit(order)
    server.exchange.orders[0].hidden = 99
    with pytest.raises(Unknown, match="does not show it"):
        venue.submit(order)


def test_while_the_venue_does_not_answer_find_never_says_no(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform()
    order = ready(venue)
    venue.submit(order)
    for answer in (None, BROKEN, TOO_MANY, Canned([]), Canned({"orders": {}}), Canned({"orders": [1]})):
        server.faults = [Fault("/batch", answer, times=9)]
        with pytest.raises(PlatformError):
            venue.find(order)


@pytest.mark.parametrize(
    "page",
    [
        {"orders": [], "has_next": True, "cursor": ""},
        {"orders": [], "has_next": True},
        {"orders": [], "has_next": True, "cursor": "for ever"},
    ],
)
def test_a_list_that_cannot_be_read_to_its_end_is_no_no(
    page: dict[str, Any], server: CoinbaseStandIn, platform: Make
) -> None:
    server.faults.append(Fault("/batch", Canned(page), times=9))
    with pytest.raises(PlatformError, match="go on, and not where"):
        platform().find(make_order())


def test_fills_end_at_a_page_without_rows_whatever_its_cursor(server: CoinbaseStandIn, platform: Make) -> None:
    server.faults.append(Fault("/fills", Canned({"fills": [], "cursor": "left over"})))
    assert platform().fills(None)[0] == []


def test_a_lost_cancel_is_in_doubt_and_asked_once(platform: Make) -> None:
    for answer in (None, BROKEN, Canned([]), Canned({"results": []}), Canned({})):
        with CoinbaseStandIn() as standing:
            venue = platform(base_url=standing.url)
            order = make_order(type=OrderType.LIMIT, limit_price=Decimal(15_000))
            venue.submit(order)
            standing.faults.append(Fault("/batch_cancel", answer, method="POST", after=True))
            with pytest.raises(Unknown, match="cancelled"):
                venue.cancel(order)
            assert len(standing.posts("/orders/batch_cancel")) == 1
            assert venue.cancel(order).state is OrderState.CANCELLED


@pytest.mark.parametrize("off", [11, -11, 3600])
def test_nothing_is_sent_while_the_clock_is_off(off: int, server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform()
    order = ready(venue)
    server.skew = timedelta(seconds=off)
    with pytest.raises(Refused, match=f"{abs(off)} s off"):
        venue.submit(order)
    assert server.posts() == []


@pytest.mark.parametrize("off", [10, -10, 0])
def test_a_clock_that_is_nearly_right_will_do(off: int, server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform()
    order = ready(venue)
    server.skew = timedelta(seconds=off)
    if off < 0:
        # A token from the future is turned away by the venue; whether to trade is asked before that.
        server._knows = lambda request: True  # type: ignore[method-assign]
    venue.submit(order)
    assert len(server.posts()) == 1


def test_without_a_key_nothing_is_prepared_or_sent(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform(api_key=None, api_secret=None)
    with pytest.raises(NotConfigured):
        venue.prepare(make_order())
    with pytest.raises(Refused, match="nothing was sent"):
        venue.submit(make_order())
    assert server.requests == []


def test_a_reused_nonce_is_made_good(server: CoinbaseStandIn, platform: Make) -> None:
    """A repeated read carries the same token; a venue that takes each once gets a new one."""
    server.nonces_once = True
    server.faults.append(Fault("/accounts", BROKEN, after=True))
    assert platform().portfolio().cash == 10_000


def test_no_secret_is_ever_shown(server: CoinbaseStandIn, platform: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    token = "Bearer "
    for answer in (
        Canned(f"no {server.keys.name} {server.keys.secret}".encode(), 400),
        Canned({"error": server.keys.secret, "message": server.keys.name}, 403),
        error(server.keys.name, server.keys.secret),
        Canned({"success": True, "success_response": {"order_id": [server.keys.secret]}}),
        Canned(server.keys.secret.encode()),
        BROKEN,
        None,
    ):
        venue = platform()
        order = ready(venue)
        server.faults = [Fault("/orders", answer, method="POST"), Fault("/accounts", answer, times=9)]
        for call in (partial(venue.submit, order), venue.portfolio):
            try:
                call()
            except PlatformError as failure:
                said.append(f"{failure!r} {failure} {failure.hint} {failure.__cause__!r} {failure.__context__!r}")
        said.append(repr(venue) + repr(vars(venue)) + repr(venue._api))
    assert said
    everything = "\n".join(said) + caplog.text + repr(vars(venue._context.log))
    for canary in server.keys.canaries:
        assert canary not in everything
    for each in server.requests:
        sent = each.headers.get("authorization", "").removeprefix(token)
        assert not sent or sent not in everything
