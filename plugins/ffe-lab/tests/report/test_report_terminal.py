"""A backtest in the terminal, on every width and in every encoding."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ffe_lab.report.courses import Course
from ffe_lab.report.plot import plot
from ffe_lab.report.terminal import ASSUMED, summary
from rich.console import Console

type Data = dict[str, Any]
type Sample = tuple[Data, Data, list[Data]]
type MakeSample = Callable[..., Sample]

HOUR = 3_600_000


def printed(data: Data, *, width: int = 100, encoding: str = "utf-8") -> str:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=encoding, newline="\n")
    summary(data, Console(file=stream, width=width, highlight=False, emoji=False))
    stream.flush()
    return written.getvalue().decode(encoding)


def course(values: list[float]) -> Course:
    return Course(np.arange(len(values), dtype=np.int64) * HOUR, np.array(values))


def braille_dots(character: str) -> set[int]:
    """The raised dots of a Braille pattern, from the name that Unicode gives it: 1 2 3 7 go down on the left."""
    return set() if character == " " else {int(dot) for dot in unicodedata.name(character).rpartition("-")[2]}


def test_the_headline_stands_beside_interval_and_buy_and_hold(sample: Sample) -> None:
    data, *_ = sample
    (row,) = [line for line in printed(data).splitlines() if "Total return" in line]
    total, held = (100 * each["total_return"] for each in (data["metrics"], data["baselines"]["buy_and_hold"]))
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells == ["Total return", f"{total:+.2f} %", "-42.00 to +131.00 %", f"{held:+.2f} %"]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(sample: Sample, width: int) -> None:
    assert max(len(line) for line in printed(sample[0], width=width).splitlines()) <= width


def test_a_terminal_without_utf_8_gets_ascii_and_the_whole_plot(sample: Sample) -> None:
    # strict encoding: anything else than ASCII would raise
    told = printed(sample[0], encoding="ascii")
    assert "*" in told
    assert "95 % interval" in told


@pytest.mark.parametrize(("key", "word"), [("synthetic", "SYNTHETIC"), ("in_sample", "IN-SAMPLE")])
def test_a_warning_comes_first_where_the_data_say_so(sample: Sample, key: str, word: str) -> None:
    assert printed({**sample[0], key: True}).startswith(f"{word}: ")
    assert word not in printed(sample[0])


def test_assumptions_are_folded_to_those_that_name_a_figure(sample: Sample) -> None:
    assumed = ["1. fills at the next open", "2. fee 0.1 % per fill", "3. no shorts", "4. stop 2 % from the fill"]
    told = printed({**sample[0], "assumptions": assumed})
    assert "2. fee 0.1 % per fill" in told
    assert "4. stop 2 % from the fill" in told
    assert "no shorts" not in told
    assert "and 2 more: --html FILE or --json" in told


def test_assumptions_without_a_figure_are_folded_to_the_first(sample: Sample) -> None:
    told = printed({**sample[0], "assumptions": [f"holds {letter}" for letter in "abcdefghijk"]})
    assert f"{ASSUMED}. holds {'abcdefghijk'[ASSUMED - 1]}" in told
    assert f"and {11 - ASSUMED} more: --html FILE or --json" in told
    assert "more: --html" not in printed({**sample[0], "assumptions": ["holds"]})


def test_assumptions_keep_the_numbers_that_they_bring(sample: Sample) -> None:
    told = printed({**sample[0], "assumptions": ["2. no shorts", "14. no interest"]})
    assert [line.strip() for line in told.splitlines() if "no " in line][-2:] == ["2. no shorts", "14. no interest"]


def test_a_baseline_of_chance_says_how_much_of_it_was_beaten(sample: Sample) -> None:
    chance = {"runs": 1000, "total_return": -0.05, "percentile": 0.731}
    told = printed({**sample[0], "baselines": {**sample[0]["baselines"], "random_entry": chance}}, width=200)
    assert "random entry: of 1,000 runs with as many and as long trades at other times this one beat 73.1 %" in told


def test_what_is_null_says_why(make_sample: MakeSample) -> None:
    data, *_ = make_sample(24 * 12)
    (row,) = [line for line in printed(data, width=160).splitlines() if "Sharpe ratio" in line and "12 days" in line][
        :1
    ]
    assert "not shown: 12 days are too few, 30 are needed" in row


def test_trades_are_counted_by_their_way_out(sample: Sample) -> None:
    data, *_ = sample
    stops = [trade for trade in data["trades"] if trade["exit_reason"] == "stop"]
    (row,) = [line for line in printed(data).splitlines() if line.startswith("│ stop")]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "stop",
        str(len(stops)),
        f"{sum(float(trade['pnl']) for trade in stops):+,.2f}",
    ]


def test_text_of_a_stranger_is_neither_markup_nor_an_order_to_the_terminal(sample: Sample) -> None:
    told = printed({**sample[0], "provider": "[red]x[/red]\x1b[2J", "assumptions": ["[bold]y\x1b]0;z\x07"]})
    assert "[red]x[/red]" in told
    assert "[bold]y" in told
    assert "\x1b" not in told


def test_a_run_without_intervals_baselines_and_trades_is_told(make_sample: MakeSample) -> None:
    data, *_ = make_sample(24 * 40)
    told = printed({**data, "intervals": {}, "baselines": {}, "trades": [], "cost_sensitivity": None})
    assert "95 %" not in told
    assert "buy and hold" not in told
    assert "Final value" in told


@pytest.mark.parametrize("bars", [0, 1, 3])
def test_a_course_of_any_length_has_a_plot_or_none(bars: int) -> None:
    lines = plot(course([100.0] * bars), width=40, height=4, ascii_only=False)
    assert len(lines) == (5 if bars else 0)


def test_a_plot_is_labelled_with_its_extremes_and_days() -> None:
    lines = plot(course([float(10_000 + at) for at in range(24 * 40)]), width=60, height=6, ascii_only=False)
    assert lines[0].startswith("10,959 ")
    assert lines[5].startswith("10,000 ")
    assert lines[6].split() == ["1970-01-01", "1970-02-09"]
    assert max(len(line) for line in lines) <= 60


def test_a_rising_line_rises_in_stars() -> None:
    lines = plot(course([float(at) for at in range(30)]), width=34, height=3, ascii_only=True)
    rows = [line.partition("|")[2] for line in lines[:3]]
    tops = [min(row for row in range(3) if at < len(rows[row]) and rows[row][at] == "*") for at in range(30)]
    assert tops == sorted(tops, reverse=True)
    assert (tops[0], tops[-1]) == (2, 0)


def test_braille_raises_the_dots_that_the_values_stand_for() -> None:
    # columns of dots, low and high by turns, each joined to the one before; two rows of characters are eight of dots
    width = len("1 ") + 1 + 10
    lines = plot(course([0.0, 1.0] * 10), width=width, height=2, ascii_only=False)
    above, below = (line.partition("┤")[2][:2] for line in lines[:2])
    assert braille_dots(above[0]) == {4, 5, 6, 8}
    assert braille_dots(below[0]) == {7, 4, 5, 6, 8}
    assert braille_dots(above[1]) == braille_dots(below[1]) == {1, 2, 3, 7, 4, 5, 6, 8}
