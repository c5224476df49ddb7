"""The figures of a report: equity against baselines, drawdown, rolling Sharpe ratio, months, trades on the price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ffe_lab.report import chart
from ffe_lab.report.chart import WIDTH, Frame, Line
from ffe_lab.report.courses import Course, Month, course_of, drawdown, months, rolling_sharpe
from ffe_lab.report.markup import Html, tag
from ffe_lab.report.run import BUY_AND_HOLD, Bars, Run
from ffe_lab.report.wording import day_of, instant, name_of, number, percent

#: trades with marks of their own on the price; more would cover it
MARKED = 250
_BASELINE_STYLES = ("second", "third", "fourth", "fifth", "sixth")
_WINDOWS = (90, 30)
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_SHADES = 4
#: share of the width in which a baseline that is known by its end alone is drawn
_TAIL = 0.03


def equity(run: Run) -> Html:
    """The run's equity, and what the same money would have become otherwise."""
    lines = [Line("this run", run.equity, "first"), *_baselines(run)]
    frame = Frame.around([line.course for line in lines], 260)
    told = f"Equity from {_span(run.equity)}: {run.initial:,.2f} became {run.metrics['final_value']:,.2f}."
    drawn = [chart.line_path(frame, line) for line in reversed(lines)]
    title = "Equity at the close of every bar, in account currency"
    return chart.figure(title, chart.chart(frame, drawn, label=told, unit="money"), chart.legend(lines))


def _baselines(run: Run) -> list[Line]:
    """Baselines with the course that the data give or the price does, for the others where they ended."""
    courses: Mapping[str, Any] = run.data.get("baseline_equity") or {}
    lines: list[Line] = []
    for name in sorted(courses.keys() | run.baselines.keys(), key=lambda name: (name != BUY_AND_HOLD, name)):
        line = _baseline(run, name, courses.get(name))
        if line is not None and len(lines) < len(_BASELINE_STYLES):
            lines.append(Line(line.name, line.course, _BASELINE_STYLES[len(lines)]))
    return lines


def _baseline(run: Run, name: str, rows: Sequence[Mapping[str, Any]] | None) -> Line | None:
    words = name_of(name)
    if rows:
        return Line(words, course_of(rows), "")
    final = _final(run, run.baselines.get(name, {}))
    if final is None or not len(run.equity):
        return None
    if name == BUY_AND_HOLD and run.bars is not None:
        # what is held moves as the price does, so its end and the price give its whole course
        return Line(words, Course(run.bars.time, final * run.bars.close / run.bars.close[-1]), "")
    start, end = (int(run.equity.time[at]) for at in (0, -1))
    tail = np.array([end - round((end - start) * _TAIL), end], dtype=np.int64)
    return Line(f"{words} (its end only)", Course(tail, np.full(2, final)), "")


def _final(run: Run, metrics: Mapping[str, Any]) -> float | None:
    final, total = (number(metrics.get(key)) for key in ("final_value", "total_return"))
    return final if final is not None or total is None else run.initial * (1 + total)


def under_water(run: Run) -> Html:
    """How far below its last peak the equity was."""
    course = drawdown(run.equity, run.initial)
    frame = Frame.around([course], 130, zero=True)
    deepest = float(course.value.min()) if len(course) else 0.0
    drawn = [
        tag("path", d=chart.area(frame, course, 0.0), class_="area loss"),
        chart.line_path(frame, Line("drawdown", course, "loss")),
    ]
    told = f"Drawdown from {_span(course)}: {percent(deepest)} at its deepest."
    return chart.figure(
        "Drawdown: equity below its highest value so far", chart.chart(frame, drawn, label=told, unit="percent")
    )


def sharpe(run: Run) -> Html:
    """The Sharpe ratio of the days before each day."""
    window = next((days for days in _WINDOWS if len(run.days) >= 2 * days), None)
    title = "Rolling Sharpe ratio, a year"
    if window is None:
        why = f"Not shown: the run has {len(run.days)} days, and {2 * _WINDOWS[-1]} are needed."
        return chart.figure(title, tag("p", why, class_="missing"))
    course = rolling_sharpe(run.days, window, run.basis)
    if not np.isfinite(course.value).any():
        return chart.figure(title, tag("p", "Not shown: the equity never moved.", class_="missing"))
    frame = Frame.around([course], 150, zero=True)
    drawn = [chart.line_path(frame, Line("Sharpe ratio", course, "first"))]
    low, high = float(np.nanmin(course.value)), float(np.nanmax(course.value))
    told = f"Sharpe ratio of {window} days from {_span(course)}: between {low:.2f} and {high:.2f}."
    picture = chart.chart(frame, drawn, label=told, unit="ratio")
    return chart.figure(f"{title}: of the last {window} days, from daily returns", picture)


def _span(course: Course) -> str:
    return f"{day_of(int(course.time[0]))} to {day_of(int(course.time[-1]))}" if len(course) else "an empty span"


def month_map(run: Run) -> Html:
    """A table of the months' returns, shaded by their size; every cell says its number."""
    found = months(run.equity, run.initial)
    most = max((abs(month.value) for month in found), default=0.0)
    years = sorted({month.year for month in found})
    roles = [tag("th", name, scope="col", role="columnheader") for name in ("Year", *_MONTHS, "All year")]
    return tag(
        "table",
        tag("caption", "Return of each month in percent"),
        tag("thead", tag("tr", *roles, role="row"), role="rowgroup"),
        tag("tbody", *(_year(year, found, most) for year in years), role="rowgroup"),
        class_="months",
        role="table",
    )


