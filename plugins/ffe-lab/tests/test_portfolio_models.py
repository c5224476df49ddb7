"""Models in a backtest of several assets: asked once at every close that is traded, of every asset."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ffe_lab.backtest import run
from ffe_lab.exposure import Decided, Result, hindsight
from ffe_lab.gate import Calls
from ffe_lab.heard import Votes
from ffe_lab.interview import Interview
from ffe_lab.lab import Lab
from ffe_lab.market import Market, candles_of, longer
from ffe_lab.portfolio import Portfolio, portfolio
from ffe_lab.returns import MetricsBasis, daily_equity
from ffe_lab.shared_run import Sharing
from ffe_lab.standin import Bars, Counting, bench, taped
from ffe_lab.trades import Trades

from ffe_core import Action, Asset, AssetKind, BudgetSpent, CassetteMiss, NoData, Opinion, Timeframe, UsageError
from ffe_core.ai.cassette import Tape
from ffe_core.settings import load_settings

type Walk = Callable[..., pd.DataFrame]

START, END = datetime(2022, 2, 1, tzinfo=UTC), datetime(2022, 2, 2, tzinfo=UTC)
#: traded closes of one asset
CLOSES = 24
NAMES = ("BTCUSD", "ETHUSD")
ENDLESS = Sharing(stop=0.0)


def source_of(name: str, frame: pd.DataFrame) -> Bars:
    series = candles_of(frame, asset=name, source=name)
    longer_ones = {length: made for length in (Timeframe.H4, Timeframe.D1) if (made := longer(series, length))}
    return Bars(name.lower(), {Timeframe.H1: series, **longer_ones})


@pytest.fixture
def frames(walk: Walk) -> dict[str, pd.DataFrame]:
    return {name: walk(900, seed=7 + place) for place, name in enumerate(NAMES)}


@pytest.fixture
def model() -> Counting:
    return Counting()


def lab_of(home: Path, frames: Mapping[str, pd.DataFrame], model: Counting, **variables: str) -> Lab:
    return bench(home, tuple(source_of(name, frame) for name, frame in frames.items()), model, **variables)


@pytest.fixture
def lab(tmp_path: Path, frames: dict[str, pd.DataFrame], model: Counting) -> Lab:
    return lab_of(tmp_path / "home", frames, model)


def market(lab: Lab, name: str, end: datetime = END) -> Market:
    return lab.market(Asset.parse(name), start=START, end=end)


def together(
    lab: Lab,
    provider: str | tuple[str, ...] = "counting",
    *,
    names: tuple[str, ...] = NAMES,
    end: datetime = END,
    sharing: Sharing = ENDLESS,
    **account: Any,
) -> Portfolio:
    return portfolio([market(lab, name, end) for name in names], provider, sharing=sharing, lab=lab, **account)


def printed(made: Portfolio) -> str:
    return json.dumps(made.data(), allow_nan=False)


def hour(day: int, of_day: int) -> datetime:
    return datetime(2022, 2, day, of_day, tzinfo=UTC)


# who is asked, and when


def test_every_asset_is_asked_about_once_at_each_of_its_closes(tmp_path: Path, lab: Lab, model: Counting) -> None:
    made = together(taped(lab, Tape.AUTO, tmp_path / "tape"))
    one = [START + timedelta(hours=number) for number in range(1, CLOSES + 1)]
    assert model.asked == one + one
    first = printed(made)
    assert len(model.asked) == 2 * CLOSES, "baselines and other costs ask nobody"
    for tape in (Tape.AUTO, Tape.REPLAY):
        assert printed(together(taped(lab, tape, tmp_path / "tape"))) == first
    assert len(model.asked) == 2 * CLOSES


@pytest.mark.parametrize("provider", ["counting", ("counting", "trend_adx", "rsi_reversion")])
def test_what_is_called_of_each_asset_is_what_its_own_backtest_calls(
    tmp_path: Path, lab: Lab, model: Counting, provider: str | tuple[str, ...]
) -> None:
    made = together(taped(lab, Tape.AUTO, tmp_path / "tape"), provider)
    asked = len(model.asked)
    for name, calls in zip(NAMES, made.run.calls, strict=True):
        alone = run(taped(lab, Tape.REPLAY, tmp_path / "tape"), market(lab, name), provider, lab.setup())
        assert alone.calls.agreement is not None and calls.agreement is not None
        for column in ("action", "confidence", "agreement"):
            assert getattr(alone.calls, column).tobytes() == getattr(calls, column).tobytes()
        assert alone.calls.heard is not None and calls.heard is not None
        assert alone.calls.heard.rows == calls.heard.rows
        assert alone.calls.heard.looked_up == 0
        assert {each: said.action.tobytes() for each, said in alone.calls.votes.items()} == {
            each: said.action.tobytes() for each, said in calls.votes.items()
        }
    assert len(model.asked) == asked == 2 * CLOSES
    assert len({calls.action.tobytes() for calls in made.run.calls}) == 2


def test_nobody_is_asked_about_dates_that_are_not_traded(
    tmp_path: Path, frames: dict[str, pd.DataFrame], model: Counting
) -> None:
    missing = pd.DatetimeIndex([hour(1, 5), hour(1, 6), hour(1, 17)])
    lab = lab_of(tmp_path / "home", {**frames, "ETHUSD": frames["ETHUSD"].drop(missing)}, model)
    made = together(taped(lab, Tape.AUTO, tmp_path / "tape"))
    shared = [hour(1, number) + timedelta(hours=1) for number in range(CLOSES) if number not in (5, 6, 17)]
    assert model.asked == shared + shared
    assert [each["decisions"] for each in made.data(full=False)["ai"]["assets"].values()] == [21, 21]
    bitcoin = made.run.calls[0]
    alone = run(taped(lab, Tape.AUTO, tmp_path / "tape"), market(lab, "BTCUSD"), "counting", lab.setup()).calls
    bars = made.run.table.dates.bars[0]
    rest = np.setdiff1d(np.arange(len(alone.action)), bars)
    assert np.array_equal(bitcoin.action[bars], alone.action[bars])
    assert not bitcoin.action[rest].any() and alone.action[rest].any()
    every = together(taped(lab, Tape.AUTO, tmp_path / "tape"), sharing=Sharing(stop=0.0, join="union"))
    assert [each["decisions"] for each in every.data(full=False)["ai"]["assets"].values()] == [CLOSES, 21]


def test_dates_that_are_too_few_are_refused_before_anybody_is_asked(
    tmp_path: Path, frames: dict[str, pd.DataFrame], model: Counting
) -> None:
    ether = frames["ETHUSD"]
    lab = lab_of(tmp_path / "home", {**frames, "ETHUSD": ether[ether.index >= hour(1, 21)]}, model)
    with pytest.raises(NoData, match="3 dates in common"):
        together(taped(lab, Tape.AUTO, tmp_path / "tape"))
    assert not model.asked


def test_a_replay_that_lacks_an_answer_about_any_asset_misses_and_asks_nobody(
    tmp_path: Path, lab: Lab, model: Counting
) -> None:
    run(taped(lab, Tape.RECORD, tmp_path / "tape"), market(lab, "BTCUSD"), "counting", lab.setup())
    model.asked.clear()
    with pytest.raises(CassetteMiss, match="2022-02-01T01:00:00Z was never recorded"):
        together(taped(lab, Tape.REPLAY, tmp_path / "tape"))
    assert not model.asked


def test_parameters_are_not_those_of_a_model(tmp_path: Path, lab: Lab, model: Counting) -> None:
    with pytest.raises(UsageError, match="a model has its own settings"):
        together(taped(lab, Tape.AUTO, tmp_path / "tape"), params={"fast": 3})
    assert not model.asked


# how far it is


def test_progress_counts_the_closes_of_all_assets_and_an_interrupted_run_goes_on(
    tmp_path: Path, lab: Lab, model: Counting
) -> None:
    told: list[tuple[int, int]] = []
    model.fails_after, model.error = 30, KeyboardInterrupt()

    def asking() -> Lab:
        return Lab(lab.engine, Interview(Tape.AUTO, tmp_path / "tape", told=lambda *count: told.append(count)))

    with pytest.raises(KeyboardInterrupt):
        together(asking())
    assert told == [(number, 2 * CLOSES) for number in range(1, 31)]
    told.clear()
    model.fails_after = None
    again = asking()
    together(again)
    assert told == [(number, 2 * CLOSES) for number in range(1, 2 * CLOSES + 1)]
    assert len(model.asked) == 2 * CLOSES
    told.clear()
    again.calls(market(lab, "BTCUSD"), "counting")
    assert told[-1] == (CLOSES, CLOSES), "one asset counts its own again"


PRICED = '[{"model": "counting-1", "from": "2020-01-01", "input_usd_per_million": 1, "output_usd_per_million": 10}]'


def test_a_budget_is_that_of_all_assets(tmp_path: Path, frames: dict[str, pd.DataFrame], model: Counting) -> None:
    lab = lab_of(tmp_path / "home", frames, model, FFE_AI__PRICES=PRICED)
    limited = taped(lab, Tape.AUTO, tmp_path / "tape")
    limited.engine.answers.budget_usd = Decimal("0.028")
    with pytest.raises(BudgetSpent):
        together(limited)
    assert CLOSES < len(model.asked) < 2 * CLOSES
    made = together(taped(lab, Tape.AUTO, tmp_path / "tape"))
    assert len(model.asked) == 2 * CLOSES
    told = made.data(full=False)["ai"]
    # 100 tokens at $1 and 10 at $10 a million
    assert Decimal(told["cost_usd"]) == 2 * CLOSES * Decimal("0.0002")
    assert told["cost_per_decision"] == "0.0002"
    for name, spent in told["assets"].items():
        assert Decimal(spent["cost_usd"]) == CLOSES * Decimal("0.0002")
        count = made.attribution()[name]["trades"]
        assert count and Decimal(spent["cost_per_trade"]) == pytest.approx(Decimal("0.0048") / int(count))
    assert told["decisions"] == told["providers"]["counting"]["answers"] == 2 * CLOSES


# what is told of it


def test_one_asset_alone_is_told_of_as_its_own_backtest(tmp_path: Path, lab: Lab) -> None:
    one = together(taped(lab, Tape.AUTO, tmp_path / "tape"), names=("BTCUSD",)).data(full=False)
    alone = run(taped(lab, Tape.REPLAY, tmp_path / "tape"), market(lab, "BTCUSD"), "counting", lab.setup())
    told = alone.data(full=False)
    assert len(alone.trades) > 0
    assert one["hindsight"] == told["hindsight"]
    assert one["ai"] == {**told["ai"], "assets": {"BTCUSD": told["ai"]}}


def test_rules_alone_are_told_of_without_models(tmp_path: Path, lab: Lab, model: Counting) -> None:
    made = together(taped(lab, Tape.AUTO, tmp_path / "tape"), "sma_cross")
    assert not {"ai", "hindsight"} & set(made.data(full=False))
    assert not model.asked


def test_the_votes_of_models_stand_behind_each_trade(tmp_path: Path, lab: Lab) -> None:
    made = together(taped(lab, Tape.AUTO, tmp_path / "tape"), ("counting", "trend_adx"), gate=False)
    assert {one["asset_pair"] for one in made.decisions()} == set(NAMES)
    for one in made.decisions():
        heard = made.run.calls[NAMES.index(one["asset_pair"])].heard
        assert heard is not None
        row = heard.rows[heard.closes.index(int(datetime.fromisoformat(one["time"]).timestamp() * 1000))]
        assert [(each["provider"], each["action"]) for each in one["votes"]] == [
            (said.provider, "HOLD" if said.action is None else said.action.value) for said in row
        ]


@pytest.mark.slow
def test_hindsight_is_that_of_the_whole_account(
    tmp_path: Path, frames: dict[str, pd.DataFrame], model: Counting
) -> None:
    variables = {"FFE_AI__CUTOFFS": '{"counting-1": "2022-01-31"}', "FFE_AI__EMBARGO_DAYS": "3"}
    lab = lab_of(tmp_path / "home", frames, model, **variables, FFE_DECISION__HORIZON="2")
    made = together(taped(lab, Tape.AUTO, tmp_path / "tape"), end=datetime(2022, 2, 8, tzinfo=UTC), gate=False)
    told = made.data(full=False)["hindsight"]
    # The close at midnight belongs to the day that it begins; the 4th is the first day after cutoff and embargo.
    cut = datetime(2022, 2, 4, tzinfo=UTC)
    closes = [START + timedelta(hours=number) for number in range(1, 7 * 24 + 1)]
    cost = 2 * (made.setup.costs.fee + made.setup.costs.slippage)
    sides: dict[str, Callable[[datetime], bool]] = {"clean": lambda at: at >= cut, "contaminated": lambda at: at < cut}
    for side, is_own in sides.items():
        column, nets, actions = told[side], [], 0
        for name, calls in zip(NAMES, made.run.calls, strict=True):
            prices = frames[name]["close"]
            for at, action in zip(closes, calls.action[-len(closes) :].tolist(), strict=True):
                if action and is_own(at):
                    actions += 1
                    if at + timedelta(hours=2) <= closes[-1]:
                        # A bar is indexed by its open, an hour before its close.
                        moved = prices[at + timedelta(hours=1)] / prices[at - timedelta(hours=1)] - 1
                        nets.append(action * moved - cost)
        assert (column["decisions"], column["actions"]) == (2 * sum(map(is_own, closes)), actions)
        assert column["mean_net_return"] == pytest.approx(math.fsum(nets) / len(nets))
        spans = trades_of(made)
        assert column["trades"] == sum(is_own(entered) for entered, _ in spans)
        strangers = [span for span in spans if not is_own(span[0])]
        other = {
            opened
            for opened in (close - timedelta(hours=1) for close in closes)
            if not is_own(max(opened, closes[0])) or any(into <= opened <= out for into, out in strangers)
        }
        whole = [day for day in range(1, 8) if not {at for at in other if at.day == day}]
        assert column["days"] == len(whole)
        growth = math.prod(1 + made.daily.returns[day - 1] for day in whole)
        assert column["total_return"] == (pytest.approx(growth - 1) if whole else None)
    assert told["clean"]["days"] > 0 and told["contaminated"]["days"] > 0
    assert told["headline"] == told["clean"]
    assert told["alpha_decay"] == told["clean"]["mean_net_return"] - told["contaminated"]["mean_net_return"]


def trades_of(made: Portfolio) -> list[tuple[datetime, datetime]]:
    """When the bars of entry and exit open."""
    opens = [datetime.fromtimestamp(at / 1000, UTC) for at in made.time.tolist()]
    return [(opens[a], opens[b]) for a, b in zip(made.trades.entry.tolist(), made.trades.exit.tolist(), strict=True)]


def test_what_was_decided_after_an_account_was_closed_is_counted_all_the_same(tmp_path: Path, lab: Lab) -> None:
    sharing = Sharing(share=0.5, stop=0.001)
    made = together(taped(lab, Tape.AUTO, tmp_path / "tape"), gate=False, sharing=sharing)
    assert made.stopped and len(made.equity) < CLOSES
    told = made.data(full=False)
    assert told["ai"]["decisions"] == told["hindsight"]["contaminated"]["decisions"] == 2 * CLOSES
    assert told["hindsight"]["contaminated"]["days"] == len(made.daily) == 1


def test_the_return_of_a_decision_is_that_of_its_own_bars(lab: Lab) -> None:
    """Bars that are no dates of the account are part of the horizon all the same."""
    held, horizon = market(lab, "BTCUSD"), 4
    bars = held.first + np.array([0, 1, 5, 6, 7, 19, 23])
    calls = Calls(np.ones(len(held.candles), np.int8), np.full(len(held.candles), 80, np.int8))
    setup = lab.setup()
    cost = 2 * (setup.costs.fee + setup.costs.slippage)
    made = Decided.of(Votes([], [], {}), held, calls, setup, horizon, at=bars, bar=np.arange(7))
    known = bars[:-1]
    expected = held.close[known + horizon] / held.close[known] - 1 - cost
    assert made.net[:-1] == pytest.approx(expected) and np.isnan(made.net[-1])


# columns that are written by hand: four days, of which the first two may be memory

FOUR_DAYS = np.array([int((START + timedelta(hours=number)).timestamp()) * 1000 for number in range(1, 97)])


def hindsight_of(home: Path, silent: tuple[int, ...], entries: tuple[tuple[int, int], ...] = ()) -> dict[str, Any]:
    """Of assets about which nobody answered at the first so many closes, and of ``entries``: asset and bar.

    A close at which nobody answered remembers nothing.
    """
    variables = {"FFE_AI__CUTOFFS": '{"counting-1": "2022-01-31"}', "FFE_AI__EMBARGO_DAYS": "2"}
    settings = load_settings(env={"FFE_HOME": str(home), **variables})
    said = Opinion("counting", "counting-1", Action.HOLD, 50, "so")
    failed = Opinion.failure("counting", "counting-1", "out of order")

    def decided(count: int) -> Decided:
        rows = [(failed,)] * count + [(said,)] * (96 - count)
        return Decided(Votes(rows, FOUR_DAYS.tolist(), {}), np.arange(96), np.zeros(96, np.int8), np.full(96, np.nan))

    of_asset, bars = (np.array(column, np.int64) for column in zip(*entries, strict=True)) if entries else (NONE, NONE)
    numbers, codes = np.ones(len(entries)), np.ones(len(entries), np.int8)
    trades = Trades(codes, bars, bars, numbers, numbers, numbers, numbers, numbers, codes)
    daily = daily_equity(FOUR_DAYS, np.full(96, 10_000.0), AssetKind.CRYPTO, 10_000.0)
    result = Result(FOUR_DAYS, daily, MetricsBasis.of(AssetKind.CRYPTO), trades, of_asset)
    return hindsight([decided(count) for count in silent], result, {"counting": Counting()}, settings)


NONE = np.empty(0, np.int64)


@pytest.mark.parametrize(
    ("silent", "clean", "contaminated"),
    [((0,), 2, 2), ((0, 0), 2, 2), ((23,), 3, 1), ((23, 23), 3, 1), ((0, 23), 2, 1), ((23, 0), 2, 1)],
)
def test_a_day_on_which_one_asset_is_memory_and_another_is_not_is_of_neither_side(
    tmp_path: Path, silent: tuple[int, ...], clean: int, contaminated: int
) -> None:
    """The bar that opens at midnight was decided at the 24th close, so that 23 silent ones are those of a day."""
    told = hindsight_of(tmp_path, silent)
    assert (told["clean"]["days"], told["contaminated"]["days"]) == (clean, contaminated)


def test_a_trade_is_of_the_side_on_which_its_own_asset_was_decided(tmp_path: Path) -> None:
    told = hindsight_of(tmp_path, (23, 0), ((0, 23), (1, 23), (0, 24), (1, 48)))
    # The first asset was silent before bar 23; bar 48 was decided at the midnight that begins the third day.
    assert (told["clean"]["trades"], told["contaminated"]["trades"]) == (2, 2)
    assert told["contaminated"]["decisions"] == 47 + 24
