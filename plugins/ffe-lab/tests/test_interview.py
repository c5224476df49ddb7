"""Models in backtests: asked once at every close what a live decision would ask them, then never again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ffe_lab import interview as interviews
from ffe_lab.asof import remember
from ffe_lab.backtest import Backtest, run
from ffe_lab.heard import Votes
from ffe_lab.lab import Lab
from ffe_lab.market import Market, buffer_of, candles_of, longer
from ffe_lab.standin import BTC, Bars, Counting, bench, taped

from ffe_core import (
    Briefing,
    BudgetSpent,
    Candles,
    CassetteMiss,
    Opinion,
    ProviderFailed,
    Timeframe,
    UsageError,
    VerificationFailed,
    from_ms,
)
from ffe_core.ai.cassette import Tape

type Walk = Callable[..., pd.DataFrame]

START, END = datetime(2022, 2, 1, tzinfo=UTC), datetime(2022, 2, 2, tzinfo=UTC)
CLOSES = 24


@pytest.fixture
def bars(walk: Walk) -> Bars:
    return in_frames(candles_of(walk(900), asset=BTC, source="held"))


@pytest.fixture
def model() -> Counting:
    return Counting()


@pytest.fixture
def lab(tmp_path: Path, bars: Bars, model: Counting) -> Lab:
    return bench(tmp_path / "home", bars, model)


def backtest(
    lab: Lab, provider: str | tuple[str, ...] = "counting", start: datetime = START, end: datetime = END
) -> Backtest:
    return run(lab, lab.market(BTC, start=start, end=end), provider, lab.setup())


def in_frames(series: Candles) -> Bars:
    """With the longer bars as the source's own, because making them of hours at every question takes its time."""
    longer_ones = {frame: made for frame in (Timeframe.H4, Timeframe.D1) if (made := longer(series, frame))}
    return Bars("held", {Timeframe.H1: series, **longer_ones})


def heard(made: Backtest) -> Votes:
    assert made.calls.heard is not None
    return made.calls.heard


def printed(made: Backtest) -> str:
    return json.dumps(made.data(full=False), allow_nan=False)


def with_close(series: Candles, place: int, close: float) -> Candles:
    column = np.array(series.close)
    column[place] = close
    return replace(series, close=buffer_of(column), high=buffer_of(np.maximum(np.array(series.high), column)))


