"""``ffe positions`` and ``ffe balance``: what is held, what it is worth, and what money there is."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.acting import banner, plainly
from ffe_core.cli.output import clean, jsonable
from ffe_core.cli.session import Session, command
from ffe_core.errors import PlatformError

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.domain.trading import Portfolio, Position
    from ffe_core.engine import Engine
    from ffe_core.engine.holdings import Holdings


@command()
@click.option("--save", is_flag=True, help="Keep this as a file under the data folder, too.")
def positions(session: Session, save: bool) -> None:
    """What is held, at the newest prices, with what it has gained.

    In paper mode what was opened on synthetic prices is shown apart. Exit code 1 where an account cannot be had.
    """
    from ffe_core.engine.holdings import holdings

    engine = session.engine
    accounts = holdings(engine)
    total = total_of(engine, accounts)
    data: dict[str, Any] = {"accounts": [account_data(held) for held in accounts], "total": total, "file": None}
    if save:
        data["file"] = _save(session, data)

    def show(console: Console) -> None:
        _print(session, console, accounts)
        print_total(console, total)

    session.emit(data, show)
    _fail(accounts)


@command()
@click.option("--venue", is_flag=True, help="The account at `execution.platform`, also in paper mode.")
def balance(session: Session, venue: bool) -> None:
    """What money there is: cash, what is held, and both together.

    In paper mode the paper accounts; --venue asks the configured venue itself. A failed query is exit code 1, and never
    a balance of zero.
    """
    from ffe_core.engine.holdings import holdings, holdings_of

    engine = session.engine
    accounts = holdings_of(engine, engine.venues.chosen()) if venue else holdings(engine)
    total = total_of(engine, accounts)

    def show(console: Console) -> None:
        _print_balance(session, console, accounts)
        print_total(console, total)

    session.emit({"accounts": [_balance(held) for held in accounts], "total": total}, show)
    _fail(accounts)


def total_of(engine: Engine, accounts: list[Holdings]) -> dict[str, Any] | None:
    """Of venues that stand together; ``None`` where there is one account, or none that answered."""
    from ffe_core.engine.holdings import together

    joined = together(engine, accounts)
    if joined is None:
        return None
    whole = joined.portfolio
    return {
        "currency": whole.currency,
        "cash": whole.cash,
        "equity": whole.equity,
        "stale": whole.stale,
        "problems": list(joined.problems),
    }


def print_total(console: Console, total: dict[str, Any] | None) -> None:
    if total is None:
        return
    console.print(
        f"all venues: cash {_money(total['cash'])}, equity {_money(total['equity'])} {total['currency']}",
        style="bold",
        highlight=False,
    )
    for line in total["problems"]:
        console.print(clean(line), style="yellow", highlight=False)


def _fail(accounts: list[Holdings]) -> None:
    for held in accounts:
        if held.portfolio is None:
            raise PlatformError(f"{held.platform}: {held.problem}")


def account_data(held: Holdings) -> dict[str, Any]:
    portfolio = held.portfolio
    positions = [] if portfolio is None else [_position(one) for one in portfolio.positions]
    return {**_balance(held), "positions": positions}


def _balance(held: Holdings) -> dict[str, Any]:
    portfolio = held.portfolio
    return {
        "platform": held.platform,
        "account": portfolio.account if portfolio else None,
        "synthetic": held.synthetic,
        "currency": portfolio.currency if portfolio else None,
        "cash": portfolio.cash if portfolio else None,
        "equity": portfolio.equity if portfolio else None,
        "unrealised": _unrealised(portfolio),
        "stale": portfolio.stale if portfolio else None,
        "problem": held.problem or None,
    }


def _position(one: Position) -> dict[str, Any]:
    return {
        "asset_pair": one.asset.symbol,
        "quantity": one.quantity,
        "entry_price": one.entry_price,
        "price": one.price,
        "value": one.market_value,
        "unrealised": one.unrealised,
        "unrealised_fraction": _gain(one),
        "stop_price": one.stop_price,
        "target_price": one.target_price,
        "opened_at": one.opened_at,
    }


def _gain(one: Position) -> float | None:
    """Of what was paid; above zero where it gained, long or short."""
    if not one.entry_price:
        return None
    sign = 1 if one.is_long else -1
    return float(sign * (one.price / one.entry_price - 1))


def _unrealised(portfolio: Portfolio | None) -> Decimal | None:
    if portfolio is None or not portfolio.positions_known:
        return None
    return sum((one.unrealised for one in portfolio.positions), Decimal(0))


def _save(session: Session, data: dict[str, Any]) -> str:
    from ffe_core.domain.clock import iso

    now = session.engine.clock.now()
    folder = session.paths.data / "positions"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{now:%Y%m%dT%H%M%S%fZ}.json"
    text = json.dumps(jsonable({"at": iso(now), "accounts": data["accounts"]}), indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return str(path)


def _print(session: Session, console: Console, accounts: list[Holdings]) -> None:
    banner(session, console)
    print_accounts(console, accounts)


def print_accounts(console: Console, accounts: list[Holdings]) -> None:
    from rich.table import Table
    from rich.text import Text

    for held in accounts:
        _print_title(console, held)
        if held.portfolio is not None and held.portfolio.equity is not None:
            worth = f"equity {_money(held.portfolio.equity)} {held.portfolio.currency}"
            console.print(f"{worth}, cash {_money(held.portfolio.cash)}", highlight=False)
        if held.portfolio is None:
            continue
        if not held.portfolio.positions:
            console.print("nothing is held")
            continue
        table = Table("asset", "quantity", "entry", "price", "value", "gain", "", "stop", "target")
        for one in held.portfolio.positions:
            gain = _gain(one)
            style = "green" if one.unrealised > 0 else "red" if one.unrealised < 0 else ""
            table.add_row(
                one.asset.symbol,
                plainly(one.quantity),
                plainly(one.entry_price),
                plainly(one.price),
                _money(one.market_value),
                Text(_money(one.unrealised), style=style),
                Text("-" if gain is None else f"{gain:+.2%}", style=style),
                "-" if one.stop_price is None else plainly(one.stop_price),
                "-" if one.target_price is None else plainly(one.target_price),
            )
        console.print(table)
        console.print(f"together {_money(_unrealised(held.portfolio))} {held.portfolio.currency}", highlight=False)


def _print_balance(session: Session, console: Console, accounts: list[Holdings]) -> None:
    from rich.table import Table

    banner(session, console)
    table = Table("account", "cash", "held", "equity", "currency", "")
    for held in accounts:
        portfolio = held.portfolio
        if portfolio is None:
            table.add_row(held.platform, "-", "-", "-", "-", clean(held.problem))
            continue
        equity = portfolio.equity
        worth = None if equity is None or portfolio.cash is None else equity - portfolio.cash
        note = held.problem or ("synthetic" if held.synthetic else "")
        table.add_row(
            f"{portfolio.platform}/{portfolio.account}",
            _money(portfolio.cash),
            _money(worth),
            _money(equity),
            portfolio.currency,
            clean(note),
        )
    console.print(table)


def _print_title(console: Console, held: Holdings) -> None:
    from rich.text import Text

    name = held.platform + (" (SYNTHETIC prices)" if held.synthetic else "")
    console.print(Text(f"{name}: {clean(held.problem)}" if held.problem else name, style="bold"))


def _money(value: Decimal | None) -> str:
    return "unknown" if value is None else f"{value:,.2f}"
