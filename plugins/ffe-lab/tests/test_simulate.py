"""Laws of a run: no money appears or goes, both forms of the loop agree, and every option acts the way it should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ffe_lab import simulate as simulation
from ffe_lab.backtest import backtest, market_of, run
from ffe_lab.costs import Costs
from ffe_lab.gate import Calls
from ffe_lab.lab import Lab
from ffe_lab.market import Market, candles_of
from ffe_lab.simulate import Setup, Simulation, simulate
from ffe_lab.trades import EXIT_REASONS
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core import Asset, Instrument, UsageError
from ffe_core.risk.sizing import Exits, Kelly, SizingRules

type Walk = Callable[..., pd.DataFrame]

BTC = Asset.parse("BTCUSD")
FINE = Instrument(BTC, Decimal("0.00000001"), Decimal("0.01"), Decimal(0), Decimal(1), "USD", can_short=True)


def bars(seed: int, count: int, wildness: float) -> pd.DataFrame:
    """Hourly bars of a random market with gaps in price at the opens, and one in ten missing."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    close = 100 * np.exp(np.cumsum(rng.normal(0, wildness, count)))
    opened = np.append(100.0, close[:-1]) * np.exp(np.where(rng.random(count) < 0.1, rng.normal(0, 0.03, count), 0))
    reach = np.abs(rng.normal(0, wildness, (2, count)))
    high, low = np.maximum(opened, close) * (1 + reach[0]), np.minimum(opened, close) * np.exp(-reach[1])
    volume = rng.uniform(0, 900, count)
    index = pd.date_range("2023-05-01", periods=count, freq="h", tz="UTC")
    made = pd.DataFrame({"open": opened, "high": high, "low": low, "close": close, "volume": volume}, index=index)
    return made[rng.random(count) > 0.1]


def signals(seed: int, count: int) -> Calls:
    rng = np.random.Generator(np.random.Philox(key=[seed, 1]))
    action = rng.choice(np.array([-1, 0, 0, 0, 1], np.int8), count)
    return Calls(action, np.full(count, 80, np.int8))


fractions = st.sampled_from(["0", "0.004", "0.02", "0.1"])
accounts = st.builds(
    lambda method, share, stop, target, costs, short, leverage, buying_power: Setup(
        sizing=SizingRules(
            exits=Exits(stop="fixed", fallback=Decimal(stop), target=Decimal(target)), method=method,
            risk=Decimal(share), kelly=Kelly(), max_concentration=Decimal(50), max_leverage=Decimal(20),
            buying_power=Decimal(buying_power), fee=Decimal(repr(costs.fee)), allow_short=short,
        ),
        costs=costs, gate=False, leverage=leverage,
    ),
    method=st.sampled_from(simulation.SIZINGS),
    share=st.sampled_from(["0.01", "0.3", "1", "4"]),
    stop=fractions,
    target=fractions,
    costs=st.builds(
        Costs,
        fee=st.sampled_from([0.0, 0.001, 0.02]),
        slippage=st.sampled_from([0.0, 0.0005, 0.02]),
        commission=st.sampled_from([0.0, 2.5]),
        maker=st.sampled_from([None, 0.0005]),
        model=st.sampled_from(["basic", "realistic"]),
        impact=st.sampled_from([0.0, 0.01, 5.0]),
    ),
    short=st.booleans(),
    leverage=st.sampled_from([1.0, 2.0, 10.0]),
    buying_power=st.sampled_from(["0.97", "1"]),
)  # fmt: skip
worlds = given(
    seed=st.integers(0, 2**31), wildness=st.sampled_from([0.001, 0.01, 0.05]), first=st.integers(0, 40), setup=accounts
)


def market(seed: int, wildness: float, first: int, *, compiled: bool = False) -> Market:
    return Market(candles_of(bars(seed, 160, wildness), asset=BTC, timeframe="1h"), first, compiled=compiled)


def played(seed: int, wildness: float, first: int, setup: Setup, *, compiled: bool = False) -> Simulation:
    held = market(seed, wildness, first, compiled=compiled)
    return simulate(held, signals(seed, len(held.candles)), setup, FINE)


@worlds
@settings(max_examples=150)
def test_interpreter_and_machine_code_agree_to_the_last_bit(
    same: Callable[[Simulation, Simulation], None], seed: int, wildness: float, first: int, setup: Setup
) -> None:
    same(*(played(seed, wildness, first, setup, compiled=compiled) for compiled in (False, True)))


@worlds
@settings(max_examples=60)
def test_late_orders_are_the_same_in_both_forms(
    same: Callable[[Simulation, Simulation], None], seed: int, wildness: float, first: int, setup: Setup
) -> None:
    setup = replace(setup, costs=replace(setup.costs, model="realistic"))

    def drawn(count: int, bar_ms: int, seed: int) -> Any:
        return np.random.Generator(np.random.Philox(key=seed + 1)).integers(0, 4, count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "delays", drawn)
        same(*(played(seed, wildness, first, setup, compiled=compiled) for compiled in (False, True)))


