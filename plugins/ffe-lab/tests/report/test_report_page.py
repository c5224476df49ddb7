"""The page of a backtest: what stands on it, and that nothing of a stranger becomes a part of it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from ffe_lab.report.page import html_report

type Data = dict[str, Any]
type Sample = tuple[Data, Data, list[Data]]
type MakeSample = Callable[..., Sample]

HOSTILE = """<script>alert(1)</script><img src=x onerror=alert(1)>" onmouseover="alert(1)' style='x'\u202egnp\x1b[31m"""
VOID = {"meta", "br"}


@dataclass
class Element:
    name: str
    attributes: dict[str, str | None]
    parent: Element | None = None
    text: str = ""
    inside: list[Element] = field(default_factory=list)

    def all(self, name: str) -> list[Element]:
        return [e for child in self.inside for e in ([child] if child.name == name else []) + child.all(name)]

    def find(self, identifier: str) -> Element:
        return next(element for element in self.everything() if element.attributes.get("id") == identifier)

    def everything(self) -> list[Element]:
        return [e for child in self.inside for e in [child, *child.everything()]]

    def words(self) -> str:
        """The text of the element as one line, as a reader sees it."""
        return " ".join(self._text().split())

    def _text(self) -> str:
        return (
            self.text
            if self.name == "#text"
            else "".join(f"{child.gap}{child._text()}{child.gap}" for child in self.inside)
        )

    @property
    def gap(self) -> str:
        """What a reader sees around the element: words of a paragraph go on, everything else stands apart."""
        return "" if self.name in ("#text", "strong", "code", "a") else " "

    @property
    def own(self) -> str:
        """The text that stands in the element itself."""
        return "".join(child.text for child in self.inside if child.name == "#text")


