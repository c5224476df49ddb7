"""Several venues as one platform: who is asked, what is added up, and what one that is down takes away."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from ffe_core import Asset, AssetKind, Effect, FixedClock, NoData, OrderState, PlatformError, Refused, Side, Unknown
from ffe_core.domain.ledger import LedgerKey
from ffe_core.domain.trading import Mode, Order
from ffe_core.errors import SafetyRefusal, UnknownName
from ffe_core.execution.breakers import with_breakers
from ffe_core.execution.journal import Journal
from ffe_core.execution.reconcile import Reconciler
from ffe_core.execution.router import Router, where_held
from ffe_core.net.state import MemoryState
from ffe_core.ports import Platform
from ffe_core.testing import FakePlatform, PlatformContract, make_context, make_order
from tests.testing.trials import broken_checks, contract

BTC, EUR = Asset.parse("BTCUSD"), Asset.parse("EURUSD")
PRICES = {"BTCUSD": Decimal(20_000), "EURUSD": Decimal("1.25")}
ROUTES = {AssetKind.CRYPTO: "coins", AssetKind.FOREX: "bank"}
CLOCK = FixedClock(datetime(2024, 3, 6, 12, tzinfo=UTC))


def venues(**changes: Mapping[str, object]) -> dict[str, FakePlatform]:
    given = {"coins": {}, "bank": {}, **changes}
    return {name: FakePlatform(name, **{"prices": PRICES, **asked}) for name, asked in given.items()}  # type: ignore[arg-type]


def router(there: Mapping[str, Platform], routes: Mapping[AssetKind, str] = ROUTES) -> Router:
    def named(name: str) -> Platform:
        if name not in there:
            raise UnknownName("platform", name, there)
        return there[name]

    return Router(routes, named)


def sent(made: Router, asset: Asset, quantity: str = "0.1", name: str = "one", **changes: object) -> Order:
    order = replace(make_order(quantity=Decimal(quantity), asset=asset.symbol, client_order_id=name), **changes)  # type: ignore[arg-type]
    order = replace(order, prepared=dict(made.prepare(order)))
    made.submit(order)
    return order


def paper(folder: Path) -> Platform:
    from ffe_core.builtin.paper import PaperSettings, ffe_platforms

    made = next(iter(ffe_platforms(PaperSettings(), make_context(folder, "paper"))))
    made.update_prices(PRICES)  # type: ignore[attr-defined]
    return made


# the contract


@pytest.mark.parametrize("asset", ["BTCUSD", "EURUSD"])
def test_two_venues_as_one_keep_the_contract_of_a_platform(asset: str) -> None:
    tried = contract(
        PlatformContract,
        lambda: router(venues()),
        losing=lambda: router(venues(coins={"lose_answers": 1}, bank={"lose_answers": 1})),
        down=lambda: router(venues(coins={"down": True}, bank={"down": True})),
        asset=asset,
        price=PRICES[asset],
    )
    assert broken_checks(tried) == {}


def test_paper_and_a_venue_as_one_keep_the_contract_of_a_platform(tmp_path: Path) -> None:
    counter = iter(range(1000))

    def make() -> Router:
        return router({"coins": paper(tmp_path / str(next(counter))), "bank": venues()["bank"]})

    assert broken_checks(contract(PlatformContract, make)) == {}


def test_two_venues_behind_breakers_keep_the_contract_of_a_platform() -> None:
    def make(**changes: Mapping[str, object]) -> Router:
        state = MemoryState()
        return router(
            {name: with_breakers(each, CLOCK, state, insists=False) for name, each in venues(**changes).items()}
        )

    tried = contract(
        PlatformContract,
        make,
        losing=lambda: make(coins={"lose_answers": 1}),
        down=lambda: make(coins={"down": True}, bank={"down": True}),
    )
    assert broken_checks(tried) == {}


# who is asked


def test_each_kind_goes_to_its_venue_and_says_which() -> None:
    there = venues()
    made = router(there)
    coins, bank = sent(made, BTC), sent(made, EUR, "100", "two")
    assert (coins.prepared["venue"], bank.prepared["venue"]) == ("coins", "bank")
    assert [one.asset for one in there["coins"].portfolio().positions] == [BTC]
    assert [one.asset for one in there["bank"].portfolio().positions] == [EUR]
    assert (made.instrument(BTC).venue, made.instrument(EUR).venue) == ("coins", "bank")
    assert [made.quote(asset).source for asset in (BTC, EUR)] == ["coins", "bank"]
    assert made.find(coins).client_order_id == "one"  # type: ignore[union-attr]
    assert {held.asset.symbol: held.venue for held in made.portfolio().positions} == {
        "BTCUSD": "coins",
        "EURUSD": "bank",
    }


def test_what_has_no_venue_is_refused_and_goes_to_no_other() -> None:
    made = router(venues(), {AssetKind.CRYPTO: "coins"})
    for ask in (made.instrument, made.quote, lambda asset: sent(made, asset)):
        with pytest.raises(SafetyRefusal, match="no venue for forex"):
            ask(EUR)
    with pytest.raises(Refused, match="no venue for forex"):
        made.submit(make_order(asset="EURUSD"))
    with pytest.raises(SafetyRefusal) as refusal:
        made.venue_of(Asset.parse("GOOG"))
    assert "data.kinds.GOOG" in str(refusal.value.hint)


def test_a_position_is_left_where_it_is_held_although_its_kind_goes_elsewhere_now() -> None:
    there = venues()
    sent(router(there), BTC)
    moved = router(there, {AssetKind.CRYPTO: "bank", AssetKind.FOREX: "coins"})
    position = moved.portfolio().position(BTC)
    assert position is not None and position.venue == "coins"
    leaving = make_order(Side.SELL, position.quantity, asset="BTCUSD", client_order_id="out", reduce_only=True)
    leaving = replace(leaving, effect=Effect.CLOSE, prepared=where_held(position))
    leaving = replace(leaving, prepared=dict(moved.prepare(leaving)))
    assert moved.close(position, client_order_id="out").state is OrderState.FILLED
    assert moved.find(leaving).state is OrderState.FILLED  # type: ignore[union-attr]
    assert there["coins"].portfolio().positions == ()


def test_recovery_asks_the_venue_that_the_order_went_to_after_settings_changed(database, clock) -> None:  # type: ignore[no-untyped-def]
    there = venues(coins={"lose_answers": 1}, other={})
    key = LedgerKey(Mode.LIVE, "unified", "venues", False)
    journal = Journal(database)
    before = router(there)
    order = make_order(quantity=Decimal("0.1"), client_order_id="lost")
    order = replace(order, prepared=dict(before.prepare(order)))
    journal.intend(order, key)
    journal.sent("lost")
    with pytest.raises(Unknown) as doubt:
        before.submit(order)
    journal.doubt("lost", str(doubt.value))

    after = router(there, {**ROUTES, AssetKind.CRYPTO: "other"})
    found = Reconciler(journal, after, key, clock).all()
    assert [entry.state for entry in found.changed] == [OrderState.FILLED]
    assert there["other"].portfolio().positions == ()


def test_a_venue_that_is_gone_does_not_say_that_there_is_no_such_order() -> None:
    there = venues()
    order = sent(router(there), BTC)
    del there["coins"]
    with pytest.raises(PlatformError, match="coins cannot be asked: unknown platform 'coins'"):
        router(there, {AssetKind.FOREX: "bank"}).find(order)


# what it adds up to


def test_totals_are_the_sums_of_the_venues() -> None:
    there = venues(coins={"cash": Decimal(10_000)}, bank={"cash": Decimal(2_500)})
    made = router(there)
    sent(made, BTC)
    sent(made, EUR, "100", "two")
    whole, parts = made.portfolio(), [each.portfolio() for each in there.values()]
    assert whole.cash == sum(each.cash for each in parts)  # type: ignore[misc]
    assert whole.equity == sum(each.equity for each in parts)  # type: ignore[misc]
    # 12,500 less the fees of a thousandth of 2,000 and of 125.
    assert whole.equity == Decimal("12497.875")
    assert (whole.platform, whole.account, whole.currency) == ("unified", "venues", "USD")


def test_only_the_assets_own_venue_is_what_may_be_spent_on_it() -> None:
    made = router(venues(coins={"cash": Decimal(300)}, bank={"cash": Decimal(700)}))
    accounts = made.accounts()
    assert made.joined(accounts, BTC).portfolio.buying_power == 300
    assert made.joined(accounts, EUR).portfolio.buying_power == 700
    assert made.joined(accounts, BTC).portfolio.equity == 1_000


def test_another_currency_is_added_by_the_venues_own_rate() -> None:
    made = router(venues(bank={"currency": "EUR", "cash": Decimal(800)}))
    # 800 EUR at 1.25 are 1,000 USD.
    joined = made.joined(made.accounts(), EUR)
    assert (joined.portfolio.cash, joined.portfolio.buying_power) == (11_000, 1_000)
    assert joined.problems == ()
    # And the other way round: 10,000 USD at 1.25 are 8,000 EUR.
    turned = router(venues(bank={"currency": "EUR", "cash": Decimal(800)}), dict(reversed(ROUTES.items())))
    assert (turned.portfolio().currency, turned.portfolio().cash) == ("EUR", 8_800)


def test_a_position_of_another_currency_keeps_its_worth() -> None:
    there = venues(bank={"currency": "EUR", "cash": Decimal(800)})
    made = router(there)
    sent(made, EUR, "100")
    # 100 EUR are worth 100 EUR, or 125 USD.
    position = made.portfolio().position(EUR)
    assert there["bank"].portfolio().position(EUR).value_in("EUR") == 100  # type: ignore[union-attr]
    assert position is not None and position.value_in("USD") == 125


def test_without_a_rate_nothing_is_added_and_it_is_said() -> None:
    prices = {"BTCUSD": Decimal(20_000)}
    made = router(venues(coins={"prices": prices}, bank={"currency": "EUR", "prices": prices}))
    joined = made.joined(made.accounts())
    assert (joined.portfolio.cash, joined.portfolio.equity) == (None, None)
    assert joined.portfolio.positions_known
    assert joined.problems == ("bank: no rate from EUR to USD, so that nothing is added up",)


# one that is down


def test_a_venue_that_is_down_is_never_flat_and_hides_no_other() -> None:
    there = venues()
    made = router(there)
    order = sent(made, BTC)
    sent(made, EUR, "100", "two")
    there["bank"].down = True
    whole = made.portfolio()
    assert (whole.positions_known, whole.cash, whole.equity) == (False, None, None)
    assert [held.asset for held in whole.positions] == [BTC]
    accounts = {each.venue: each for each in made.accounts()}
    assert accounts["coins"].portfolio.cash == Decimal(10_000) - 2_000 - 2  # type: ignore[union-attr]
    assert (accounts["bank"].portfolio, accounts["bank"].problem) == (None, "bank does not answer")
    # What the venue that answers holds can be left.
    assert made.find(order) is not None
    assert made.close(whole.positions[0], client_order_id="out").state is OrderState.FILLED
    with pytest.raises(Unknown):
        made.open_orders()
    there["coins"].down = True
    with pytest.raises(PlatformError, match="coins: coins does not answer; bank: bank does not answer"):
        made.portfolio()


def test_fills_of_a_venue_that_was_down_are_told_later_and_once(database, clock) -> None:  # type: ignore[no-untyped-def]
    there = venues()
    made = router(there)
    sent(made, BTC)
    sent(made, EUR, "100", "two")
    there["bank"].down = True
    key = LedgerKey(Mode.LIVE, "unified", "venues", False)
    reconciler = Reconciler(Journal(database), made, key, clock)
    first = reconciler.all()
    assert [fill.client_order_id for fill in first.fills] == ["one"]
    assert first.problems == ("fills of bank: bank does not answer",)
    there["bank"].down = False
    second = reconciler.all()
    assert ([fill.client_order_id for fill in second.fills], second.problems) == (["two"], ())
    assert reconciler.all().fills == ()
    there["bank"].down = there["coins"].down = True
    assert reconciler.all().problems == ("fills: coins: coins does not answer; bank: bank does not answer",)


def test_fills_of_a_venue_that_settings_no_longer_name_are_still_read() -> None:
    there = venues(other={})
    _, cursor = router(there).fills(None)
    sent(router(there), BTC)
    told, after = router(there, {**ROUTES, AssetKind.CRYPTO: "other"}).fills(cursor)
    assert [fill.client_order_id for fill in told] == ["one"]
    assert json.loads(after) == {"bank": "0", "coins": "1", "other": "0"}


def test_every_venues_own_check_is_told() -> None:
    made = router(venues(bank={"down": True}))
    assert all(made.checks()["coins"].values())
    assert not any(made.checks()["bank"].values())
    assert not any(made.check().values())


def test_a_venue_without_a_price_says_so() -> None:
    with pytest.raises(NoData):
        router(venues(coins={"prices": {}})).instrument(BTC)
