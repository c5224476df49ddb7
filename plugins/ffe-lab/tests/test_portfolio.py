"""Several assets on shared cash."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from ffe_lab.backtest import market_of
from ffe_lab.costs import Costs
from ffe_lab.lab import Lab
from ffe_lab.portfolio import Portfolio, portfolio
from ffe_lab.shared_cash import correlation_factor, pearson, position_value
from ffe_lab.shared_run import Sharing
from ffe_lab.trades import EXIT_REASONS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffe_core import NoData, Opinion, Signals, UsageError
from ffe_core.cli import main

type Walk = Callable[..., pd.DataFrame]

FREE = Costs(0.0, 0.0)


@dataclass(frozen=True)
class Scripted:
    """A rule that calls at given bars what it is told to, the same for every asset, or by the first close."""

    calls: Mapping[float, Mapping[int, int]]
    confidence: int = 80
    name: str = "scripted"
    model: str = "rule:scripted"
    local: bool = True

    def ask(self, briefing: Any, *, timeout: float) -> Opinion:
        raise NotImplementedError

    def with_params(self, **params: float | int | str) -> Self:
        return replace(self, **params)  # type: ignore[arg-type]

    def ask_all(self, series: Any) -> Signals:
        action = np.zeros(len(series.candles.close), np.int8)
        for bar, call in self.calls.get(float(series.candles.close[0]), {}).items():
            action[bar] = call
        return Signals(action, np.full(len(action), self.confidence, np.int8))


def bars(prices: Any, start: str = "2024-01-02T00:00Z") -> pd.DataFrame:
    """Bars that stand still at each price, one after the other."""
    column = np.asarray(prices, float)
    index = pd.date_range(start, periods=len(column), freq="h")
    return pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), column), index=index)


def moving(seed: int, count: int = 80, first: float = 100.0) -> Any:
    rng = np.random.Generator(np.random.Philox(key=seed))
    return first * np.exp(np.append(0.0, np.cumsum(rng.normal(0, 0.002, count - 1))))


def reasons(made: Portfolio) -> list[str]:
    return [EXIT_REASONS[code] for code in made.trades.reason.tolist()]


# size


def test_a_correlation_above_the_threshold_makes_a_position_smaller() -> None:
    assert [correlation_factor(rho, 0.7) for rho in (-1.0, 0.0, 0.7)] == [1.0, 1.0, 1.0]
    assert correlation_factor(0.85, 0.7) == pytest.approx(0.75)
    assert correlation_factor(1.0, 0.7) == pytest.approx(0.5)
    # 10,000 x 1 % x 0.75 x 0.8
    assert position_value(10_000.0, 0.01, correlation_factor(0.85, 0.7), 0.8) == pytest.approx(60.0)


def test_a_confidence_counts_for_a_half_at_least() -> None:
    assert [position_value(10_000.0, 0.01, 1.0, each) for each in (0.0, 0.5, 0.9)] == pytest.approx([50, 50, 90])


@given(st.integers(0, 2**32), st.floats(-1, 1))
def test_the_correlation_is_that_of_numpy(seed: int, mixed: float) -> None:
    one, noise = moving(seed), moving(seed + 1)
    other = one**mixed * noise
    returns = (one[1:] / one[:-1] - 1, other[1:] / other[:-1] - 1)
    expected = np.corrcoef(returns[0][20:50], returns[1][20:50])[0, 1]
    assert pearson(one.tolist(), other.tolist(), 50, 30) == pytest.approx(expected, abs=1e-9)


def test_there_is_no_correlation_of_too_few_returns_or_of_a_price_that_stands_still() -> None:
    one = moving(1).tolist()
    assert pearson(one, one, 29, 30) == 0.0
    assert pearson(one, one, 30, 30) == pytest.approx(1.0)
    assert pearson(one, [5.0] * 80, 60, 30) == 0.0


def test_a_second_position_in_what_moves_alike_is_half_as_large(lab: Lab) -> None:
    one = moving(3)
    called = Scripted({100.0: {40: 1}, 50.0: {45: 1}, 30.0: {45: 1}})
    frames = {"BTCUSD": bars(one), "ETHUSD": bars(one / 2), "SOLUSD": bars(moving(4, first=30.0))}
    made = portfolio(frames, called, costs=FREE, gate=False, stop=0.0, target=0.0, lab=lab)
    value = {made.symbols[a]: made.trades.quantity[row] * frames[made.symbols[a]]["close"].iloc[at]
             for row, (a, at) in enumerate(zip(made.of_asset.tolist(), (40, 45, 45), strict=True))}  # fmt: skip
    worth = made.equity[45]
    assert value["BTCUSD"] == pytest.approx(80.0, rel=1e-3)
    assert value["ETHUSD"] == pytest.approx(worth * 0.01 * 0.5 * 0.8, rel=1e-3)
    assert value["SOLUSD"] == pytest.approx(worth * 0.01 * 0.8, rel=1e-3)


def test_at_most_nine_tenths_of_the_cash_go_into_a_position(lab: Lab) -> None:
    called = Scripted({100.0: {5: 1}, 50.0: {5: 1}}, confidence=100)
    frames = {"BTCUSD": bars([100.0] * 12), "ETHUSD": bars([50.0] * 12)}
    made = portfolio(frames, called, costs=FREE, gate=False, sharing=Sharing(share=1.0), lab=lab)
    assert (made.trades.quantity * made.trades.entry_price).tolist() == pytest.approx([9_000.0, 900.0])


# signals


def test_signals_mean_what_they_mean_alone(lab: Lab) -> None:
    """BUY opens, SELL leaves; a SELL without a position opens a short one if that is allowed, a BUY closes it only."""
    called = Scripted({100.0: {1: 1, 3: -1, 5: -1, 7: 1, 9: 1}, 50.0: {2: 1}})
    frames = {"BTCUSD": bars([100.0] * 14), "ETHUSD": bars([50.0] * 14)}
    made = portfolio(frames, called, costs=FREE, allow_short=True, lab=lab)
    bitcoin = made.of_asset == 0
    trades = made.trades
    assert trades.side[bitcoin].tolist() == [1, -1, 1]
    assert trades.entry[bitcoin].tolist() == [2, 6, 10]
    assert trades.exit[bitcoin].tolist() == [4, 8, 13]
    plain = portfolio(frames, called, costs=FREE, lab=lab)
    assert (plain.trades.side == 1).all()


def test_short_positions_are_twice_equity_at_most_in_all(lab: Lab) -> None:
    called = Scripted({float(10 * n): {2: -1} for n in (1, 2, 3)}, confidence=100)
    frames = {name: bars([10.0 * n] * 8) for n, name in enumerate(("BTCUSD", "ETHUSD", "SOLUSD"), 1)}
    sharing = Sharing(share=0.9, cash=1.0, stop=0.0)
    made = portfolio(frames, called, costs=FREE, gate=False, allow_short=True, sharing=sharing, lab=lab)
    assert (made.trades.quantity * made.trades.entry_price).sum() == pytest.approx(20_000.0)


def test_there_are_no_more_positions_than_allowed(lab: Lab) -> None:
    called = Scripted({100.0: {2: 1}, 50.0: {2: 1}})
    frames = {"BTCUSD": bars([100.0] * 8), "ETHUSD": bars([50.0] * 8)}
    made = portfolio(frames, called, sharing=Sharing(most_positions=1), lab=lab)
    assert made.of_asset.tolist() == [0]


def test_stops_and_targets_lie_at_two_and_five_percent(lab: Lab) -> None:
    down, up = [100.0] * 4 + [97.0] * 4, [50.0] * 4 + [53.0] * 4
    called = Scripted({100.0: {1: 1}, 50.0: {1: 1}})
    made = portfolio({"BTCUSD": bars(down), "ETHUSD": bars(up)}, called, costs=FREE, lab=lab)
    assert reasons(made) == ["stop", "target"]
    assert made.trades.exit_price.tolist() == [97.0, 53.0]


def test_a_drawdown_of_the_account_closes_everything_and_ends_the_run(lab: Lab) -> None:
    falling = [100.0] * 5 + [88.0] + [90.0] * 6
    called = Scripted({100.0: {1: 1, 8: 1}, 50.0: {2: 1}}, confidence=100)
    frames = {"BTCUSD": bars(falling), "ETHUSD": bars([50.0] * 12)}
    half: dict[str, Any] = {"costs": FREE, "gate": False, "stop": 0.0, "target": 0.0, "lab": lab}
    made = portfolio(frames, called, sharing=Sharing(share=0.5), **half)
    # Half of it lost 12 %: 6 % of the account at the close of bar 5, and all is sold at the opens of bar 6.
    assert made.stopped
    assert reasons(made) == ["portfolio_stop", "portfolio_stop"]
    assert made.trades.exit.tolist() == [6, 6]
    assert len(made.equity) == 7
    assert made.equity[-1] == pytest.approx(10_000 - 50 * 10)
    on = portfolio(frames, called, sharing=Sharing(share=0.5, stop=0.0), **half)
    assert (on.stopped, len(on.equity)) == (False, 12)


# dates


def test_dates_are_those_in_common_or_all_there_are(lab: Lab) -> None:
    early, late = bars([100.0] * 20), bars([50.0] * 20, "2024-01-02T10:00Z")
    frames = {"BTCUSD": early, "ETHUSD": late}
    called = Scripted({100.0: {2: 1}, 50.0: {5: 1}})
    both = portfolio(frames, called, lab=lab)
    assert len(both.equity) == 10
    every = portfolio(frames, called, sharing=Sharing(join="union"), lab=lab)
    assert len(every.equity) == 30
    assert every.trades.entry.tolist() == [3, 16]
    assert every.trades.exit.tolist() == [29, 29]
    with pytest.raises(NoData, match="4 dates in common"):
        portfolio({"BTCUSD": early, "ETHUSD": bars([50.0] * 20, "2024-01-02T16:00Z")}, called, lab=lab)


def test_an_entry_does_not_wait_for_dates_that_are_missing(lab: Lab) -> None:
    one, other = bars([100.0] * 12), bars([50.0] * 12)
    other = other.drop(other.index[[4, 5]])
    made = portfolio({"BTCUSD": one, "ETHUSD": other}, Scripted({100.0: {3: 1}}), lab=lab)
    assert (len(made.trades), made.refused) == (0, {"market_closed": 1})


def test_arguments_that_mean_nothing_are_refused(lab: Lab) -> None:
    frame = bars([100.0] * 12)
    for wrong in ({"join": "both"}, {"share": 0.0}, {"stop": 1.0}, {"window": 1}, {"most_positions": 0}):
        with pytest.raises(UsageError):
            Sharing(**wrong)
    with pytest.raises(UsageError, match="named twice"):
        portfolio([market_of(frame, asset="BTCUSD")] * 2, "sma_cross", lab=lab)
    with pytest.raises(UsageError, match="without assets"):
        portfolio({}, "sma_cross", lab=lab)
    with pytest.raises(UsageError, match="flat slippage"):
        portfolio({"BTCUSD": frame}, "sma_cross", costs=Costs(model="realistic"), lab=lab)
    with pytest.raises(UsageError, match="borrows nothing"):
        portfolio({"BTCUSD": frame}, "sma_cross", leverage=2.0, lab=lab)
    with pytest.raises(UsageError, match="one currency, not BTCUSD in USD, USDJPY in JPY"):
        portfolio({"BTCUSD": frame, "USDJPY": frame}, "sma_cross", lab=lab)
    kinds: tuple[dict[str, Any], ...] = ({"sizing": "all_in"}, {"sizing": "kelly", "gate": False})
    for account in kinds:
        with pytest.raises(UsageError, match="is for one asset"):
            portfolio({"BTCUSD": frame}, "sma_cross", lab=lab, **account)
    with pytest.raises(TypeError, match="no keyword 'start'"):
        portfolio({"BTCUSD": frame}, "sma_cross", start=None, lab=lab)  # type: ignore[call-arg]


# laws


@given(
    seed=st.integers(0, 2**31), short=st.booleans(), join=st.sampled_from(["intersection", "union"]),
    share=st.sampled_from([0.01, 0.4]), stop=st.sampled_from([0.0, 0.03]), assets=st.integers(1, 4),
    gate=st.booleans(),
)  # fmt: skip
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_money_is_conserved_and_both_forms_agree(
    lab: Lab, walk: Walk, seed: int, short: bool, join: str, share: float, stop: float, assets: int, gate: bool
) -> None:
    names = ("BTCUSD", "ETHUSD", "SOLUSD", "EURUSD")[:assets]
    frames = {}
    for place, name in enumerate(names):
        rng = np.random.Generator(np.random.Philox(key=[seed, place]))
        frames[name] = walk(200, seed=seed + place)[rng.random(200) > 0.1]
    account: dict[str, Any] = {
        "params": {"fast": 3, "slow": 8}, "allow_short": short, "gate": gate,
        "costs": Costs(0.002, 0.001, commission=0.5),
        "sharing": Sharing(share=share, stop=stop, join=join), "lab": lab,
    }  # fmt: skip
    plain, machine = (portfolio(frames, "sma_cross", compiled=compiled, **account) for compiled in (False, True))
    assert plain.equity.tobytes() == machine.equity.tobytes()
    assert plain.trades.pnl.tobytes() == machine.trades.pnl.tobytes()
    assert plain.of_asset.tobytes() == machine.of_asset.tobytes()
    gained = plain.equity[-1] - 10_000
    assert abs(plain.trades.pnl.sum() - gained) <= 1e-9 * 10_000
    found = plain.attribution()
    assert sum(float(one["pnl"] or 0.0) for one in found.values()) == pytest.approx(gained, abs=1e-6)
    assert sum(int(one["trades"] or 0) for one in found.values()) == len(plain.trades)
    if len(plain.trades) and plain.trades.pnl.sum():
        assert sum(float(one["contribution"] or 0.0) for one in found.values()) == pytest.approx(1.0)


def test_later_bars_change_nothing_before_them(lab: Lab, walk: Walk) -> None:
    frames = {name: walk(600, seed=place) for place, name in enumerate(("BTCUSD", "ETHUSD"))}
    whole = portfolio(frames, "sma_cross", lab=lab)
    part = portfolio({name: frame[:400] for name, frame in frames.items()}, "sma_cross", lab=lab)
    assert np.array_equal(part.equity, whole.equity[: len(part.equity)])


NAMES = tuple(f"{name}USD" for name in "BTC ETH SOL ADA XRP LTC BCH ETC".split())


def crossing(lab: Lab, frames: Mapping[str, pd.DataFrame], count: int, *, gate: bool) -> Portfolio:
    chosen = {name: frames[name] for name in NAMES[:count]}
    return portfolio(chosen, "sma_cross", gate=gate, sharing=Sharing(stop=0.0), compiled=True, lab=lab)


@pytest.mark.slow
def test_memory_grows_with_the_assets_and_no_faster(lab: Lab, walk: Walk) -> None:
    frames = {name: walk(4000, seed=place) for place, name in enumerate(NAMES)}
    peaks = []
    for count in (2, 2, 8):
        tracemalloc.start()
        crossing(lab, frames, count, gate=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] <= 4.2 * peaks[1]


def test_a_portfolio_is_printed_as_json_without_what_is_no_number(lab: Lab, walk: Walk) -> None:
    frames = {name: walk(600, seed=place) for place, name in enumerate(("BTCUSD", "ETHUSD"))}
    made = portfolio(frames, "sma_cross", lab=lab)
    data = json.loads(json.dumps(made.data(), allow_nan=False))
    assert data["asset_pairs"] == ["BTCUSD", "ETHUSD"]
    assert data["metrics"]["final_value"] == data["equity"][-1]["value"] == made.frame()["equity"].iloc[-1]
    assert {row["asset_pair"] for row in data["trades"]} == {"BTCUSD", "ETHUSD"}
    assert set(data["attribution"]["BTCUSD"]) == {"pnl", "trades", "win_rate", "contribution"}


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(("backtest", *arguments))
    out, err = capsys.readouterr()
    return code, out, err


SPAN = ("--start", "2024-02-01", "--end", "2024-03-20", "--provider", "rsi_reversion")


def test_the_command_takes_several_assets(ffe_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ask(capsys, "BTCUSD", "ETHUSD", *SPAN, "--json")
    assert code == 0, err
    data = json.loads(out)["data"]
    assert data["asset_pairs"] == ["BTCUSD", "ETHUSD"]
    assert data["start"] == "2024-02-01T00:00:00Z"
    gained = data["metrics"]["final_value"] - data["metrics"]["initial_balance"]
    assert sum(float(each["pnl"]) for each in data["attribution"].values()) == pytest.approx(gained, abs=1e-6)
    code, out, _ = ask(capsys, "BTCUSD", "ETHUSD", *SPAN)
    assert code == 0
    assert "net result" in out


@pytest.mark.parametrize(
    "wrong",
    [
        ("BTCUSD", "--join", "union"),
        ("BTCUSD", "ETHUSD", "--sizing", "all_in"),
        ("BTCUSD", "ETHUSD", "--no-gate", "--sizing", "kelly"),
        ("BTCUSD", "ETHUSD", "--leverage", "3"),
        ("BTCUSD", "ETHUSD", "--execution", "realistic"),
        ("BTCUSD", "ETHUSD", "--trials", "3"),
        ("BTCUSD", "BTC-USD"),
        (),
    ],
)
def test_options_of_one_asset_are_refused_for_several_and_the_other_way_round(
    ffe_home: Path, capsys: pytest.CaptureFixture[str], wrong: tuple[str, ...]
) -> None:
    code, out, err = ask(capsys, *wrong, *SPAN)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