def test_a_second_run_asks_nobody_and_gives_the_same_bytes(tmp_path: Path, lab: Lab, model: Counting) -> None:
    first = printed(backtest(taped(lab, Tape.AUTO, tmp_path / "tape")))
    assert len(model.asked) == CLOSES
    assert model.asked == [datetime(2022, 2, 1 + hour // 24, hour % 24, tzinfo=UTC) for hour in range(1, CLOSES + 1)]
    for tape in (Tape.AUTO, Tape.REPLAY):
        made = backtest(taped(lab, tape, tmp_path / "tape"))
        assert printed(made) == first
        assert heard(made).looked_up == 0
    assert len(model.asked) == CLOSES


def test_what_is_put_before_a_model_is_the_briefing_of_a_live_decision_at_that_close(lab: Lab, bars: Bars) -> None:
    market = lab.market(BTC, start=START, end=END)
    known = remember(lab.engine, BTC, from_ms(int(market.closes[market.first])), END).feed()
    for close in market.closes[[market.first, market.first + 12, -1]].tolist():
        live = lab.engine.inputs_at(BTC, from_ms(close), lab.engine.feed_of("held"))
        assert lab.engine.inputs_at(BTC, from_ms(close), known).briefing == live.briefing
        assert live.briefing.pulse.frames[Timeframe.D1] is not None


def test_a_panel_of_a_model_and_a_rule_says_what_a_live_decision_says(tmp_path: Path, lab: Lab) -> None:
    panel = ("counting", "trend_adx")
    made = backtest(taped(lab, Tape.AUTO, tmp_path / "tape"), panel)
    names = {1: "BUY", -1: "SELL", 0: "HOLD"}
    agreement = made.calls.agreement
    assert agreement is not None
    for bar in range(made.market.first, len(made.market.candles), 7):
        at = from_ms(int(made.market.closes[bar]))
        decision = lab.engine.analyze(BTC, at=at, providers=panel)
        assert decision.ensemble_metadata["verdict_action"] == names[int(made.calls.action[bar])]
        assert decision.confidence == made.calls.confidence[bar]
        assert decision.ensemble_metadata["agreement_score"] == agreement[bar]


def test_a_replay_that_lacks_an_answer_misses_and_asks_nobody(tmp_path: Path, lab: Lab, model: Counting) -> None:
    backtest(taped(lab, Tape.RECORD, tmp_path / "tape"))
    model.asked.clear()
    with pytest.raises(CassetteMiss, match="2022-02-02T01:00:00Z was never recorded"):
        backtest(taped(lab, Tape.REPLAY, tmp_path / "tape"), end=datetime(2022, 2, 3, tzinfo=UTC))
    assert not model.asked


def test_a_changed_bar_is_asked_about_anew_from_there_on_and_not_before(
    tmp_path: Path, lab: Lab, bars: Bars, model: Counting
) -> None:
    backtest(taped(lab, Tape.AUTO, tmp_path / "tape"))
    model.asked.clear()
    series = bars.frames[Timeframe.H1]
    place = int(np.searchsorted(np.array(series.time), int(datetime(2022, 2, 1, 12, tzinfo=UTC).timestamp()) * 1000))
    changed = in_frames(with_close(series, place, series.close[place] * 1.01))
    again = bench(tmp_path / "home", changed, model)
    made = backtest(taped(again, Tape.AUTO, tmp_path / "tape"))
    assert model.asked[0] == datetime(2022, 2, 1, 13, tzinfo=UTC)
    assert len(model.asked) == heard(made).looked_up == 12


def test_another_model_is_asked_anew(tmp_path: Path, lab: Lab, bars: Bars) -> None:
    backtest(taped(lab, Tape.AUTO, tmp_path / "tape"))
    other = Counting(model="counting-2")
    with pytest.raises(CassetteMiss):
        backtest(taped(bench(tmp_path / "home", bars, other), Tape.REPLAY, tmp_path / "tape"))
    assert not other.asked


def test_another_horizon_is_another_question(tmp_path: Path, lab: Lab, bars: Bars, model: Counting) -> None:
    backtest(taped(lab, Tape.AUTO, tmp_path / "tape"))
    other = bench(tmp_path / "home", bars, model, FFE_DECISION__HORIZON="12")
    with pytest.raises(CassetteMiss):
        backtest(taped(other, Tape.REPLAY, tmp_path / "tape"))


def test_when_the_code_behind_prompts_changes_the_cassette_itself_has_the_word(
    tmp_path: Path, lab: Lab, model: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = printed(backtest(taped(lab, Tape.AUTO, tmp_path / "tape")))
    monkeypatch.setattr(interviews, "words", lambda: "another version")
    made = backtest(taped(lab, Tape.REPLAY, tmp_path / "tape"))
    assert heard(made).looked_up == CLOSES
    assert printed(made) == first
    # ... and where the words came out differently, it has none.
    from ffe_core.ai import cassette
    from ffe_core.ai.prompt import render_prompt as plain

    monkeypatch.setattr(cassette, "render_prompt", lambda told: replace(plain(told), system="Another instruction."))
    with pytest.raises(CassetteMiss):
        backtest(taped(lab, Tape.REPLAY, tmp_path / "tape"))
    assert len(model.asked) == CLOSES


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path, lab: Lab, model: Counting) -> None:
    model.fails_after, model.error = 10, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        backtest(taped(lab, Tape.AUTO, tmp_path / "tape"))
    model.fails_after = None
    made = backtest(taped(lab, Tape.AUTO, tmp_path / "tape"))
    assert len(model.asked) == len(set(model.asked)) == CLOSES
    assert heard(made).looked_up == CLOSES - 10


def test_a_model_that_is_down_stops_the_run_and_leaves_no_failure_behind(
    tmp_path: Path, lab: Lab, model: Counting
) -> None:
    model.fails_after = 10
    with pytest.raises(ProviderFailed, match="counting failed 3 times in a row: out of order"):
        backtest(taped(lab, Tape.AUTO, tmp_path / "tape"))
    model.fails_after = None
    breaker = lab.engine.answers.turnstile.gates("counting", model).breaker
    assert breaker is not None
    breaker.reset()
    made = backtest(taped(lab, Tape.AUTO, tmp_path / "tape"))
    assert all(row[0].is_vote for row in heard(made).rows)
    assert len(model.asked) == CLOSES


def test_a_single_failure_between_answers_is_an_answer(
    tmp_path: Path, lab: Lab, model: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, count = Counting.ask, iter(range(1000))

    def ask(self: Counting, briefing: Briefing, *, timeout: float) -> Opinion:
        if next(count) == 5:
            raise ProviderFailed("what it said cannot be read")
        return plain(self, briefing, timeout=timeout)

    monkeypatch.setattr(Counting, "ask", ask)
    first = backtest(taped(lab, Tape.AUTO, tmp_path / "tape"))
    again = backtest(taped(lab, Tape.REPLAY, tmp_path / "tape"))
    assert [row[0].is_vote for row in heard(again).rows].index(False) == 5
    assert heard(again).looked_up == 0
    assert printed(again) == printed(first)
    assert again.data(full=False)["ai"]["providers"]["counting"]["failures"] == 1


PRICED = '[{"model": "counting-1", "from": "2020-01-01", "input_usd_per_million": 1, "output_usd_per_million": 10}]'


def test_a_budget_ends_a_run_that_can_go_on_later(tmp_path: Path, bars: Bars, model: Counting) -> None:
    lab = bench(tmp_path / "home", bars, model, FFE_AI__PRICES=PRICED)
    limited = taped(lab, Tape.AUTO, tmp_path / "tape")
    limited.engine.answers.budget_usd = Decimal("0.025")
    with pytest.raises(BudgetSpent):
        backtest(limited)
    assert 0 < len(model.asked) < CLOSES
    told = backtest(taped(lab, Tape.AUTO, tmp_path / "tape")).data(full=False)["ai"]
    assert len(model.asked) == CLOSES
    # 100 tokens at $1 and 10 at $10 a million
    assert Decimal(told["cost_usd"]) == CLOSES * Decimal("0.0002")
    assert told["cost_per_decision"] == "0.0002"


def test_without_a_tape_models_are_asked_and_nothing_is_kept(tmp_path: Path, lab: Lab, model: Counting) -> None:
    kept = printed(backtest(taped(lab, Tape.AUTO, tmp_path / "tape")))
    live = printed(backtest(taped(lab, None, tmp_path / "nowhere")))
    assert live == kept
    assert len(model.asked) == 2 * CLOSES
    assert not (tmp_path / "nowhere").exists()


def test_models_are_not_asked_about_a_market_that_no_source_has(
    tmp_path: Path, lab: Lab, bars: Bars, model: Counting
) -> None:
    series = bars.frames[Timeframe.H1].between(None, END)
    place = len(series) - 3
    invented = Market(with_close(series, place, series.close[place] * 1.01), len(series) - CLOSES)
    with pytest.raises(UsageError, match="as its source has it"):
        taped(lab, Tape.AUTO, tmp_path / "tape").calls(invented, "counting")
    assert not model.asked


def test_a_line_that_was_tampered_with_is_found_and_one_that_was_never_finished_is_none(
    tmp_path: Path, lab: Lab, model: Counting
) -> None:
    backtest(taped(lab, Tape.AUTO, tmp_path / "tape"))
    (path,) = (tmp_path / "tape" / "lanes").glob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    backtest(taped(lab, Tape.AUTO, tmp_path / "tape"))
    assert path.read_bytes() == whole
    assert len(model.asked) == CLOSES
    path.write_bytes(whole.replace(b'"confidence":', b'"confidence":1', 1))
    with pytest.raises(VerificationFailed, match="is not as this version wrote it"):
        backtest(taped(lab, Tape.REPLAY, tmp_path / "tape"))


@pytest.mark.slow
def test_what_a_model_may_have_read_about_is_measured_apart(tmp_path: Path, bars: Bars, model: Counting) -> None:
    late = datetime(2022, 2, 7, tzinfo=UTC)
    variables = {"FFE_AI__CUTOFFS": '{"counting-1": "2022-01-31"}', "FFE_AI__EMBARGO_DAYS": "3"}
    lab = bench(tmp_path / "home", bars, model, **variables, FFE_DECISION__HORIZON="2")
    told = backtest(taped(lab, Tape.AUTO, tmp_path / "tape"), end=late).data(full=False)["hindsight"]
    # The close at midnight belongs to the day that it begins; the 4th is the first day after cutoff and embargo.
    assert told["contaminated"]["decisions"] == 3 * 24 - 1
    assert told["clean"]["decisions"] == 3 * 24 + 1
    assert told["headline"] == told["clean"]
    assert told["alpha_decay"] == told["clean"]["mean_net_return"] - told["contaminated"]["mean_net_return"]
    assert told["clean"]["days"] + told["contaminated"]["days"] <= 6


def test_a_model_of_which_nobody_said_when_its_training_ended_has_no_headline(tmp_path: Path, lab: Lab) -> None:
    told = backtest(taped(lab, Tape.AUTO, tmp_path / "tape")).data(full=False)["hindsight"]
    assert told["headline"] is None
    assert told["cutoffs"] == {"counting": None}
    assert told["contaminated"]["decisions"] == CLOSES
