"""The experiment from end to end: spans, options of the command, a peer's trades, and a future that changes nothing."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ffe_lab.backtest import Backtest, backtest, float_texts, isos
from ffe_lab.lab import Lab
from ffe_lab.trades import EXIT_REASONS
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import NoData, UsageError, from_ms
from ffe_core.cli import main
from ffe_core.domain.clock import iso

type Walk = Callable[..., pd.DataFrame]
type Ffe = Callable[..., dict[str, Any]]

BARE = ("--no-gate", "--sizing", "all_in", "--stop-loss-percentage", "0", "--take-profit-percentage", "0")


@pytest.fixture
def run(ffe_home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any, str]]:
    """Runs a command line; gives the exit code, the object on standard output, and standard error."""

    def done(*arguments: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return done


@pytest.fixture
def folder(tmp_path: Path, walk: Walk, monkeypatch: pytest.MonkeyPatch, ffe_home: Path) -> Path:
    """Sixty days of hourly bars of BTCUSD from 2022-01-03 on, where the source ``files`` looks."""
    frame = walk(1440)
    place = tmp_path / "bars"
    place.mkdir()
    frame.rename_axis("timestamp").to_csv(place / "BTCUSD_1h.csv")
    monkeypatch.setenv("FFE_PLUGINS__FILES__PATH", str(place))
    monkeypatch.setenv("FFE_DATA__SOURCES", "files")
    return place


@pytest.fixture
def fast(run: Callable[..., tuple[int, Any, str]], folder: Path) -> Ffe:
    """The data of ``ffe backtest BTCUSD ... --fast --json``."""

    def made(*arguments: str, provider: str = "sma_cross") -> dict[str, Any]:
        code, printed, err = run("backtest", "BTCUSD", "--provider", provider, "--fast", "--json", *arguments)
        assert code == 0, err
        data: dict[str, Any] = printed["data"]
        return data

    return made


# spans


def test_a_date_without_an_hour_includes_its_day(fast: Ffe) -> None:
    data = fast("--start", "2022-02-01", "--end", "2022-02-03")
    assert (data["start"], data["end"]) == ("2022-02-01T00:00:00Z", "2022-02-04T00:00:00Z")
    assert len(data["equity"]) == 72
    instant = fast("--start", "2022-02-01", "--end", "2022-02-03T00:00:00Z")
    assert (instant["end"], len(instant["equity"])) == ("2022-02-03T00:00:00Z", 48)


def test_dates_may_be_spelled_the_other_way(fast: Ffe) -> None:
    one = fast("--start", "2022-02-01", "--end", "2022-02-20")
    assert fast("--start-date", "2022-02-01", "--end-date", "2022-02-20") == one


@pytest.mark.parametrize(
    "dates",
    [
        ("--start", "2022-02-03T00:00:00Z", "--end", "2022-02-03T00:00:00Z"),
        ("--start", "2022-02-04", "--end", "2022-02-03"),
        ("--start", "2999-01-01"),
        ("--start", "01.02.2022"),
        ("--end", "2022-02-30"),
        ("--timeframe", "7m"),
    ],
)
def test_a_span_that_is_none_is_wrong_usage(run: Callable[..., tuple[int, Any, str]], folder: Path, dates: Any) -> None:
    code, printed, err = run("backtest", "BTCUSD", *dates)
    assert (code, printed) == (2, None)
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


def test_a_span_without_bars_is_an_error(run: Callable[..., tuple[int, Any, str]], folder: Path) -> None:
    code, printed, err = run("backtest", "BTCUSD", "--start", "2023-01-01")
    assert (code, printed) == (1, None)
    assert "BTCUSD" in err


def test_bars_before_the_start_warm_up_and_are_not_traded(walk: Walk, lab: Lab) -> None:
    """The means are ready at the first bar of the span, and equal to those of a run over everything."""
    frame = walk(900)
    start = datetime(2022, 1, 20, tzinfo=UTC)
    whole = backtest(frame, "sma_cross", asset="BTCUSD", lab=lab, sizing="all_in")
    late = backtest(frame, "sma_cross", asset="BTCUSD", start=start, lab=lab, sizing="all_in")
    assert late.time[0] == int(start.timestamp() * 1000)
    assert len(late.equity) == int((frame.index >= start).sum())
    first = late.time[late.trades.entry[0]]
    assert first > late.time[0]
    assert np.array_equal(late.calls.action, whole.calls.action)
    with pytest.raises(NoData):
        backtest(frame, "sma_cross", asset="BTCUSD", start=datetime(2023, 1, 1, tzinfo=UTC), lab=lab)


# options of the command


def final(data: dict[str, Any]) -> float:
    return float(data["metrics"]["final_value"])


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--fee-percentage", ("0", "0.1", "0.2")),
        ("--slippage-percentage", ("0", "0.1", "0.2")),
        ("--commission-per-trade", ("0", "5", "10")),
    ],
)
def test_each_cost_on_the_command_line_lowers_what_is_left(fast: Ffe, option: str, values: tuple[str, ...]) -> None:
    none, some, more = (final(fast(*BARE, option, value)) for value in values)
    assert none > some > more


@pytest.mark.slow
def test_every_other_option_acts(fast: Ffe) -> None:
    usual = fast("--no-gate")
    assert fast("--no-gate", "--initial-balance", "500")["metrics"]["initial_balance"] == 500.0
    assert fast("--no-gate", "--timeframe", "4h")["timeframe"] == "4h"
    assert len(fast("--no-gate", "--timeframe", "4h")["equity"]) == 360
    assert fast("--no-gate", "--param", "fast=3", "--param", "slow=9")["trades"] != usual["trades"]
    assert fast("--no-gate", provider="macd")["trades"] != usual["trades"]
    assert {row["side"] for row in fast("--no-gate", "--allow-short")["trades"]} == {"long", "short"}
    assert {row["exit_reason"] for row in fast(*BARE)["trades"]} <= {"signal", "open_at_end"}
    assert "stop" in {row["exit_reason"] for row in fast("--no-gate", "--stop-loss-percentage", "1")["trades"]}
    assert "target" in {row["exit_reason"] for row in fast("--no-gate", "--take-profit-percentage", "1")["trades"]}
    assert fast(*BARE, "--leverage", "2")["trades"] != fast(*BARE)["trades"]
    assert final(fast(*BARE, "--execution", "realistic")) != final(fast(*BARE))
    assert final(fast(*BARE, "--fee-tiers")) < final(fast(*BARE))
    assert len({fast("--no-gate", "--sizing", method)["trades"][0]["quantity"] for method in ("risk", "kelly")}) == 2


def test_the_gate_is_on_unless_the_sizing_means_to_use_all(fast: Ffe) -> None:
    told = {method: " ".join(fast("--sizing", method)["assumptions"]) for method in ("risk", "all_in", "fixed_amount")}
    assert "the gate is on" in told["risk"]
    assert "the gate is off" in told["all_in"]
    assert "the gate is off" in told["fixed_amount"]
    assert "the gate is on" in " ".join(fast("--sizing", "all_in", "--gate")["assumptions"])


def test_the_same_command_prints_the_same_bytes(
    run: Callable[..., tuple[int, Any, str]], folder: Path, tmp_path: Path
) -> None:
    def printed(name: str) -> bytes:
        file = tmp_path / name
        arguments = ("--provider", "sma_cross", "--seed", "4", "--trials", "3", "--output-file", str(file))
        code, _, err = run("backtest", "BTCUSD", *BARE, *arguments, "--json")
        assert code == 0, err
        return file.read_bytes()

    assert printed("one.json") == printed("two.json")


# no future


@pytest.mark.parametrize("provider", ["ensemble", "sma_cross", "macd", "bollinger"])
@pytest.mark.parametrize("asset", ["BTCUSD", "EURUSD"])
def test_bars_after_a_cut_change_nothing_before_it(walk: Walk, lab: Lab, provider: str, asset: str) -> None:
    """Once taken away and once made absurd: equity, trades and every ruling of the gate stay what they were."""
    frame, cut = walk(1500, seed=5), 1000
    absurd = frame.copy()
    absurd.iloc[cut:, :4] *= 10
    whole, part, other = (backtest(bars, provider, asset=asset, lab=lab) for bars in (frame, frame[:cut], absurd))
    for one in (part, other):
        assert np.array_equal(one.equity[:cut], whole.equity[:cut])
        ours, theirs = closed_before(one, cut - 1), closed_before(whole, cut - 1)
        assert ours == theirs
        assert rulings_before(one, cut - 1) == rulings_before(whole, cut - 1)
    assert len(closed_before(whole, cut - 1)) > 1


def closed_before(made: Backtest, bar: int) -> list[dict[str, Any]]:
    opens = set(np.flatnonzero(made.trades.exit >= bar).tolist())
    return [row for place, row in enumerate(made.trade_rows()) if place not in opens]


def rulings_before(made: Backtest, bar: int) -> list[Any]:
    return [(one.bar, one.units, one.rulings, one.refused) for one in made.simulation.judged if one.bar < bar]


# a peer


def peers_trades(frame: pd.DataFrame, fast: int, slow: int) -> pd.DataFrame:
    """The same rule as backtesting.py trades it: at the next open, with all there is."""
    from backtesting import Backtest as Peer
    from backtesting import Strategy
    from backtesting.lib import crossover

    def mean(values: Any, length: int) -> Any:
        return pd.Series(values).rolling(length).mean()

    class Cross(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.quick, self.steady = (self.I(mean, self.data.Close, length) for length in (fast, slow))

        def next(self) -> None:
            if crossover(self.quick, self.steady):
                self.buy()
            elif crossover(self.steady, self.quick):
                self.position.close()

    bars = frame.rename(columns=str.title).set_axis(frame.index.tz_localize(None))  # type: ignore[attr-defined]
    # It trades whole units; with as much money as this that is no matter.
    test = Peer(bars, Cross, cash=1e12, commission=0.001, finalize_trades=True)
    with warnings.catch_warnings():
        # of its own divisions, and of the number of trades it has no room for
        warnings.simplefilter("ignore")
        trades: pd.DataFrame = test.run()["_trades"]
    return trades.sort_values("EntryBar")


@pytest.mark.parametrize(
    ("name", "timeframe"),
    [
        ("GOOG", "1d"),
        pytest.param("BTCUSD", "1h", marks=pytest.mark.slow),
        pytest.param("ETHUSD", "1h", marks=pytest.mark.slow),
    ],
)
def test_backtesting_py_makes_the_same_trades(
    run: Callable[..., tuple[int, Any, str]],
    real_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    timeframe: str,
) -> None:
    """Bars and prices of all entries and exits on real bars.

    Where bars are missing ours cancels an entry, because the market was closed at the price it was meant for; theirs
    buys at whatever comes next. Those trades, and nothing else, are left out, and they are as many as ours counts.
    """
    pytest.importorskip("backtesting", reason="backtesting.py is not installed")
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setenv("FFE_PLUGINS__FILES__PATH", str(real_data))
    monkeypatch.setenv("FFE_DATA__KINDS", json.dumps({"GOOG": "stock"}))
    arguments = ("--source", "files", "--timeframe", timeframe, "--provider", "sma_cross", "--fast", "--json")
    (file,) = real_data.glob(f"{name}_{timeframe}_*.parquet")
    frame = pd.read_parquet(file).set_index("timestamp")
    span = ("--start", f"{frame.index[0]:%Y-%m-%d}", "--end", f"{frame.index[-1]:%Y-%m-%d}")
    code, printed, err = run("backtest", name, *span, *arguments, *BARE, "--slippage-percentage", "0")
    assert code == 0, err
    data = printed["data"]

    theirs = peers_trades(frame, 10, 30)
    length = {"1h": pd.Timedelta(hours=1), "1d": pd.Timedelta(days=5)}[timeframe]
    follows = (frame.index[theirs["EntryBar"]] - frame.index[theirs["EntryBar"] - 1]) <= length
    assert int((~follows).sum()) == data["refused"].get("market_closed", 0)
    theirs = theirs[follows]

    ours = data["trades"]
    assert len(ours) == len(theirs) > 20
    label = frame.index if timeframe == "1h" else pd.DatetimeIndex(frame.index).normalize()
    stamp = [f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in label]
    assert [row["entry_time"] for row in ours] == [stamp[bar] for bar in theirs["EntryBar"]]
    assert [float(row["entry_price"]) for row in ours] == pytest.approx(theirs["EntryPrice"].tolist(), rel=1e-9)
    closed = [row["exit_reason"] == "signal" for row in ours]
    exits = theirs[closed]
    left = [row for row in ours if row["exit_reason"] == "signal"]
    assert [row["exit_time"] for row in left] == [stamp[bar] for bar in exits["ExitBar"]]
    assert [float(row["exit_price"]) for row in left] == pytest.approx(exits["ExitPrice"].tolist(), rel=1e-9)
    assert {row["exit_reason"] for row in ours} <= {"signal", EXIT_REASONS[4]}


# what is refused


@pytest.mark.parametrize(
    "wrong",
    [{"stop": 1.0}, {"stop": "wide"}, {"target": -0.1}, {"sizing": "martingale"}, {"params": {"fats": 1}}],
)
def test_arguments_that_mean_nothing_are_refused(walk: Walk, lab: Lab, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        backtest(walk(100), "sma_cross", asset="BTCUSD", lab=lab, **wrong)


# texts


@given(st.lists(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))))
def test_times_are_spelled_together_as_one_by_one(instants: list[datetime]) -> None:
    for unit in (1, 1000, 86_400_000):
        times = np.array([int(at.timestamp() * 1000) // unit * unit for at in instants], np.int64)
        assert isos(times) == [iso(from_ms(at)) for at in times.tolist()]


@given(st.lists(st.sampled_from([0.0, -0.0, 10_000.0, 0.1 + 0.2, 1e16, 1e-5, 5e-324, float("inf")])))
def test_numbers_are_spelled_together_as_one_by_one(values: list[float]) -> None:
    assert float_texts(np.array(values, np.float64)) == [repr(value) for value in values]


def test_points_are_printed_as_the_objects_that_a_notebook_gets(lab: Lab, walk: Walk) -> None:
    made = backtest(walk(5000), "sma_cross", asset="BTCUSD", lab=lab, params={"fast": 3, "slow": 9})
    points = made.data(full=False)["equity"]
    assert len(points) == 5000 and "".join(made.points_text()) == json.dumps(points)
    assert made.told("points", full=False) == {**made.data(full=False), "equity": "points"}


def test_what_is_printed_is_what_a_file_gets(run: Callable[..., tuple[int, Any, str]], folder: Path) -> None:
    line = ("backtest", "BTCUSD", "--provider", "sma_cross", "--fast", "--json")
    alone = run(*line)[1]
    code, printed, _ = run(*line, "--output-file", str(folder / "made.json"))
    assert code == 0 and printed == alone
    assert json.loads((folder / "made.json").read_text()) == printed["data"]
