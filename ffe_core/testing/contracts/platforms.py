"""What a platform must do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

from ffe_core.domain.assets import Asset
from ffe_core.domain.market import Quote
from ffe_core.domain.trading import (
    ZERO,
    Fill,
    Instrument,
    Order,
    OrderReport,
    OrderState,
    OrderType,
    Portfolio,
    Position,
    Side,
)
from ffe_core.errors import Refused, Unknown
from ffe_core.ports import MarkToMarket, Platform
from ffe_core.testing.contracts.base import Contract, ContractBroken, broken, not_applicable, require
from ffe_core.testing.samples import make_order

CHECKS = {"api_auth", "account_active", "trading_enabled", "balance_available", "market_data"}
CENT = Decimal("0.01")
GONE = (OrderState.CANCELLED, OrderState.REJECTED, OrderState.NOT_PLACED)


class PlatformContract(Contract):
    """One order is one order, money adds up, nothing is sold that is not held, and doubt is called doubt.

    The factory makes an account with money and without positions. ``asset`` is bought there at about ``price`` (told
    to a platform that is marked to market); ``quantity`` is what is bought, unset: for a tenth of the cash. ``losing``
    makes a platform that takes an order while its answer is lost; ``down`` one whose venue does not answer at all.
    """

    port = Platform
    factory: ClassVar[Callable[[], Platform]]
    losing: ClassVar[Callable[[], Platform] | None] = None
    down: ClassVar[Callable[[], Platform] | None] = None
    asset: ClassVar[str] = "BTCUSD"
    price: ClassVar[Decimal] = Decimal(20_000)
    quantity: ClassVar[Decimal | None] = None

    # what the checks are made of

    def open_venue(self, factory: str = "factory") -> Platform:
        """A fresh platform that knows the price."""
        made: Platform = self.make_by(factory)
        if isinstance(made, MarkToMarket):
            made.update_prices({self.parsed.symbol: self.price})
        return made

    @property
    def parsed(self) -> Asset:
        return Asset.parse(self.asset)

    def size(self, venue: Platform) -> Decimal:
        if self.quantity is not None:
            return self.quantity
        rules = venue.instrument(self.parsed)
        least = max(rules.minimum_quantity, rules.minimum_notional / self.price, rules.quantity_increment)
        tenth = (venue.portfolio().cash or ZERO) / 10 / self.price / rules.contract_size
        return rules.round_quantity(max(least * 2, tenth))

    def order(self, venue: Platform, side: Side = Side.BUY, **changes: Any) -> Order:
        made = make_order(side, self.size(venue), asset=self.asset)
        made = replace(made, **changes)
        return replace(made, prepared=dict(venue.prepare(made)))

    def submit(self, venue: Platform, order: Order) -> OrderReport:
        report: Any = venue.submit(order)
        if not isinstance(report, OrderReport):
            broken(f"submit() returned {type(report).__name__}, not an OrderReport")
        require(report.client_order_id == order.client_order_id, f"the report is of {report.client_order_id!r}")
        return report

    def bought(self, venue: Platform) -> OrderReport:
        """The report of a purchase that the contract needs filled."""
        order = self.order(venue)
        report = self.submit(venue, order)
        if report.state is not OrderState.FILLED:
            found = venue.find(order)
            require(found is not None, "the venue took an order and does not find it")
            report = found or report
        require(report.state is OrderState.FILLED, f"a market order for {order.quantity} is {report.state}, not filled")
        return report

    def held(self, venue: Platform) -> Decimal:
        position = venue.portfolio().position(self.parsed)
        return ZERO if position is None else position.quantity

    def position(self, venue: Platform) -> Position:
        found = venue.portfolio().position(self.parsed)
        if found is None:
            broken("after a filled purchase there is no position")
        return found

    # what there is

    def test_check_tries_all_five_things(self) -> None:
        found = self.open_venue().check()
        require(set(found) == CHECKS, f"check() answers {sorted(found)}, wanted are {sorted(CHECKS)}")
        require(all(isinstance(value, bool) for value in found.values()), "an answer is neither True nor False")

    def test_the_instrument_has_usable_rules(self) -> None:
        rules: Any = self.open_venue().instrument(self.parsed)
        if not isinstance(rules, Instrument):
            broken(f"instrument() returned {type(rules).__name__}, not an Instrument")
        require(rules.asset.symbol == self.parsed.symbol, f"asked for {self.asset}, got {rules.asset}")
        require(rules.quantity_increment > 0 and rules.price_increment > 0, "an increment is not above zero")
        require(rules.minimum_quantity >= 0 and rules.minimum_notional >= 0, "a minimum is below zero")
        require(rules.quote_currency, "the quote currency is empty")

    def test_the_quote_is_of_the_asset_asked_for(self) -> None:
        found: Any = self.open_venue().quote(self.parsed)
        if not isinstance(found, Quote):
            broken(f"quote() returned {type(found).__name__}, not a Quote")
        require(found.asset.symbol == self.parsed.symbol, f"asked for {self.asset}, got {found.asset}")

    def test_a_fresh_account_has_cash_and_no_position(self) -> None:
        venue = self.open_venue()
        found: Any = venue.portfolio()
        if not isinstance(found, Portfolio):
            broken(f"portfolio() returned {type(found).__name__}, not a Portfolio")
        require(found.positions_known, "the positions of a fresh account are unknown")
        require(found.cash is not None and found.cash > 0, f"cash is {found.cash}")
        require(not self.held(venue), f"a fresh account holds {self.held(venue)} {self.asset}")

    # orders

    def test_prepare_sends_nothing(self) -> None:
        venue = self.open_venue()
        prepared: Any = venue.prepare(make_order(quantity=self.size(venue), asset=self.asset))
        text = isinstance(prepared, Mapping) and all(
            isinstance(part, str) for pair in prepared.items() for part in pair
        )
        require(text, f"prepare() returned {prepared!r:.60}; what is stored must be texts")
        require(not self.held(venue) and not venue.open_orders(), "prepare() sent the order")

    def test_a_filled_order_adds_up(self) -> None:
        venue = self.open_venue()
        report = self.bought(venue)
        require(report.fills, "a filled order without fills")
        total = sum((fill.quantity for fill in report.fills), ZERO)
        require(total == report.filled_quantity, f"fills add up to {total}, the report says {report.filled_quantity}")
        spent = sum((fill.quantity * fill.price for fill in report.fills), ZERO)
        average = report.average_price
        require(
            average is not None and abs(average - spent / total) <= CENT,
            f"the average price is {spent / total}, the report says {average}",
        )
        for fill in report.fills:
            self.require_fill(fill, report)

    def require_fill(self, fill: Fill, report: OrderReport) -> None:
        require(fill.client_order_id == report.client_order_id, f"a fill is of order {fill.client_order_id!r}")
        require(fill.quantity > 0 and fill.price > 0, f"a fill of {fill.quantity} at {fill.price}")
        require(fill.side is Side.BUY, f"a purchase was filled as {fill.side}")
        require(fill.asset.symbol == self.parsed.symbol, f"a fill of {fill.asset}")

    def test_the_filled_quantity_becomes_the_position(self) -> None:
        venue = self.open_venue()
        report = self.bought(venue)
        require(
            self.held(venue) == report.filled_quantity,
            f"{report.filled_quantity} were filled, the position is {self.held(venue)}",
        )

    def test_cash_pays_for_what_was_bought_and_its_fees(self) -> None:
        venue = self.open_venue()
        rules, before = venue.instrument(self.parsed), venue.portfolio()
        if rules.margin_rate != 1 or rules.contract_size != 1 or before.currency != rules.quote_currency:
            not_applicable("margin, contracts or another currency: cash does not pay the whole price")
        report = self.bought(venue)
        paid = sum((fill.quantity * fill.price for fill in report.fills), ZERO)
        fees = sum((fill.fee for fill in report.fills if fill.fee_currency == before.currency), ZERO)
        cash = venue.portfolio().cash
        wanted = (before.cash or ZERO) - paid - fees
        require(
            cash is not None and abs(cash - wanted) <= CENT,
            f"{before.cash} of cash less {paid} and fees {fees} is {wanted}, the venue says {cash}",
        )

    def test_equity_is_cash_and_positions_at_the_price(self) -> None:
        venue = self.open_venue()
        self.bought(venue)
        found, mid = venue.portfolio(), venue.quote(self.parsed).mid
        position = self.position(venue)
        worth = sum((held.value_in(found.currency) or ZERO for held in found.positions), ZERO)
        require(
            abs(position.price - mid) <= mid * Decimal("0.01"),
            f"the position is marked at {position.price}, the quote is {mid}",
        )
        require(
            found.cash is not None and found.equity == found.cash + worth,
            f"equity {found.equity} is not cash {found.cash} and positions",
        )

    def test_sizes_keep_to_the_increment_and_never_grow(self) -> None:
        venue = self.open_venue()
        step = venue.instrument(self.parsed).quantity_increment
        odd = self.size(venue) + step / 3
        try:
            report = self.submit(venue, self.order(venue, quantity=odd))
        except Refused:
            return
        require(report.filled_quantity % step == 0, f"filled {report.filled_quantity}, the increment is {step}")
        require(report.filled_quantity <= odd, f"asked for {odd}, filled {report.filled_quantity}")

    def test_what_the_account_cannot_pay_for_is_refused(self) -> None:
        venue = self.open_venue()
        cash = venue.portfolio().cash or Decimal(1)
        rules = venue.instrument(self.parsed)
        huge = self.order(venue, quantity=rules.round_quantity(cash / self.price * 1000) + rules.quantity_increment)
        self.expect_refusal(venue, huge, "more than the account can pay for")
        require(not self.held(venue), "a refused order left a position")

    def expect_refusal(self, venue: Platform, order: Order, what: str) -> None:
        """A definite no: ``Refused``, or a report of an order that came to nothing."""
        try:
            report = self.submit(venue, order)
        except Refused:
            return
        except Exception as error:
            raise ContractBroken(f"{what}: raised {type(error).__name__}: {error}; Refused is meant for it") from error
        require(report.state in GONE, f"{what}: the order is {report.state}")
        require(not report.filled_quantity, f"{what}: {report.filled_quantity} were filled")

    def test_the_same_order_twice_is_one_order(self) -> None:
        venue = self.open_venue()
        first = self.bought(venue)
        before = self.held(venue)
        order = self.order(venue)
        try:
            again = self.submit(venue, order)
        except Refused:
            again = first
        require(self.held(venue) == before, f"sent twice, the position went from {before} to {self.held(venue)}")
        require(again.venue_order_id == first.venue_order_id, "sent twice, the venue made two orders of it")

    def test_find_tells_of_an_order_that_was_sent(self) -> None:
        venue = self.open_venue()
        order = self.order(venue)
        report = self.submit(venue, order)
        found = venue.find(order)
        if found is None:
            broken("the venue took the order and does not find it")
        require(found.client_order_id == order.client_order_id, f"found {found.client_order_id!r} instead")
        require(found.venue_order_id == report.venue_order_id, "found another order of the venue")

    def test_find_is_none_for_an_order_that_was_never_sent(self) -> None:
        venue = self.open_venue()
        found = venue.find(self.order(venue, client_order_id="never-sent"))
        require(found is None or found.state is OrderState.NOT_PLACED, f"it found {found!r:.60}")

    def test_a_lost_answer_is_unknown_and_find_tells(self) -> None:
        venue = self.open_venue("losing")
        order = self.order(venue)
        try:
            report = venue.submit(order)
        except Unknown:
            pass
        except Exception as error:
            raise ContractBroken(f"a lost answer raised {type(error).__name__}; Unknown is meant for it") from error
        else:
            broken(f"the answer was lost and the platform said {report.state}")
        found = venue.find(order)
        require(found is not None and found.state is not OrderState.NOT_PLACED, "the order exists and find has nothing")

    def test_a_venue_that_does_not_answer_never_says_no(self) -> None:
        venue: Platform = self.make_by("down")
        order = make_order(quantity=self.quantity or Decimal("0.1"), asset=self.asset)
        for what, call in (("submit", venue.submit), ("find", venue.find)):
            try:
                said: Any = call(order)
            except Refused as error:
                raise ContractBroken(f"{what}: nobody answered and it said Refused; Unknown is meant for it") from error
            except Exception:  # noqa: BLE001, S112 - any other error leaves the order in doubt, as it should
                continue
            require(said is not None, f"{what}: nobody answered and it said that there is no such order")
            require(said.state is OrderState.UNKNOWN, f"{what}: nobody answered and it said {said.state}")

    # the way out

    def test_close_sells_the_position_and_no_more(self) -> None:
        venue = self.open_venue()
        self.bought(venue)
        position = self.position(venue)
        venue.close(position, client_order_id="close-1")
        require(not self.held(venue), f"after closing {position.quantity} the position is {self.held(venue)}")
        with contextlib.suppress(Refused):
            venue.close(position, client_order_id="close-2")
        require(not self.held(venue), f"closing again opened {self.held(venue)}")

    def test_a_reduce_only_order_on_a_flat_account_opens_nothing(self) -> None:
        venue = self.open_venue()
        self.expect_refusal(venue, self.order(venue, Side.SELL, reduce_only=True), "reduce-only without a position")
        require(not self.held(venue), f"reduce-only opened {self.held(venue)}")

    def test_an_open_order_can_be_cancelled(self) -> None:
        venue = self.open_venue()
        rules = venue.instrument(self.parsed)
        far = rules.round_price(self.price * Decimal("0.9"))
        order = self.order(venue, type=OrderType.LIMIT, limit_price=far)
        try:
            report = self.submit(venue, order)
        except Refused as refusal:
            not_applicable(f"this platform takes no resting orders: {refusal}")
        require(report.state in (OrderState.ACCEPTED, OrderState.SENT), f"a far limit order is {report.state}")
        listed = [held.client_order_id for held in venue.open_orders()]
        require(listed == [order.client_order_id], f"one order rests, open_orders lists {listed}")
        cancelled = venue.cancel(order)
        require(cancelled.state is OrderState.CANCELLED, f"cancelled, the order is {cancelled.state}")
        require(not venue.open_orders(), "a cancelled order is still listed as open")

    def test_a_filled_order_is_never_reported_as_cancelled(self) -> None:
        venue = self.open_venue()
        self.bought(venue)
        try:
            report = venue.cancel(self.order(venue))
        except Refused:
            return
        require(report.state is OrderState.FILLED, f"a filled order was cancelled: {report.state}")

    def test_a_protected_position_shows_its_protection(self) -> None:
        venue = self.open_venue()
        self.bought(venue)
        rules = venue.instrument(self.parsed)
        stop, target = (rules.round_price(self.price * Decimal(part)) for part in ("0.9", "1.1"))
        before = self.held(venue)
        try:
            report = venue.protect(self.position(venue), stop, target, client_order_id="protect-1")
        except Refused as refusal:
            not_applicable(f"this platform protects nothing: {refusal}")
        require(report.state not in GONE, f"the protection is {report.state}")
        require(self.held(venue) == before, f"protecting changed the position from {before} to {self.held(venue)}")
        shown = venue.open_orders() or self.position(venue).stop_price is not None
        require(shown, "neither an open order nor the position shows the stop")

    def test_fills_are_told_once_each(self) -> None:
        venue = self.open_venue()
        first = self.bought(venue)
        told, cursor = venue.fills(None)
        mine = [fill for fill in told if fill.client_order_id == first.client_order_id]
        require(
            sum((fill.quantity for fill in mine), ZERO) == first.filled_quantity,
            f"{first.filled_quantity} were filled, fills() tells of {len(mine)} fills",
        )
        again, cursor = venue.fills(cursor)
        require(not again, f"fills() told {len(again)} fills again")
        venue.close(self.position(venue), client_order_id="close-1")
        later, _ = venue.fills(cursor)
        require(
            {fill.client_order_id for fill in later} == {"close-1"}, "after the cursor come other fills than new ones"
        )
        identities = [(fill.venue, fill.venue_fill_id) for fill in (*told, *later)]
        require(len(set(identities)) == len(identities), "two fills have one identity")