def _year(year: int, found: Sequence[Month], most: float) -> Html:
    values = {month.month: month.value for month in found if month.year == year}
    cells = [_month(name, values.get(at), most) for at, name in enumerate(_MONTHS, 1)]
    whole = float(np.prod([1 + value for value in values.values()]) - 1)
    total = tag("td", _signed(whole), class_="total", role="cell", data_label="All year")
    return tag("tr", tag("th", year, scope="row", role="rowheader"), *cells, total, role="row")


def _month(name: str, value: float | None, most: float) -> Html:
    if value is None:
        return tag("td", tag("span", "no data", class_="unseen"), class_="none", role="cell", data_label=name)
    shade = min(_SHADES, int(abs(value) / most * _SHADES) + 1) if value and most else 0
    style = f"{'up' if value > 0 else 'down'}{shade}" if shade else None
    return tag("td", _signed(value), class_=style, role="cell", data_label=name)


def _signed(value: float) -> str:
    text = f"{value * 100:+.1f}"
    return text if float(text) else "0.0"


def trades_on_price(run: Run) -> Html:
    """The price, and on it from where to where each trade went."""
    title = "Trades on the price" if run.data.get("asset_pairs") is None else f"Trades of {run.data['asset_pair']}"
    if run.bars is None:
        return chart.figure(title, tag("p", "Not shown: the report was made without candles.", class_="missing"))
    bars = run.bars
    close = Course(bars.time, bars.close)
    frame = Frame.around([Course(bars.time, bars.low), Course(bars.time, bars.high)], 300)
    shown = sorted(run.trades, key=lambda trade: -abs(float(trade["pnl"])))[:MARKED]
    won = [trade for trade in shown if float(trade["pnl"]) > 0]
    lost = [trade for trade in shown if float(trade["pnl"]) <= 0]
    drawn = [
        tag("path", d=_band(frame, bars), class_="band"),
        chart.line_path(frame, Line("close", close, "price")),
        tag("path", d=_ways(frame, won), class_="way won"),
        tag("path", d=_ways(frame, lost), class_="way lost"),
    ]
    over = [_mark(frame, trade, won=float(trade["pnl"]) > 0) for trade in shown]
    told = f"Price of {run.data['asset_pair']} from {_span(close)} with {len(shown)} of {len(run.trades)} trades."
    if len(shown) < len(run.trades):
        title += f": the {MARKED} that won or lost most, of {len(run.trades):,}"
    picture = chart.chart(frame, drawn, label=told, unit="money", over=over)
    return chart.figure(title, _marks(), picture, _key())


def _band(frame: Frame, bars: Bars) -> str:
    """From the lows to the highs, column by column."""
    upper = chart.path(frame, Course(bars.time, bars.high))
    x, y = chart.thinned(frame.x(bars.time), frame.y(bars.low))
    return upper + "".join(f"L{a:.1f} {b:.1f}" for a, b in zip(x[::-1], y[::-1], strict=True)) + "Z"


def _ways(frame: Frame, trades: Sequence[Mapping[str, Any]]) -> str:
    return "".join("M{:.1f} {:.1f}L{:.1f} {:.1f}".format(*_ends(frame, trade)) for trade in trades)


def _ends(frame: Frame, trade: Mapping[str, Any]) -> tuple[float, float, float, float]:
    times = np.array([instant(trade["entry_time"]), instant(trade["exit_time"])], dtype=np.int64)
    x, y = frame.x(times), frame.y(np.array([trade["entry_price"], trade["exit_price"]], dtype=np.float64))
    return float(x[0]), float(y[0]), float(x[1]), float(y[1])


def _mark(frame: Frame, trade: Mapping[str, Any], *, won: bool) -> Html:
    """An arrow at the entry, up for long and down for short, filled where the trade won."""
    x, y, *_ = _ends(frame, trade)
    shape = "long" if trade["side"] == "long" else "short"
    return tag(
        "use", href=f"#{shape}", x=f"{x / WIDTH * 100:.2f}%", y=f"{y:.1f}", class_=f"mark {'won' if won else 'lost'}"
    )


def _marks() -> Html:
    shapes = [tag("path", id=name, d=d) for name, d in (("long", "M0 0L4.5 8H-4.5Z"), ("short", "M0 0L4.5 -8H-4.5Z"))]
    return tag("svg", tag("defs", *shapes), class_="shapes", width=0, height=0, aria_hidden="true")


def _key() -> Html:
    entries = (
        ("long", "won", "long, won"),
        ("long", "lost", "long, lost"),
        ("short", "won", "short, won"),
        ("short", "lost", "short, lost"),
    )
    items = [tag("li", _arrow(shape, outcome), " ", words) for shape, outcome, words in entries]
    return tag("ul", *items, tag("li", chart.swatch("way"), " from entry to exit"), class_="legend")


def _arrow(shape: str, outcome: str) -> Html:
    mark = tag("use", href=f"#{shape}", x=7, y=3 if shape == "long" else 11, class_=f"mark {outcome}")
    return tag("svg", mark, class_="swatch", width=14, height=14, aria_hidden="true")