class Reader(HTMLParser):
    """A page as a tree; a tag that is not closed where it should be fails."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.root = self.at = Element("page", {})
        self.feed(page)
        self.close()
        assert self.at is self.root

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs), self.at)
        assert len(attrs) == len(element.attributes), f"{tag} has an attribute twice"
        self.at.inside.append(element)
        if tag not in VOID:
            self.at = element

    def handle_endtag(self, tag: str) -> None:
        assert self.at.name == tag
        assert self.at.parent is not None
        self.at = self.at.parent

    def handle_data(self, data: str) -> None:
        self.at.inside.append(Element("#text", {}, self.at, data))


def read(sample: Sample, **changes: Any) -> Element:
    data, candles, decisions = sample
    return Reader(html_report({**data, **changes}, candles=candles, decisions=decisions)).root


@pytest.fixture(scope="module")
def page(sample: Sample) -> Element:
    """The page of the sample as it is."""
    return read(sample)


def metrics(data: Mapping[str, Any], **changes: Any) -> Data:
    return {**data["metrics"], **changes}


def test_the_same_run_gives_the_same_bytes(sample: Sample, make_sample: MakeSample) -> None:
    data, candles, decisions = make_sample()
    assert html_report(data, candles=candles, decisions=decisions) == html_report(
        sample[0], candles=sample[1], decisions=sample[2]
    )


def test_the_page_names_no_other_place(sample: Sample) -> None:
    page = html_report(sample[0], candles=sample[1], decisions=sample[2])
    assert re.findall(r"https?:|//[a-z]|url\(|@import|\bsrc=|<link|<iframe|<base", page.partition("<script>")[0]) == []
    targets = {element.attributes["href"] for element in Reader(page).root.everything() if "href" in element.attributes}
    places = {f"#{element.attributes.get('id')}" for element in Reader(page).root.everything()}
    assert targets <= places


def test_the_policy_allows_exactly_the_style_and_script_that_the_page_brings(page: Element) -> None:
    root = page
    policy = next(meta.attributes["content"] for meta in root.all("meta") if "http-equiv" in meta.attributes)
    assert policy is not None
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    for name in ("style", "script"):
        (element,) = root.all(name)
        digest = base64.b64encode(hashlib.sha256(element.own.encode()).digest()).decode()
        assert parts[f"{name}-src"] == f"'sha256-{digest}'"
    assert parts["default-src"] == "'none'"
    assert "unsafe" not in policy


def test_nothing_is_styled_or_run_beside_the_policy(page: Element) -> None:
    names = {name for element in page.everything() for name in element.attributes}
    assert not {name for name in names if name.startswith("on") or name == "style"}


@pytest.mark.parametrize("place", ["asset", "provider", "parameter", "assumption", "fingerprint", "reason", "basis"])
def test_text_of_a_stranger_stays_text(make_sample: MakeSample, place: str) -> None:
    data, candles, decisions = make_sample(24 * 90)
    clean_page = Reader(html_report(data, candles=candles, decisions=decisions)).root
    vote = decisions[0]["votes"][0]
    changes: dict[str, Callable[[], object]] = {
        "asset": lambda: data.update(asset_pair=HOSTILE),
        "provider": lambda: (data.update(provider=HOSTILE), vote.update(provider=HOSTILE)),
        "parameter": lambda: data.update(params={HOSTILE: HOSTILE}),
        "assumption": lambda: data["assumptions"].append(HOSTILE),
        "fingerprint": lambda: data.update(fingerprint=HOSTILE),
        "reason": lambda: (vote.update(reasoning=HOSTILE, action=HOSTILE), decisions[0].update(rulings=[HOSTILE])),
        "basis": lambda: data["metrics_basis"].update(formula=HOSTILE),
    }
    changes[place]()
    page = html_report(data, candles=candles, decisions=decisions)
    root = Reader(page).root
    assert "alert(1)" in root.words()
    assert len(root.all("script")) == 1
    assert root.all("img") == []
    assert "\u202e" not in page
    assert "\x1b" not in page
    shape = {(element.name, *element.attributes) for element in clean_page.everything()}
    assert {(element.name, *element.attributes) for element in root.everything()} <= shape


@pytest.mark.parametrize(
    "title",
    ["Headline", "Against baselines", "Equity", "Month by month", "Trades", "What costs do to it", "Every metric",
     "Assumptions", "What it stands on", "Every trade"],
)  # fmt: skip
def test_a_section_stands_under_its_heading(page: Element, title: str) -> None:
    section = next(section for section in page.all("section") if section.all("h2")[0].own == title)
    assert section.attributes["aria-labelledby"] == section.all("h2")[0].attributes["id"]
    assert len(section.inside) > 1


def test_every_heading_of_a_table_says_what_it_heads_and_every_figure_has_a_caption(page: Element) -> None:
    root = page
    assert {th.attributes.get("scope") for th in root.all("th")} == {"col", "row"}
    assert all(table.all("caption") for table in root.all("table"))
    assert len(root.all("figure")) == 4
    assert all(figure.all("figcaption")[0].words() for figure in root.all("figure"))
    plots = [svg for svg in root.all("svg") if svg.attributes.get("class") == "plot"]
    assert [bool(svg.attributes["aria-label"]) for svg in plots] == [True] * 4


def test_headline_numbers_stand_beside_interval_and_baseline(sample: Sample, page: Element) -> None:
    data, *_ = sample
    tile = next(div for div in page.find("headline").all("div") if "Total return" in div.words())
    total, held = (100 * each["total_return"] for each in (data["metrics"], data["baselines"]["buy_and_hold"]))
    assert tile.words() == (f"Total return {total:+.2f} % 95 % interval -42.00 to +131.00 % buy and hold {held:+.2f} %")


def test_every_baseline_has_a_row(page: Element) -> None:
    rows = [tr.all("th")[0].words() for tr in page.find("against").all("tbody")[0].all("tr")]
    assert rows == ["this run", "buy and hold", "always hold", "buy and hold same exposure", "random entry"]


def test_a_baseline_with_a_course_is_drawn_along_it(make_sample: MakeSample) -> None:
    data, candles, _ = make_sample(24 * 90)
    course = [{"time": row["time"], "value": 10_000 + at} for at, row in enumerate(data["equity"])]
    page = html_report({**data, "baseline_equity": {"random_entry": course}}, candles=candles)
    legend = Reader(page).root.find("equity").all("ul")[0].words()
    assert "random entry" in legend.replace("random entry (its end only)", "")
    assert "always hold (its end only)" in legend


def test_a_baseline_of_chance_says_how_much_of_it_was_beaten_and_leaves_open_what_it_does_not_know(
    sample: Sample,
) -> None:
    chance = {"runs": 1000, "total_return": -0.05, "percentile": 0.731}
    root = read(sample, baselines={"random_entry": chance, "buy_and_hold": sample[0]["baselines"]["buy_and_hold"]})
    told = "random entry: of 1,000 runs with as many and as long trades at other times this one beat 73.1 %"
    assert told in root.find("against").words()
    assert root.find("against").all("tr")[-1].words() == "random entry - -5.00 % - - -"
    assert "random entry (its end only)" in root.find("equity").words()


def test_buy_and_hold_is_drawn_along_the_price_to_its_end(make_sample: MakeSample) -> None:
    data, candles, _ = make_sample(24 * 40)
    lowest = int(candles["close"].argmin())
    data["baselines"] = {"buy_and_hold": data["baselines"]["buy_and_hold"]}
    data["equity"] = [{**row, "value": 10_000.0} for row in data["equity"]]
    equity = Reader(html_report(data, candles=candles)).root.find("equity")
    line = next(path for path in equity.all("path") if path.attributes.get("data-name") == "buy and hold")
    points = [pair.split() for pair in re.split("[ML]", line.attributes["d"] or "")[1:]]
    assert len(points) == len(candles["close"])
    assert max(range(len(points)), key=lambda at: float(points[at][1])) == pytest.approx(lowest, abs=1)


def test_what_is_null_is_not_shown_and_says_why(make_sample: MakeSample) -> None:
    data, candles, _ = make_sample(24 * 12)
    root = Reader(html_report(data, candles=candles)).root
    tile = next(div for div in root.find("headline").all("div") if "Sharpe ratio" in div.words())
    assert tile.words() == "Sharpe ratio not shown 12 days are too few, 30 are needed"
    assert "Not shown: the run has 12 days, and 60 are needed." in root.find("equity").words()
    assert "None" not in root.words()
    assert "nan" not in root.words().lower().split()


@pytest.mark.parametrize(
    ("changes", "key", "why"),
    [
        ({"total_trades": 0, "win_rate": None}, "Win rate", "no trades"),
        ({"total_trades": 5, "win_rate": None}, "Win rate", "5 trades are too few"),
        ({"total_trades": 90, "profit_factor": None}, "Profit factor", "no losing trade"),
        ({"calmar": None}, "Calmar ratio", "no drawdown"),
        ({"dsr": None, "trials": None}, "Deflated Sharpe ratio", "nobody counted what was tried"),
        ({"sharpe": float("nan")}, "Sharpe ratio", "cannot be computed from these returns"),
    ],
)
def test_the_reason_fits_what_is_missing(sample: Sample, changes: Data, key: str, why: str) -> None:
    section = read(sample, metrics=metrics(sample[0], **changes)).find("metrics")
    row = next(tr for tr in section.all("tr") if tr.words().startswith(key))
    assert row.all("th")[0].words() == f"{key} {why}"
    assert row.all("td")[0].own == "not shown"


@pytest.mark.parametrize(("key", "word"), [("synthetic", "SYNTHETIC"), ("in_sample", "IN-SAMPLE")])
def test_a_banner_stands_where_the_data_say_so_and_nowhere_else(
    sample: Sample, page: Element, key: str, word: str
) -> None:
    assert word in read(sample, **{key: True}).all("header")[0].words()
    assert word not in read(sample, **{key: False}).words()
    assert word not in page.words()


def test_an_interval_that_holds_zero_is_put_down_to_luck(sample: Sample) -> None:
    wide, narrow = (
        read(sample, intervals={"total_return": [low, 0.9]}).all("header")[0].words() for low in (-0.1, 0.1)
    )
    assert "zero lies within it" in wide
    assert "zero does not lie within it" in narrow
    assert "No interval was computed" in read(sample, intervals={}).all("header")[0].words()


def test_a_trade_stands_with_the_decision_and_votes_that_opened_it(make_sample: MakeSample) -> None:
    data, candles, decisions = make_sample(24 * 90)
    decisions[1]["votes"][0]["reasoning"] = "The second trade had a reason of its own."
    del decisions[2]
    bodies = Reader(html_report(data, candles=candles, decisions=decisions)).root.find("list").all("tbody")
    assert "The second trade had a reason of its own." in bodies[1].all("details")[0].words()
    assert "sma_cross BUY 70" in bodies[1].words()
    assert "concentration: passed, 24 % of equity" in bodies[1].words()
    assert "a reason of its own" not in bodies[0].words()
    assert bodies[2].all("details") == []


def test_an_exit_by_signal_stands_with_the_decision_that_closed_it(make_sample: MakeSample) -> None:
    data, candles, _ = make_sample(24 * 90)
    first, second = data["trades"][:2]
    assert (first["exit_reason"], second["exit_reason"]) == ("signal", "stop")
    sells = [{"time": trade["exit_time"], "action": "SELL", "confidence": 61, "votes": []} for trade in (first, second)]
    bodies = Reader(html_report(data, candles=candles, decisions=sells)).root.find("list").all("tbody")
    assert "Exit: SELL" in bodies[0].words()
    assert bodies[1].all("details") == []


def test_a_decision_of_the_day_before_stands_with_the_trade_of_the_next_session(make_sample: MakeSample) -> None:
    data, candles, decisions = make_sample(24 * 90)
    for decision in decisions:
        decision["time"] = (datetime.fromisoformat(decision["time"]) - timedelta(hours=9)).isoformat()
    bodies = Reader(html_report(data, candles=candles, decisions=decisions)).root.find("list").all("tbody")
    assert [body.words().count("Entry: BUY") for body in bodies] == [1] * len(data["trades"])
    assert f"confidence {decisions[3]['confidence']}" in bodies[3].words()


def test_a_decision_stands_with_one_trade_only(make_sample: MakeSample) -> None:
    data, candles, decisions = make_sample(24 * 90)
    bodies = Reader(html_report(data, candles=candles, decisions=decisions[:1])).root.find("list").all("tbody")
    assert [len(body.all("details")) for body in bodies] == [1] + [0] * (len(bodies) - 1)


def test_rules_that_have_nothing_to_say_stand_on_one_line(make_sample: MakeSample) -> None:
    data, candles, decisions = make_sample(24 * 90)
    decisions[0]["rulings"] = [
        {"rule": "market_hours", "outcome": "passed", "reason": ""},
        {"rule": "volatility", "outcome": "clamped", "reason": "a daily range of 5.1% is above 5%"},
        {"rule": "drawdown", "outcome": "passed", "reason": ""},
        {"rule": "cooldown", "outcome": "not_applicable", "reason": "switched off"},
    ]
    root = Reader(html_report(data, candles=candles, decisions=decisions)).root
    rulings = next(ul for ul in root.find("list").all("ul") if ul.attributes.get("class") == "rulings")
    assert [item.words() for item in rulings.all("li")] == [
        "volatility: clamped, a daily range of 5.1% is above 5%",
        "passed: market hours, drawdown",
        "not applicable: cooldown",
    ]


def test_entries_that_came_to_nothing_are_counted(sample: Sample) -> None:
    tables = read(sample, refused={"concentration": 3, "market_closed": 12}).find("trades").all("table")
    assert [tr.words() for tr in tables[-1].all("tr")[1:]] == ["market closed 12", "concentration 3"]


def test_a_vote_without_an_answer_is_told(make_sample: MakeSample) -> None:
    data, candles, decisions = make_sample(24 * 90)
    decisions[0]["votes"] = [{"provider": "gemini", "action": None, "confidence": None, "reasoning": None}]
    root = Reader(html_report(data, candles=candles, decisions=decisions)).root
    assert root.find("list").all("details")[0].all("li")[0].words() == "gemini no answer"


@pytest.mark.slow
def test_a_list_too_long_ends_with_a_line_that_says_so(make_sample: MakeSample) -> None:
    data, candles, decisions = make_sample(24 * 90)
    trades = data["trades"][:1] * 1000
    root = Reader(html_report({**data, "trades": trades}, candles=candles, decisions=decisions)).root.find("list")
    assert len(root.all("tbody")) == 300
    assert "The first 300 of 1,000 trades. The others are in what ffe backtest --json prints." in root.words()


def test_talkative_models_do_not_make_the_page_heavy(make_sample: MakeSample) -> None:
    data, candles, decisions = make_sample()
    loud = [{"provider": "model", "action": "BUY", "confidence": 60, "reasoning": "because " * 5000}] * 200
    page = html_report(data, candles=candles, decisions=[{**decision, "votes": loud} for decision in decisions])
    assert len(page) < 1_500_000
    assert "(cut)" in page
    assert re.search(r"The first \d+ of \d+ trades", page)


def test_without_candles_the_price_is_not_drawn_and_that_is_said(sample: Sample) -> None:
    root = Reader(html_report(sample[0], candles=None)).root
    assert "Not shown: the report was made without candles." in root.find("trades").words()
    assert "buy and hold (its end only)" in root.find("equity").words()


def test_every_assumption_is_numbered(sample: Sample, page: Element) -> None:
    (numbered,) = page.find("assumptions").all("ol")
    assert [item.words() for item in numbered.inside] == [" ".join(text.split()) for text in sample[0]["assumptions"]]


def test_assumptions_keep_the_numbers_that_they_bring(sample: Sample) -> None:
    (numbered,) = (
        read(sample, assumptions=["2. no shorts", "14. no interest", "3.5 % stop"]).find("assumptions").all("ol")
    )
    assert [(item.attributes["value"], item.words()) for item in numbered.inside] == [
        ("2", "no shorts"),
        ("14", "no interest"),
        ("3", "3.5 % stop"),
    ]


def test_costs_are_told_from_cheap_to_dear(sample: Sample, page: Element) -> None:
    rows = [tr.all("th")[0].words() for tr in page.find("costs").all("tbody")[0].all("tr")]
    assert rows == ["as run", "break-even cost", "twice the cost", "taker fee of the venue"]
    assert "Not shown" in read(sample, cost_sensitivity=None).find("costs").words()


def test_the_dataset_and_the_basis_of_the_metrics_are_told(sample: Sample) -> None:
    words = read(sample, hindsight={"gemini": "contaminated until 2024-01-31"}).find("basis").words()
    for told in (sample[0]["fingerprint"], sample[0]["metrics_basis"]["formula"], "contaminated until 2024-01-31"):
        assert told in words


@pytest.mark.parametrize("spelled", ["milliseconds", "datetimes", "offset"])
def test_times_may_be_spelled_in_other_ways(make_sample: MakeSample, spelled: str) -> None:
    data, candles, decisions = make_sample(24 * 90)
    spell: dict[str, Callable[[datetime], object]] = {
        "milliseconds": lambda at: int(at.timestamp() * 1000),
        "datetimes": lambda at: at,
        "offset": lambda at: at.isoformat(),
    }

    def again(text: str) -> object:
        return spell[spelled](datetime.fromisoformat(text).astimezone(UTC))

    other = {
        **data,
        "equity": [{**row, "time": again(row["time"])} for row in data["equity"]],
        "trades": [
            {**trade, **{key: again(trade[key]) for key in ("entry_time", "exit_time")}} for trade in data["trades"]
        ],
    }
    assert html_report(other, candles=candles, decisions=decisions) == html_report(
        data, candles=candles, decisions=decisions
    )


def test_a_time_without_a_zone_is_refused(make_sample: MakeSample) -> None:
    data, candles, _ = make_sample(24 * 40)
    data["equity"][5]["time"] = "2021-03-01T06:00:00"
    with pytest.raises(ValueError, match="has no time zone"):
        html_report(data, candles=candles)


@pytest.mark.parametrize("bars", [1, 2, 30, 24 * 45, 24 * 200])
def test_runs_of_any_length_have_a_page(make_sample: MakeSample, bars: int) -> None:
    data, candles, decisions = make_sample(bars)
    root = Reader(html_report(data, candles=candles, decisions=decisions)).root
    labels = [text.words() for svg in root.find("equity").all("svg") for text in svg.all("text")]
    assert len(labels) >= 2
    assert len(labels) < 60


def test_a_run_that_never_traded_has_a_page(make_sample: MakeSample) -> None:
    data, candles, _ = make_sample(24 * 90, fast=24, slow=24 * 90)
    assert data["trades"] == []
    root = Reader(html_report(data, candles=candles)).root
    assert "There was no trade." in root.find("list").words()
    assert "Not shown: the equity never moved." in root.find("equity").words()


def test_a_run_that_lost_everything_has_a_page(make_sample: MakeSample) -> None:
    data, candles, _ = make_sample(24 * 90)
    for row in data["equity"][1000:]:
        row["value"] = 0.0
    months = Reader(html_report(data, candles=candles)).root.find("months").words()
    assert "-100.0" in months


@pytest.mark.slow
def test_a_million_bars_fit_into_a_page_that_can_be_mailed(make_sample: MakeSample) -> None:
    data, candles, decisions = make_sample(1_000_000)
    assert len(html_report(data, candles=candles, decisions=decisions).encode()) < 1_500_000
