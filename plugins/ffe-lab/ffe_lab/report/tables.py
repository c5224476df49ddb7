"""The tables of a report: headline, baselines, costs, every metric, assumptions and what the run stands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ffe_lab.report.markup import Html, join, tag
from ffe_lab.report.run import BUY_AND_HOLD, Run
from ffe_lab.report.wording import (
    FIGURES,
    GROUPS,
    NOT_SHOWN,
    Figure,
    between,
    money,
    name_of,
    number,
    numbered,
    percent,
    reason_missing,
    worded,
)

_HEADLINE = ("total_return", "annual_return", "sharpe", "max_drawdown", "win_rate", "dsr")
_COMPARED = ("final_value", "total_return", "sharpe", "max_drawdown", "total_trades")
_COSTED = ("total_return", "sharpe", "total_fees")


def headline(run: Run) -> Html:
    """The numbers that people ask for first, each with its interval and with what buying once would have given."""
    return tag("dl", *(_tile(run, FIGURES[key]) for key in _HEADLINE), class_="headline")


def _tile(run: Run, figure: Figure) -> Html:
    value = run.metrics.get(figure.key)
    beside = [tag("dd", line, class_="beside") for line in _beside(run, figure)]
    style = "value missing" if number(value) is None else "value"
    return tag("div", tag("dt", figure.label), tag("dd", worded(figure.key, value), class_=style), *beside)


def _beside(run: Run, figure: Figure) -> list[str]:
    if number(run.metrics.get(figure.key)) is None:
        return [reason_missing(figure.key, run.data, len(run.days))]
    if figure.key == "win_rate":
        return [f"of {worded('total_trades', run.metrics.get('total_trades'))} trades"]
    if figure.key == "dsr":
        return [f"chance of a true Sharpe ratio above zero, {_tried(run.metrics.get('trials'))}"]
    interval = between(figure.key, run.intervals.get(figure.key))
    lines = [] if interval is None else [f"95 % interval {interval}"]
    held = run.baselines.get(BUY_AND_HOLD)
    return lines if held is None else [*lines, f"buy and hold {worded(figure.key, held.get(figure.key))}"]


def _tried(trials: Any) -> str:
    count = number(trials)
    if count is None:
        return "trials unknown"
    return "the only configuration tried" if count <= 1 else f"the best of {count:,.0f} tried"


def baselines(run: Run) -> Html:
    """The run and every baseline, a row each."""
    if not run.baselines:
        return tag("p", "Not shown: the baselines were not computed.", class_="missing")
    names = sorted(run.baselines, key=lambda name: (name != BUY_AND_HOLD, name))
    rows = [("this run", run.metrics), *((name_of(name), run.baselines[name]) for name in names)]
    table = _table("The same span and costs, decided otherwise", _COMPARED, rows, first="Who decided")
    return join([table, *(tag("p", line, " The row shows their median.") for line in chance(run))])


def chance(run: Run) -> list[str]:
    """How many runs that left the times to chance were beaten, for each baseline that knows."""
    told = []
    for name, metrics in run.baselines.items():
        beaten = number(metrics.get("percentile"))
        if beaten is not None:
            runs = number(metrics.get("runs"))
            of = "those" if runs is None else f"{runs:,.0f} runs"
            told.append(
                f"{name_of(name)}: of {of} with as many and as long trades at other times this one beat "
                f"{percent(beaten, sign=False, digits=1)}."
            )
    return told


def attribution(run: Run) -> Html | None:
    """What each of several assets brought; nothing where there is one."""
    brought: Mapping[str, Mapping[str, Any]] = run.data.get("attribution") or {}
    if not brought:
        return None
    heads = ("Asset", "Net result", "Trades", "Win rate", "Share of the result")
    rows = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            *(tag("td", text, data_label=head) for text, head in zip(_brought(row), heads[1:], strict=True)),
        )
        for name, row in brought.items()
    ]
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in heads)))
    return tag("table", tag("caption", "What each asset brought"), head, tag("tbody", *rows), class_="wide")


def _brought(row: Mapping[str, Any]) -> tuple[str, ...]:
    share = number(row["contribution"])
    told = NOT_SHOWN if share is None else percent(share, sign=False, digits=1)
    return money(row["pnl"]), f"{row['trades']:,}", worded("win_rate", row["win_rate"]), told


def costs(run: Run) -> Html:
    """The run at other costs, a row each."""
    rows = run.data.get("cost_sensitivity") or ()
    if not rows:
        return tag("p", "Not shown: the run was not repeated at other costs.", class_="missing")
    head = [tag("th", name, scope="col") for name in ("Costs", "Fee", "Slippage", *_labels(_COSTED))]
    body = [
        tag("tr", tag("th", name_of(row["name"]), scope="row"), *_cost_cells(row))
        for row in sorted(rows, key=lambda row: number(row.get("fee")) or 0.0)
    ]
    caption = tag("caption", "The same rule on the same bars, dearer or cheaper")
    return tag("table", caption, tag("thead", tag("tr", *head)), tag("tbody", *body), class_="wide")


def _cost_cells(row: Mapping[str, Any]) -> list[Html]:
    labels = dict(zip(("fee", "slippage", *_COSTED), ("Fee", "Slippage", *_labels(_COSTED)), strict=True))
    metrics = row.get("metrics") or {}
    texts = {
        **{key: _rate(row.get(key)) for key in ("fee", "slippage")},
        **{key: worded(key, metrics.get(key)) for key in _COSTED},
    }
    return [tag("td", texts[key], data_label=label) for key, label in labels.items()]


def _rate(value: Any) -> str:
    amount = number(value)
    return NOT_SHOWN if amount is None else percent(amount, sign=False, digits=3)


def _labels(keys: Sequence[str]) -> list[str]:
    return [FIGURES[key].label for key in keys]


def _table(caption: str, keys: Sequence[str], rows: Sequence[tuple[str, Mapping[str, Any]]], *, first: str) -> Html:
    head = [tag("th", name, scope="col") for name in (first, *_labels(keys))]
    body = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            *(tag("td", _known(key, metrics), data_label=FIGURES[key].label) for key in keys),
        )
        for name, metrics in rows
    ]
    return tag("table", tag("caption", caption), tag("thead", tag("tr", *head)), tag("tbody", *body), class_="wide")


def _known(key: str, metrics: Mapping[str, Any]) -> str:
    return worded(key, metrics[key]) if key in metrics else "-"


def every_metric(run: Run) -> list[Html]:
    """All metrics in groups, with their intervals, and the reason where one is missing."""
    return [
        _group(run, title, [figure for figure in figures if figure.key in run.metrics])
        for title, figures in GROUPS.items()
    ]


def _group(run: Run, title: str, figures: Sequence[Figure]) -> Html:
    head = tag("tr", *(tag("th", name, scope="col") for name in ("Metric", "Value")))
    return tag(
        "table",
        tag("caption", title),
        tag("thead", head, class_="unseen"),
        tag("tbody", *(_metric(run, figure) for figure in figures)),
        class_="metrics",
    )


def _metric(run: Run, figure: Figure) -> Html:
    value = run.metrics[figure.key]
    missing = number(value) is None
    why = reason_missing(figure.key, run.data, len(run.days)) if missing else figure.meaning
    name = tag("th", figure.label, tag("small", why) if why else None, scope="row")
    interval = between(figure.key, run.intervals.get(figure.key))
    below = None if interval is None else tag("small", f"95 % {interval}")
    return tag("tr", name, tag("td", worded(figure.key, value), below, class_="missing" if missing else None))


def assumptions(run: Run) -> Html:
    """What was taken for granted, numbered."""
    return tag(
        "ol", *(tag("li", text, value=at) for at, text in numbered(run.data["assumptions"])), class_="assumptions"
    )


def described(value: Any) -> Html:
    """Anything of the data for reading: a mapping as names and values, a sequence as a list, all else as text."""
    if isinstance(value, Mapping):
        pairs = [tag("div", tag("dt", name_of(key)), tag("dd", described(item))) for key, item in value.items()]
        return tag("dl", *pairs, class_="facts")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tag("ul", *(tag("li", described(item)) for item in value))
    return tag("span", "none" if value is None or value == "" else value)
