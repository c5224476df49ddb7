"""A good platform keeps the contract, and each kind of bad one breaks the check that is meant for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ffe_core import (
    Asset,
    Order,
    OrderReport,
    OrderState,
    Platform,
    Portfolio,
    Refused,
    Side,
    Unknown,
)
from ffe_core.domain.trading import OrderType, Position
from ffe_core.testing import FakePlatform, PlatformContract, make_context, make_order
from tests.testing.trials import broken_checks, contract, outcome, said_by

PRICE = Decimal(20_000)
BTC = Asset.parse("BTCUSD")


def test_a_good_platform_breaks_nothing() -> None:
    tried = contract(
        PlatformContract,
        FakePlatform,
        losing=lambda: FakePlatform(lose_answers=1),
        down=lambda: FakePlatform(down=True),
    )
    assert broken_checks(tried) == {}


@pytest.fixture
def paper(tmp_path: Path) -> Callable[[], Platform]:
    from ffe_core.builtin.paper import PaperSettings, ffe_platforms

    counter = iter(range(1000))

    def make() -> Platform:
        context = make_context(tmp_path / str(next(counter)), "paper")
        return next(iter(ffe_platforms(PaperSettings(), context)))

    return make


def test_the_built_in_paper_account_keeps_the_contract(paper: Callable[[], Platform]) -> None:
    assert broken_checks(contract(PlatformContract, paper)) == {}


class Twice(FakePlatform):
    """Sends the same client id again."""

    def submit(self, order: Order) -> OrderReport:
        again = order.client_order_id in self._reports
        report = super().submit(replace(order, client_order_id="again") if again else order)
        return replace(report, client_order_id=order.client_order_id)


class Forgetful(FakePlatform):
    def find(self, order: Order) -> OrderReport | None:
        return None


class Inventive(FakePlatform):
    def find(self, order: Order) -> OrderReport | None:
        return super().find(order) or OrderReport(order.client_order_id, "x", OrderState.FILLED)


class Eager(FakePlatform):
    """Its prepare already sends."""

    def prepare(self, order: Order) -> Any:
        super().submit(order)
        return {}


class Numeric(FakePlatform):
    def prepare(self, order: Order) -> Any:
        return {"transaction": 7}


class Unpaid(FakePlatform):
    """Positions grow, cash stays."""

    def portfolio(self) -> Portfolio:
        return replace(super().portfolio(), cash=Decimal(10_000))


class FeeLess(FakePlatform):
    """Takes fees that its fills do not show."""

    def submit(self, order: Order) -> OrderReport:
        report = super().submit(order)
        return replace(report, fills=tuple(replace(fill, fee=Decimal(0)) for fill in report.fills))


class OldMark(FakePlatform):
    def portfolio(self) -> Portfolio:
        found = super().portfolio()
        return replace(found, positions=tuple(replace(held, price=held.price * 2) for held in found.positions))


class Half(FakePlatform):
    """Reports more than it filled."""

    def submit(self, order: Order) -> OrderReport:
        report = super().submit(order)
        return replace(report, filled_quantity=report.filled_quantity * 2)


class Dear(FakePlatform):
    def submit(self, order: Order) -> OrderReport:
        report = super().submit(order)
        return replace(report, average_price=PRICE * 2)


class Fractions(FakePlatform):
    def _admit(self, order: Order) -> Order:
        return order


class Generous(FakePlatform):
    """Lends whatever an order costs."""

    def _admit(self, order: Order) -> Order:
        self._cash += Decimal(10) ** 9
        return super()._admit(order)


class Polite(FakePlatform):
    """Says no in its own words."""

    def _admit(self, order: Order) -> Order:
        try:
            return super()._admit(order)
        except Refused as refusal:
            raise RuntimeError(str(refusal)) from refusal


class Flipping(FakePlatform):
    """Sells what is not there."""

    def _held(self, asset: Asset) -> Decimal:
        return Decimal(10**6)

    def close(self, position: Position, *, client_order_id: str) -> OrderReport:
        return super().close(replace(position, quantity=position.quantity * 2), client_order_id=client_order_id)


class LeavesSome(FakePlatform):
    def close(self, position: Position, *, client_order_id: str) -> OrderReport:
        return super().close(replace(position, quantity=position.quantity / 2), client_order_id=client_order_id)


class KeepsListing(FakePlatform):
    def open_orders(self) -> Any:
        return [report for report in self._reports.values() if not report.fills]


class CancelsAnything(FakePlatform):
    def cancel(self, order: Order) -> OrderReport:
        return self._report(order, OrderState.CANCELLED)


class CancelsNothing(FakePlatform):
    def cancel(self, order: Order) -> OrderReport:
        return self._reports[order.client_order_id]


class Impatient(FakePlatform):
    """Fills a far limit order at once."""

    def _meet(self, order: Order) -> None:
        self._fill(order)


class Bare(FakePlatform):
    """Protects by word only."""

    def protect(self, position: Position, stop: Any, target: Any, *, client_order_id: str) -> OrderReport:
        return OrderReport(client_order_id, "x", OrderState.ACCEPTED)


class DeafToCursor(FakePlatform):
    def fills(self, since: str | None) -> Any:
        return super().fills(None)


class SameIdentity(FakePlatform):
    def fills(self, since: str | None) -> Any:
        found, cursor = super().fills(since)
        return [replace(fill, venue_fill_id="1") for fill in found], cursor


class Optimist(FakePlatform):
    def check(self) -> Any:
        return {"api_auth": True}


class Texts(FakePlatform):
    def check(self) -> Any:
        return dict.fromkeys(super().check(), "yes")


class Elsewhere(FakePlatform):
    def instrument(self, asset: Asset) -> Any:
        return replace(super().instrument(asset), asset=Asset.parse("ETHUSD"))

    def quote(self, asset: Asset) -> Any:
        return replace(super().quote(asset), asset=Asset.parse("ETHUSD"))


class Broke(FakePlatform):
    def portfolio(self) -> Portfolio:
        return replace(super().portfolio(), cash=Decimal(0))


class Blind(FakePlatform):
    def portfolio(self) -> Portfolio:
        return replace(super().portfolio(), positions_known=False)


class Unfilled(FakePlatform):
    def submit(self, order: Order) -> OrderReport:
        return replace(super().submit(order), fills=())


class Adrift(FakePlatform):
    """Books less than was filled."""

    def portfolio(self) -> Portfolio:
        found = super().portfolio()
        return replace(found, positions=tuple(replace(held, quantity=held.quantity / 2) for held in found.positions))


BAD = [
    (Optimist, "test_check_tries_all_five_things", "answers ['api_auth']"),
    (Texts, "test_check_tries_all_five_things", "neither True nor False"),
    (Elsewhere, "test_the_instrument_has_usable_rules", "got ETHUSD"),
    (Elsewhere, "test_the_quote_is_of_the_asset_asked_for", "got ETHUSD"),
    (Broke, "test_a_fresh_account_has_cash_and_no_position", "cash is 0"),
    (Blind, "test_a_fresh_account_has_cash_and_no_position", "unknown"),
    (Eager, "test_prepare_sends_nothing", "sent the order"),
    (Numeric, "test_prepare_sends_nothing", "must be texts"),
    (Unfilled, "test_a_filled_order_adds_up", "without fills"),
    (Half, "test_a_filled_order_adds_up", "add up to"),
    (Dear, "test_a_filled_order_adds_up", "average price"),
    (Adrift, "test_the_filled_quantity_becomes_the_position", "were filled"),
    (Unpaid, "test_cash_pays_for_what_was_bought_and_its_fees", "10000 of cash"),
    (FeeLess, "test_cash_pays_for_what_was_bought_and_its_fees", "fees 0"),
    (OldMark, "test_equity_is_cash_and_positions_at_the_price", "marked at"),
    (Fractions, "test_sizes_keep_to_the_increment_and_never_grow", "the increment is"),
    (Generous, "test_what_the_account_cannot_pay_for_is_refused", "the order is FILLED"),
    (Polite, "test_what_the_account_cannot_pay_for_is_refused", "RuntimeError"),
    (Twice, "test_the_same_order_twice_is_one_order", "the position went from"),
    (Forgetful, "test_find_tells_of_an_order_that_was_sent", "does not find it"),
    (Inventive, "test_find_is_none_for_an_order_that_was_never_sent", "it found"),
    (LeavesSome, "test_close_sells_the_position_and_no_more", "after closing"),
    (Flipping, "test_close_sells_the_position_and_no_more", "after closing"),
    (Flipping, "test_a_reduce_only_order_on_a_flat_account_opens_nothing", "reduce-only"),
    (KeepsListing, "test_an_open_order_can_be_cancelled", "still listed"),
    (CancelsNothing, "test_an_open_order_can_be_cancelled", "cancelled, the order is ACCEPTED"),
    (Impatient, "test_an_open_order_can_be_cancelled", "a far limit order is FILLED"),
    (CancelsAnything, "test_a_filled_order_is_never_reported_as_cancelled", "CANCELLED"),
    (Bare, "test_a_protected_position_shows_its_protection", "neither an open order"),
    (DeafToCursor, "test_fills_are_told_once_each", "again"),
    (SameIdentity, "test_fills_are_told_once_each", "one identity"),
]


@pytest.mark.parametrize(("kind", "check", "said"), BAD)
def test_a_bad_platform_breaks_the_check_that_is_meant_for_it(kind: Any, check: str, said: str) -> None:
    assert said in said_by(contract(PlatformContract, kind), check)


def test_doubt_that_is_told_as_certainty_is_told() -> None:
    class Sure(FakePlatform):
        """Takes a lost answer for a refusal."""

        def submit(self, order: Order) -> OrderReport:
            try:
                return super().submit(order)
            except Unknown as doubt:
                raise Refused("no answer") from doubt

    class Denying(FakePlatform):
        """Takes silence for a no."""

        def find(self, order: Order) -> OrderReport | None:
            return None

    lost = "test_a_lost_answer_is_unknown_and_find_tells"
    silent = "test_a_venue_that_does_not_answer_never_says_no"
    assert "raised Refused" in said_by(contract(PlatformContract, Sure, losing=lambda: Sure(lose_answers=1)), lost)
    assert "said FILLED" in said_by(contract(PlatformContract, FakePlatform, losing=FakePlatform), lost)
    denying = contract(PlatformContract, FakePlatform, losing=lambda: Denying(lose_answers=1))
    assert "find has nothing" in said_by(denying, lost)
    assert "it said Refused" in said_by(contract(PlatformContract, Sure, down=lambda: Sure(down=True)), silent)
    assert "no such order" in said_by(contract(PlatformContract, Denying, down=lambda: Denying(down=True)), silent)


def test_a_platform_without_resting_orders_is_not_tried_on_them() -> None:
    class MarketOnly(FakePlatform):
        def submit(self, order: Order) -> OrderReport:
            if order.type is not OrderType.MARKET:
                raise Refused("market orders only")
            return super().submit(order)

    assert outcome(contract(PlatformContract, MarketOnly), "test_an_open_order_can_be_cancelled") is None


def test_the_fakes_resting_orders_fill_when_a_price_meets_them() -> None:
    venue = FakePlatform()
    venue.update_prices({"BTCUSD": PRICE})
    venue.submit(make_order(id="entry"))
    position = venue.portfolio().position(BTC)
    assert position is not None
    venue.protect(position, Decimal(19_000), Decimal(22_000), client_order_id="guard")
    venue.update_prices({"BTCUSD": Decimal(19_500)})
    assert [report.client_order_id for report in venue.open_orders()] == ["guard"]
    venue.update_prices({"BTCUSD": Decimal(18_900)})
    assert venue.portfolio().positions == ()
    assert venue.find(make_order(Side.SELL, id="guard")).state is OrderState.FILLED  # type: ignore[union-attr]
