import random
from decimal import Decimal, localcontext
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffe_core import Asset, Costs, Effect, FixedClock, NoData, Order, OrderType, PluginContext, Refused, Side
from ffe_core.builtin.paper import PaperSettings, ffe_platforms
from tests.risk.builders import AT, BTC

D = Decimal
EUR = Asset.parse("EURUSD")


class Quiet:
    def debug(self, event, **facts): ...

    info = warning = error = debug


def context(root, **costs):
    return PluginContext(
        "paper", FixedClock(AT), root / "state", root / "cache", Quiet(), random.Random(0), Costs(**costs)
    )


def paper(root, **costs):
    platform = next(iter(ffe_platforms(PaperSettings(), context(root, **costs))))
    platform.update_prices({"BTCUSD": D(50000), "EURUSD": D("1.1")})
    return platform


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


def test_two_writers_with_one_client_id_make_one_fill(tmp_path):
    platforms = [paper(tmp_path) for _ in range(4)]
    threads = [Thread(target=platform.submit, args=(order(),)) for platform in platforms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(platforms[0].fills(None)[0]) == 1


def test_what_was_filled_is_there_for_the_next_process(tmp_path):
    paper(tmp_path).submit(order())
    assert paper(tmp_path).portfolio().position(BTC).quantity == D("0.1")


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


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trades=trades)
def test_cash_and_positions_are_equity_to_the_last_digit(tmp_path_factory, trades):
    platform = paper(tmp_path_factory.mktemp("paper"))
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


def test_the_account_is_in_folders_that_nobody_else_may_open(tmp_path):
    platform = paper(tmp_path)
    platform.submit(order())
    assert [folder.stat().st_mode & 0o777 for folder in (platform.path.parent, platform.path.parent.parent)] == [
        0o700
    ] * 2