@worlds
@settings(max_examples=150)
def test_no_money_appears_and_none_is_lost(seed: int, wildness: float, first: int, setup: Setup) -> None:
    """Equity at every bar is what there was, what closed trades brought, and what the open one is worth so far."""
    held = market(seed, wildness, first)
    done = played(seed, wildness, first, setup)
    trades, close = done.trades, held.close[first:]
    expected = np.full(len(held), setup.initial_balance)
    costs = setup.costs
    # An account of ten thousand has no digits left for what it gained beyond a billionth of that.
    scale = setup.initial_balance + np.abs(done.equity).max()
    for row in range(len(trades)):
        entry, left = int(trades.entry[row]), int(trades.exit[row])
        price, units, side = trades.entry_price[row], trades.quantity[row], trades.side[row]
        open_ended = EXIT_REASONS[trades.reason[row]] == "open_at_end"
        marked = slice(entry, left + 1 if open_ended else left)
        expected[marked] += side * units * (close[marked] - price) - units * price * costs.fee - costs.commission
        if open_ended:
            gained = expected[-1] - setup.initial_balance - trades.pnl[:row].sum()
            assert abs(trades.pnl[row] - gained) <= 1e-9 * scale
        else:
            expected[left:] += trades.pnl[row]
    assert np.abs(done.equity - expected).max() <= 1e-9 * scale
    assert abs(done.equity[-1] - setup.initial_balance - trades.pnl.sum()) <= 1e-9 * scale


@worlds
@settings(max_examples=100)
def test_trades_follow_each_other_at_prices_that_were_there(
    seed: int, wildness: float, first: int, setup: Setup
) -> None:
    held = market(seed, wildness, first)
    done = played(seed, wildness, first, setup)
    trades = done.trades
    assert (trades.entry >= 1).all()
    assert (trades.exit >= trades.entry).all()
    assert (trades.entry[1:] >= trades.exit[:-1]).all()
    assert (trades.quantity > 0).all()
    if not setup.sizing.allow_short:
        assert (trades.side == 1).all()
    if setup.is_realistic or setup.costs.slippage:
        return
    low, high = held.low[first:], held.high[first:]
    for bar, price in ((trades.entry, trades.entry_price), (trades.exit, trades.exit_price)):
        # Levels lie on the venue's cents.
        assert (price >= low[bar] - 0.01).all()
        assert (price <= high[bar] + 0.01).all()


@worlds
@settings(max_examples=60)
def test_bars_after_a_cut_change_nothing_before_it(seed: int, wildness: float, first: int, setup: Setup) -> None:
    whole = market(seed, wildness, first)
    count, cut = len(whole.candles), len(whole.candles) * 2 // 3
    calls = signals(seed, count)
    shorter = replace(whole, candles=whole.candles.slice(0, cut))
    full = simulate(whole, calls, setup, FINE)
    part = simulate(shorter, Calls(calls.action[:cut], calls.confidence[:cut]), setup, FINE)
    # Latency is drawn for all bars at once, and longer draws begin with the shorter ones.
    assert np.array_equal(part.equity, full.equity[: len(part.equity)])
    closed = part.trades.reason != EXIT_REASONS.index("open_at_end")
    for column in ("entry", "exit", "entry_price", "exit_price", "quantity", "pnl", "reason"):
        ours, theirs = getattr(part.trades, column), getattr(full.trades, column)
        assert np.array_equal(ours[closed], theirs[: len(ours)][closed])


def test_a_gate_without_rules_to_ask_is_refused() -> None:
    held = market(1, 0.01, 0)
    one = Decimal(1)
    setup = Setup(sizing=SizingRules(Exits(), "risk", Decimal("0.01"), Kelly(), one, one, one, Decimal(0), False))
    with pytest.raises(UsageError, match="no risk rules"):
        simulate(held, signals(1, len(held.candles)), setup, FINE)


