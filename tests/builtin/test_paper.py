import contextlib
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, localcontext
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core import Asset, Costs, Effect, FixedClock, NoData, Order, OrderType, Refused, Side
from ffe_core.builtin.paper import PaperSettings, ffe_platforms
from ffe_core.plugins import load_plugins
from ffe_core.settings import load_settings
from ffe_core.store import Database
from ffe_core.testing import make_context
from tests.risk.builders import AT, BTC

D = Decimal
EUR = Asset.parse("EURUSD")
ROOT = Path(__file__).resolve().parents[2]


def context(root, clock=None, **costs):
    return make_context(root, "paper", clock=clock or FixedClock(AT), costs=Costs(**costs))


def paper(root, lent=None, choice=PaperSettings(), **costs):  # noqa: B008 - a frozen value
    platform = next(iter(ffe_platforms(choice, lent or context(root, **costs))))
    platform.update_prices({"BTCUSD": D(50000), "EURUSD": D("1.1")})
    return platform


def entries(platform):
    return platform.ledger.read()


def order(client_id="one", side="BUY", quantity="0.1", asset=BTC, **changes):
    values = dict(
        client_order_id=client_id, decision_id="d", leg="entry", asset=asset, side=Side(side),
        quantity=D(quantity), effect=Effect.OPEN_LONG,
    )  # fmt: skip
    return Order(**{**values, **changes})


def test_a_new_account_holds_its_initial_cash(tmp_path):
    portfolio = paper(tmp_path).portfolio()
    assert (portfolio.cash, portfolio.positions, portfolio.equity) == (D(10000), (), D(10000))


def test_a_market_order_fills_at_the_mark_with_slippage_against_it_and_a_fee(tmp_path):
    platform = paper(tmp_path)
    report = platform.submit(order())
    assert report.average_price == D("50005.00000000")
    assert report.fills[0].fee == D("5.0005")
    assert platform.portfolio().cash == D(10000) - D("5000.5") - D("5.0005")
    sold = platform.submit(order("two", "SELL", effect=Effect.CLOSE))
    assert sold.average_price == D("49995.00000000")
    assert platform.portfolio().positions == ()


def test_the_same_client_id_never_fills_twice(tmp_path):
    platform = paper(tmp_path)
    assert platform.submit(order()) == platform.submit(order())
    assert platform.portfolio().position(BTC).quantity == D("0.1")


def test_synthetic_money_never_meets_real_money(tmp_path):
    real, synthetic = ffe_platforms(PaperSettings(), context(tmp_path))
    for platform in (real, synthetic):
        platform.update_prices({"BTCUSD": D(50000)})
    synthetic.submit(order())
    assert real.portfolio().positions == ()
    assert synthetic.portfolio().synthetic
    assert not real.portfolio().synthetic


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (order(quantity="1"), "needed"),
        (order(side="SELL"), "sold short"),
        (order(reduce_only=True), "reduce-only"),
        (order(type=OrderType.LIMIT), "market orders only"),
    ],
)
def test_an_impossible_order_is_refused_and_leaves_nothing(tmp_path, bad, why):
    platform = paper(tmp_path)
    with pytest.raises(Refused, match=why):
        platform.submit(bad)
    assert platform.find(bad) is None
    assert platform.portfolio().cash == D(10000)


def test_without_a_price_nothing_is_filled(tmp_path):
    with pytest.raises(NoData, match="no price"):
        paper(tmp_path).submit(order(asset=Asset.parse("ETHUSD")))


def test_closing_takes_the_position_and_never_more(tmp_path):
    platform = paper(tmp_path)
    platform.submit(order())
    position = platform.portfolio().position(BTC)
    platform.close(position, client_order_id="out")
    assert platform.portfolio().position(BTC) is None
    with pytest.raises(Refused, match="no position"):
        platform.close(position, client_order_id="again")


def test_protection_is_shown_with_the_position_and_goes_with_it(tmp_path):
    platform = paper(tmp_path)
    platform.submit(order())
    held = platform.portfolio().position(BTC)
    platform.protect(held, D(49000), D(52500), client_order_id="guard")
    held = platform.portfolio().position(BTC)
    assert (held.stop_price, held.target_price) == (D(49000), D(52500))
    assert [report.client_order_id for report in platform.open_orders()] == ["guard"]
    platform.close(held, client_order_id="out")
    assert platform.open_orders() == []


