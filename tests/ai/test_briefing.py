"""What a briefing says of the account: shares of its equity, and what each action would do."""

from dataclasses import replace
from decimal import Decimal

import pytest

from ffe_core import Action, Asset, Briefing, Effect, Portfolio, Position
from ffe_core.ai.briefing import account_view, build_briefing
from ffe_core.domain.codec import plain, restore
from ffe_core.testing import make_briefing

BTC, ETH, EUR = map(Asset.parse, ("BTCUSD", "ETHUSD", "EURUSD"))


def held(asset: Asset, quantity: str, entry: str, price: str, **further: object) -> Position:
    return replace(Position(asset, Decimal(quantity), Decimal(entry), Decimal(price)), **further)  # type: ignore[arg-type]


def account(cash: str | None, *positions: Position, **further: object) -> Portfolio:
    money = None if cash is None else Decimal(cash)
    return replace(Portfolio("paper", "main", "USD", money, positions), **further)  # type: ignore[arg-type]


def brief(portfolio: Portfolio | None, **changes: object) -> Briefing:
    usual = make_briefing()
    told = {name: getattr(usual, name) for name in ("mode", "timeframe", "horizon", "market", "pulse", "regime")}
    return build_briefing(usual.asset, usual.as_of, portfolio=portfolio, **told | changes)


def test_an_account_is_told_in_shares_of_its_equity() -> None:
    # 6,000 in cash, 2,500 in BTC bought at 20 % less, 1,500 in ETH: 10,000 in all.
    portfolio = account("6000", held(ETH, "1", "1500", "1500"), held(BTC, "0.05", "40000", "50000"))
    seen = account_view(portfolio, BTC)
    assert seen is not None
    assert (seen.cash, seen.asset, seen.gain) == (Decimal("0.6"), Decimal("0.25"), Decimal("0.25"))
    assert seen.others == {"ETHUSD": Decimal("0.15")}


def test_a_short_position_gains_where_the_price_falls() -> None:
    # 11,000 in cash less 1,000 of debt in BTC.
    seen = account_view(account("11000", held(BTC, "-0.02", "62500", "50000")), BTC)
    assert seen is not None
    assert (seen.cash, seen.asset, seen.gain) == (Decimal("1.1"), Decimal("-0.1"), Decimal("0.2"))


def test_several_positions_in_one_asset_are_one_share() -> None:
    two = (held(ETH, "1", "1000", "1000", venue="here"), held(ETH, "2", "1000", "1000", venue="there"))
    seen = account_view(account("7000", *two), BTC)
    assert seen is not None
    assert (seen.asset, seen.gain, seen.others) == (Decimal(0), None, {"ETHUSD": Decimal("0.3")})


@pytest.mark.parametrize(
    "unknown",
    [
        None,
        account(None),
        account("100", stale=True),
        account("100", positions_known=False),
        account("0"),
        account("100", held(Asset.parse("EURGBP"), "100", "0.8", "0.8")),
    ],
    ids=["no account", "no balance", "out of date", "positions unknown", "worth nothing", "no rate"],
)
def test_an_account_whose_worth_is_unknown_is_not_told(unknown: Portfolio | None) -> None:
    assert account_view(unknown, BTC) is None


@pytest.mark.parametrize(
    ("quantity", "shorts", "buy", "sell"),
    [
        ("0", False, Effect.OPEN_LONG, Effect.NONE),
        ("0", True, Effect.OPEN_LONG, Effect.OPEN_SHORT),
        ("1", True, Effect.NONE, Effect.CLOSE),
        ("-1", True, Effect.CLOSE, Effect.NONE),
    ],
)
def test_each_action_is_told_by_what_it_would_do(quantity: str, shorts: bool, buy: Effect, sell: Effect) -> None:
    asset = make_briefing().asset
    positions = (held(asset, quantity, "10", "10"),) if quantity != "0" else ()
    assert brief(account("100", *positions), shorts=shorts).effects == {Action.BUY: buy, Action.SELL: sell}


def test_of_unknown_positions_nothing_is_said() -> None:
    for portfolio in (None, account("100", positions_known=False)):
        made = brief(portfolio)
        assert (made.position, made.account, made.effects) == (None, None, {})


def test_what_is_told_of_the_account_survives_the_record() -> None:
    made = brief(account("6000", held(ETH, "1", "1500", "1500")), round_trip_cost=Decimal("0.0022"))
    assert restore(Briefing, plain(made)) == made


def test_a_record_from_before_the_account_was_told_is_read() -> None:
    known = plain(brief(account("6000")))
    for name in ("account", "effects", "round_trip_cost"):
        del known[name]
    made = restore(Briefing, known)
    assert (made.account, made.effects, made.round_trip_cost) == (None, {}, None)