@pytest.mark.parametrize("wrong", [{"initial_balance": 0.0}, {"leverage": 0.5}, {"leverage": 101.0}])
def test_an_account_that_is_none_is_refused(lab: Lab, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        lab.setup(**wrong)


# every option acts


def ending(lab: Lab, walk: Walk, **changes: Any) -> float:
    usual: dict[str, Any] = {"sizing": "all_in", "stop": 0.0, "target": 0.0, "asset": "BTCUSD", "lab": lab}
    return backtest(walk(1500), "sma_cross", params={"fast": 5, "slow": 20}, **(usual | changes)).metrics.final_value


@pytest.mark.parametrize("name", ["fee", "slippage", "commission"])
def test_what_trading_costs_is_missing_at_the_end(lab: Lab, walk: Walk, name: str) -> None:
    step = 5.0 if name == "commission" else 0.001
    free: dict[str, Any] = {"fee": 0.0, "slippage": 0.0, "commission": 0.0}
    none, some, more = (ending(lab, walk, costs=Costs(**free | {name: step * times})) for times in (0, 1, 2))
    assert none > some > more


def test_costs_of_nothing_cost_nothing(lab: Lab, walk: Walk) -> None:
    made = backtest(walk(900), "sma_cross", costs=Costs(0.0, 0.0), asset="BTCUSD", gate=False, lab=lab)
    assert made.metrics.total_fees == 0.0
    opens = made.market.open
    assert np.array_equal(made.trades.entry_price, opens[made.trades.entry])


def reasons_of(lab: Lab, walk: Walk, **account: Any) -> dict[str, int]:
    pair = {"fast": 10, "slow": 50}
    made = backtest(walk(1500), "sma_cross", params=pair, asset="BTCUSD", sizing="all_in", lab=lab, **account)
    return {name: int(np.count_nonzero(made.trades.reason == code)) for code, name in enumerate(EXIT_REASONS)}


def test_a_nearer_stop_and_a_nearer_target_are_hit_more_often_and_none_never(lab: Lab, walk: Walk) -> None:
    stops = [reasons_of(lab, walk, stop=stop, target=0.0)["stop"] for stop in (0.0, 0.05, 0.02, 0.005)]
    targets = [reasons_of(lab, walk, stop=0.0, target=target)["target"] for target in (0.0, 0.05, 0.02, 0.005)]
    assert stops[0] == targets[0] == 0 < stops[1] < stops[2] < stops[3]
    assert 0 < targets[1] < targets[2] < targets[3]


def test_the_account_begins_with_the_initial_balance(lab: Lab, walk: Walk) -> None:
    small, large = (ending(lab, walk, initial_balance=balance) for balance in (1_000.0, 50_000.0))
    assert large == pytest.approx(50 * small, rel=1e-9)


def test_short_positions_are_opened_where_they_are_allowed(lab: Lab, walk: Walk) -> None:
    made = backtest(walk(900), "sma_cross", asset="BTCUSD", allow_short=True, gate=False, lab=lab)
    assert {1, -1} == set(made.trades.side.tolist())
    plain = backtest(walk(900), "sma_cross", asset="BTCUSD", gate=False, lab=lab)
    assert {1} == set(plain.trades.side.tolist())


def test_leverage_buys_more_and_loses_faster(lab: Lab, walk: Walk) -> None:
    single, triple = (
        backtest(walk(900), "sma_cross", asset="BTCUSD", sizing="all_in", stop=0.0, leverage=times, lab=lab)
        for times in (1.0, 3.0)
    )
    assert triple.trades.quantity[0] == pytest.approx(3 * single.trades.quantity[0], rel=0.01)
    assert triple.metrics.max_drawdown > single.metrics.max_drawdown


def test_every_sizing_gives_another_size(lab: Lab, walk: Walk) -> None:
    sizes = {
        method: float(
            backtest(walk(900), "sma_cross", asset="BTCUSD", sizing=method, gate=False, lab=lab).trades.quantity[0]
        )
        for method in simulation.SIZINGS
    }
    assert len(set(sizes.values())) == len(sizes)
    assert max(sizes, key=sizes.__getitem__) == "all_in"


def test_the_realistic_model_costs_what_size_hour_and_volume_say(lab: Lab, walk: Walk) -> None:
    """By hand from the first entry: 0.02 % for bitcoin, 0.03 % for more than 10,000, half more in thin hours."""
    frame = walk(900)
    costs = Costs(fee=0.0, slippage=0.9e-9, model="realistic", impact=0.0)
    made = backtest(frame, "sma_cross", asset="BTCUSD", sizing="all_in", costs=costs, stop=0.0, lab=lab,
                    initial_balance=20_000.0)  # fmt: skip
    place = int(made.trades.entry[0])
    hour = frame.index[place].hour
    slip = (0.0002 + 0.0003) * (1.5 if hour >= 20 or hour <= 2 else 1.0)
    assert made.trades.entry_price[0] == pytest.approx(frame["open"].iloc[place] * (1 + slip), rel=1e-12)


def test_both_forms_agree_on_the_usual_account_with_its_gate(
    lab: Lab, walk: Walk, same: Callable[[Simulation, Simulation], None]
) -> None:
    frame = walk(1500, seed=11)
    plain, machine = (
        run(lab, market_of(frame, asset="BTCUSD", compiled=compiled), "ensemble", lab.setup())
        for compiled in (False, True)
    )
    same(plain.simulation, machine.simulation)
    assert len(plain.trades) > 3
    assert [one.units for one in plain.simulation.judged] == [one.units for one in machine.simulation.judged]