def test_protection_is_replaced_by_the_next_and_gone_with_the_position(tmp_path):
    platform = paper(tmp_path)
    platform.submit(order())
    held = platform.portfolio().position(BTC)
    platform.protect(held, D(49000), None, client_order_id="first")
    platform.protect(held, D(49500), D(52500), client_order_id="second")
    platform.protect(held, D(49500), D(52500), client_order_id="second")
    assert [entry.fill_id for entry in entries(platform) if entry.kind == "protection"] == ["first", "second"]
    assert platform.portfolio().position(BTC).stop_price == D(49500)
    platform.close(held, client_order_id="out")
    platform.submit(order("again"))
    assert platform.portfolio().position(BTC).stop_price is None
    with pytest.raises(Refused, match="another protection"):
        platform.protect(held, D(49500), D(52500), client_order_id="second")


def test_a_position_that_turns_around_loses_its_protection(tmp_path):
    platform = paper(tmp_path)
    platform.submit(order("long", "BUY", "1000", EUR))
    platform.protect(platform.portfolio().position(EUR), D("1.0"), None, client_order_id="guard")
    platform.submit(order("turn", "SELL", "3000", EUR, effect=Effect.OPEN_SHORT))
    assert platform.portfolio().position(EUR).stop_price is None


def test_a_short_in_forex_gains_when_the_price_falls(tmp_path):
    platform = paper(tmp_path, fee=D(0), slippage=D(0))
    platform.submit(order("s", "SELL", "1000", EUR, effect=Effect.OPEN_SHORT))
    platform.update_prices({"EURUSD": D("1.0")})
    assert platform.portfolio().equity == D(10000) + D(100)


def test_fills_are_read_from_a_cursor(tmp_path):
    platform = paper(tmp_path)
    platform.submit(order("one", quantity="0.01"))
    first, cursor = platform.fills(None)
    platform.submit(order("two", quantity="0.01"))
    second, _ = platform.fills(cursor)
    assert [fill.client_order_id for fill in first + second] == ["one", "two"]


