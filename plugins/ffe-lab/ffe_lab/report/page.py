"""A backtest as one HTML file that needs nothing else: no network, no font, no script to be read."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from ffe_lab.report import pictures, tables, trade_list
from ffe_lab.report.markup import Html, join, tag
from ffe_lab.report.run import Run
from ffe_lab.report.told import assets_of, fingerprints_of, lead, span, title_of, warnings
from ffe_lab.report.wording import parameters

_CONTENTS = {
    "against": "Baselines",
    "equity": "Equity",
    "months": "Months",
    "trades": "Trades",
    "costs": "Costs",
    "metrics": "Metrics",
    "assumptions": "Assumptions",
    "basis": "Basis",
    "list": "Every trade",
}


def html_report(
    data: Mapping[str, Any],
    *,
    candles: Mapping[str, Sequence[Any]] | None,
    decisions: Sequence[Mapping[str, Any]] = (),
    charts: Mapping[str, Mapping[str, Sequence[Any]]] | None = None,
) -> str:
    """The report of a run as one HTML document; the same input gives the same text.

    ``data`` is the ``data`` object of ``ffe backtest --json``. It may hold besides ``baseline_equity``
    ``{name: [{time, value}]}`` (else buy and hold is drawn from the candles), ``cost_sensitivity``
    ``[{name, fee, slippage, metrics}]``, ``synthetic`` and ``in_sample`` (true, or the reason) and ``hindsight``.
    ``candles`` holds the columns time (of the opens), open, high, low and close; without them no price is drawn.
    ``decisions`` ``[{time, action, confidence, votes, rulings}]`` are shown with the trade that they opened or, where
    it left on a signal, closed. Times are ISO 8601 texts, aware datetimes or epoch milliseconds; a text without a
    time zone raises ``ValueError``.

    Of several assets on one account ``data`` has ``asset_pairs``, ``fingerprints`` and ``attribution``, each trade and
    each decision its ``asset_pair``, and ``charts`` the candles by asset.
    """
    run = Run.of(data, candles)
    style, script = (_part(name) for name in ("page.css", "page.js"))
    title = title_of(data)
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"Backtest of {title}"),
        tag("style", style),
    ]
    body = [_header(run, title), tag("main", *_sections(run, decisions, charts or {})), tag("script", script)]
    return f"<!DOCTYPE html>\n{tag('html', tag('head', *head), tag('body', *body), lang='en')}\n"


def _part(name: str) -> Html:
    return Html(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def _policy(style: str, script: str) -> str:
    """Nothing may be fetched, and nothing runs or styles but what this page was made with."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _header(run: Run, title: str) -> Html:
    return tag(
        "header",
        tag("p", "Backtest", class_="kicker"),
        tag("h1", title),
        tag("p", span(run.data), class_="span"),
        *(_banner(name, why) for name, why in warnings(run.data)),
        tag("p", lead(run), class_="lead"),
        tag("nav", *(join([tag("a", text, href=f"#{at}"), " "]) for at, text in _CONTENTS.items()), aria_label="Parts"),
    )


def _banner(name: str, why: str) -> Html:
    return tag("p", tag("strong", name), f": {why}", class_="banner", role="note")


def _sections(
    run: Run, decisions: Sequence[Mapping[str, Any]], charts: Mapping[str, Mapping[str, Sequence[Any]]]
) -> list[Html]:
    data = run.data
    basis: dict[str, Any] = {
        "Dataset": {
            "asset": ", ".join(assets_of(data)),
            "timeframe": data["timeframe"],
            "start": data["start"],
            "end": data["end"],
            "fingerprint": ", ".join(fingerprints_of(data)),
        },
        "Provider": {"name": data["provider"], "parameters": parameters(data)},
        "How the metrics are computed": data["metrics_basis"],
    }
    if data.get("hindsight"):
        basis["Hindsight of the models"] = data["hindsight"]
    facts = [part for title, value in basis.items() for part in (tag("h3", title), tables.described(value))]
    return [
        _section("headline", "Headline", tables.headline(run)),
        _section("against", "Against baselines", tables.baselines(run)),
        _section("equity", "Equity", pictures.equity(run), pictures.under_water(run), pictures.sharpe(run)),
        _section("months", "Month by month", pictures.month_map(run)),
        _section("trades", "Trades", *_trades(run, charts)),
        _section("costs", "What costs do to it", tables.costs(run)),
        _section("metrics", "Every metric", tag("div", *tables.every_metric(run), class_="columns")),
        _section("assumptions", "Assumptions", tables.assumptions(run)),
        _section("basis", "What it stands on", *facts),
        _section("list", "Every trade", *trade_list.trade_table(run, decisions)),
    ]


def _trades(run: Run, charts: Mapping[str, Mapping[str, Sequence[Any]]]) -> list[Html | None]:
    each = [Run.of_asset(run.data, name, columns) for name, columns in charts.items()] or [run]
    prices = [pictures.trades_on_price(one) for one in each]
    return [tables.attribution(run), *prices, trade_list.endings(run), trade_list.refusals(run)]


def _section(identifier: str, title: str, *parts: object) -> Html:
    heading = tag("h2", title, id=f"{identifier}-title")
    return tag("section", heading, *parts, id=identifier, aria_labelledby=f"{identifier}-title")