trades = st.lists(
    st.tuples(st.sampled_from(["BUY", "SELL"]), st.decimals("1", "5000", places=0), st.decimals("0.5", "2", places=5)),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(trades=trades)
def test_cash_and_positions_are_equity_to_the_last_digit(trades):
    platform = paper(Path())
    cash, held = D(10000), D(0)
    with localcontext(prec=80):
        for number, (side, quantity, mark) in enumerate(trades):
            platform.update_prices({"EURUSD": mark})
            try:
                report = platform.submit(order(f"t{number}", side, quantity, EUR))
            except Refused:
                continue
            (fill,) = report.fills
            cash -= fill.side.sign * fill.quantity * fill.price + fill.fee
            held += fill.side.sign * fill.quantity
        portfolio = platform.portfolio()
        position = portfolio.position(EUR)
        assert portfolio.cash == cash
        assert (position.quantity if position else D(0)) == held
        assert portfolio.equity == cash + held * (position.price if position else D(0))


@settings(max_examples=25, deadline=None)
@given(trades=trades)
def test_the_legs_of_every_fill_balance_and_add_up_to_the_account(trades):
    platform = paper(Path())
    for number, (side, quantity, mark) in enumerate(trades):
        platform.update_prices({"EURUSD": mark})
        with contextlib.suppress(Refused):
            platform.submit(order(f"t{number}", side, quantity, EUR))
    booked = entries(platform)
    traded = [entry for entry in booked if entry.kind == "trade"]
    with localcontext(prec=80):
        assert all(entry.quantity * entry.price + entry.amount == 0 for entry in traded)
        assert [entry.fill_id for entry in booked if entry.kind == "fee"] == [entry.fill_id for entry in traded]
        assert platform.portfolio().cash == (sum(entry.amount for entry in booked) if booked else D(10000))
    assert [entry.kind for entry in booked[:1]] == (["deposit"] if traded else [])


def test_an_account_keeps_the_cash_and_the_currency_it_was_opened_with(tmp_path):
    lent = context(tmp_path, fee=D(0), slippage=D(0))
    paper(tmp_path, lent).submit(order())
    later = paper(tmp_path, lent, PaperSettings(initial_cash=D(99), currency="EUR")).portfolio()
    assert (later.cash, later.currency, later.equity) == (D(5000), "USD", D(10000))


def test_what_is_paid_in_another_currency_is_refused_rather_than_booked_wrong(tmp_path):
    platform = paper(tmp_path)
    platform.update_prices({"USDJPY": D(150)})
    with pytest.raises(Refused, match="paid in JPY"):
        platform.submit(order(asset=Asset.parse("USDJPY"), quantity="10"))
    assert entries(platform) == []


def test_an_account_that_was_never_used_leaves_no_entry(tmp_path):
    platform = paper(tmp_path)
    platform.portfolio()
    platform.flat()
    assert platform.open_orders() == []
    assert platform.fills(None) == ([], "0")
    assert entries(platform) == []


# in the user's store


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def chosen(request, tmp_path):
    """The environment of a user with one store or the other."""
    env = {"FFE_PLUGINS": "", "FFE_HOME": str(tmp_path)}
    if request.param == "postgresql":
        env["FFE_STORE__URL"] = request.getfixturevalue("postgres_url")
        with Database.at(env["FFE_STORE__URL"]) as database:
            database.upgrade()
    return env


def opened(env, name="paper", at=AT, **changes):
    registry = load_plugins(load_settings(env={**env, **changes}), clock=FixedClock(at))
    platform = registry.platform(name)
    platform.update_prices({"BTCUSD": D(50000)})
    return registry, platform


def test_what_was_filled_is_there_for_the_next_process(chosen):
    with opened(chosen)[0] as registry:
        platform = registry.platform("paper")
        report = platform.submit(order())
        platform.protect(platform.portfolio().position(BTC), D(49000), None, client_order_id="guard")
        before = platform.portfolio()
    with opened(chosen)[0] as registry:
        platform = registry.platform("paper")
        assert replace(platform.portfolio(), at=None) == replace(before, at=None)
        assert platform.find(order()) == report
        assert platform.fills(None)[0] == report.fills


def test_the_costs_of_the_mock_profile_are_those_of_its_worked_example(tmp_path):
    registry, platform = opened({"FFE_PLUGINS": "", "FFE_HOME": str(tmp_path), "FFE_COSTS__PROFILE": "mock"})
    with registry:
        bought = platform.submit(order(quantity="0.02"))
        sold = platform.submit(order("two", "SELL", "0.02", effect=Effect.CLOSE))
    assert (bought.average_price, sold.average_price) == (D(50075), D(49925))
    assert bought.fills[0].fee == D("0.02") * 50075 * D("0.0006")


def test_what_is_set_besides_a_profile_wins(tmp_path):
    env = {"FFE_HOME": str(tmp_path), "FFE_COSTS__PROFILE": "mock", "FFE_COSTS__FEE": "0"}
    costs = load_settings(env=env).costs
    assert (costs.fee, costs.slippage, costs.commission) == (0, 0.0015, 0)


def test_live_mode_reads_the_same_pretended_money(chosen):
    with opened(chosen)[0] as registry:
        registry.platform("paper").submit(order())
    with opened(chosen, FFE_MODE="live")[0] as registry:
        assert registry.platform("paper").portfolio().position(BTC).quantity == D("0.1")
        assert registry.platform("paper_synthetic").portfolio().positions == ()


def test_threads_with_one_client_id_make_one_fill(chosen):
    first, platform = opened(chosen)
    second, other = opened(chosen, at=AT + timedelta(seconds=1))
    with first, second:
        threads = [Thread(target=each.submit, args=(order(),)) for each in (platform, other) * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(platform.fills(None)[0]) == 1
        assert other.portfolio().position(BTC).quantity == D("0.1")


@pytest.mark.slow
def test_two_processes_cannot_fill_one_order_twice_or_spend_the_same_money(chosen):
    script = (
        "import sys; from tests.builtin.test_paper import *\n"
        "registry, platform = opened(dict(zip(sys.argv[1::2], sys.argv[2::2])))\n"
        "with registry:\n"
        "    for number in range(25):\n"
        "        try: platform.submit(order(f'n{number}', quantity='0.01'))\n"
        "        except Refused: pass\n"
    )
    arguments = [word for pair in chosen.items() for word in pair]
    running = [
        subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in running:
        _, err = process.communicate(timeout=110)
        assert process.returncode == 0, err
    registry, platform = opened(chosen)
    with registry:
        portfolio = platform.portfolio()
        # 500.55005 with slippage and fee: nineteen fit into ten thousand, and each client id stands for one fill.
        assert [fill.client_order_id for fill in platform.fills(None)[0]] == [f"n{number}" for number in range(19)]
        assert portfolio.position(BTC).quantity == D("0.19")
        assert portfolio.cash == D(10000) - 19 * D("500.55005")


def test_looking_at_an_account_makes_no_store(tmp_path):
    registry, platform = opened({"FFE_PLUGINS": "", "FFE_HOME": str(tmp_path)})
    with registry:
        assert platform.portfolio().cash == D(10000)
        platform.check()
        platform.open_orders()
    assert not list(tmp_path.rglob("*.db"))
