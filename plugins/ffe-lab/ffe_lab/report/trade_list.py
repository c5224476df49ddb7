"""The trades of a report, each with the decision and the votes that it came from."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from ffe_lab.report.markup import Html, tag
from ffe_lab.report.run import Run
from ffe_lab.report.wording import instant, minute_of, money, name_of, percent, price

#: trades that are listed at most, and characters of HTML in which they must find room
LISTED = 300
ROOM = 700_000
#: characters of a vote's reasoning
SPOKEN = 600

PASSED, NOT_APPLICABLE = "passed", "not_applicable"

type Decision = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Decisions:
    """What was decided, by the instant at which it was."""

    times: Sequence[int]
    made: Sequence[Decision]

    @classmethod
    def of(cls, decisions: Sequence[Decision]) -> Self:
        made = sorted(((instant(decision["time"]), at) for at, decision in enumerate(decisions)))
        return cls([time for time, _ in made], [decisions[at] for _, at in made])

    def into(self, trade: Mapping[str, Any], before: int) -> Decision | None:
        """The last decision until the entry, if it is after the trade ``before`` and for the trade's side.

        It need not be of the very instant: a market may open long after it closed.
        """
        at = bisect_right(self.times, instant(trade["entry_time"])) - 1
        if at < 0 or self.times[at] <= before:
            return None
        fits = str(self.made[at]["action"]) == {"long": "BUY", "short": "SELL"}[trade["side"]]
        return self.made[at] if fits else None

    def out_of(self, trade: Mapping[str, Any]) -> Decision | None:
        """The decision at the very instant of an exit by signal."""
        leave = instant(trade["exit_time"])
        at = bisect_right(self.times, leave) - 1
        return self.made[at] if trade["exit_reason"] == "signal" and at >= 0 and self.times[at] == leave else None


def exit_reasons(trades: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, float]]:
    """How trades ended: ``(reason, trades, their net result)``, the most frequent first."""
    counts = Counter(str(trade["exit_reason"]) for trade in trades)
    sums = dict.fromkeys(counts, 0.0)
    for trade in trades:
        sums[str(trade["exit_reason"])] += float(trade["pnl"])
    return [
        (name_of(reason), count, sums[reason])
        for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def endings(run: Run) -> Html:
    """The exit reasons as a table."""
    head = tag("tr", *(tag("th", name, scope="col") for name in ("How trades ended", "Trades", "Net result")))
    rows = [
        tag("tr", tag("th", reason, scope="row"), tag("td", f"{count:,}"), tag("td", money(result)))
        for reason, count, result in exit_reasons(run.trades)
    ]
    return tag("table", tag("caption", "Ways out"), tag("thead", head), tag("tbody", *rows))


def refusals(run: Run) -> Html | None:
    """What entries came to nothing for, where the data say so."""
    refused: Mapping[str, int] = run.data.get("refused") or {}
    if not refused:
        return None
    head = tag("tr", tag("th", "Why entries came to nothing", scope="col"), tag("th", "Times", scope="col"))
    rows = [
        tag("tr", tag("th", name_of(why), scope="row"), tag("td", f"{count:,}"))
        for why, count in sorted(refused.items(), key=lambda item: (-item[1], item[0]))
    ]
    return tag("table", tag("caption", "Entries that were not made"), tag("thead", head), tag("tbody", *rows))


def trade_table(run: Run, decisions: Sequence[Decision]) -> list[Html]:
    """The trades in the order of their entries as far as there is room, and a line on those that are left out."""
    if not run.trades:
        return [tag("p", "There was no trade.", class_="missing")]
    known = _by_asset(decisions)
    bodies: list[Html] = []
    room, before = ROOM, dict.fromkeys(known, -1)
    for at, trade in enumerate(run.trades[:LISTED], 1):
        asset = trade.get("asset_pair")
        made = known.get(asset, _NO_DECISIONS)
        body = _trade(at, trade, made.into(trade, before.get(asset, -1)), made.out_of(trade))
        before[asset], room = instant(trade["entry_time"]), room - len(body)
        if room < 0:
            break
        bodies.append(body)
    heads = ("#", *_cells(run.trades[0]))
    head = tag("tr", *(tag("th", name, scope="col") for name in heads))
    caption = tag("caption", "Times are UTC; results are net of fees")
    return [
        _left_out(len(bodies), len(run.trades)),
        tag("table", caption, tag("thead", head), *bodies, class_="trades"),
    ]


def _by_asset(decisions: Sequence[Decision]) -> dict[str | None, Decisions]:
    """Where several assets share an account each trade has its own asset's decisions behind it."""
    grouped: dict[str | None, list[Decision]] = {}
    for one in decisions:
        grouped.setdefault(one.get("asset_pair"), []).append(one)
    return {asset: Decisions.of(made) for asset, made in grouped.items()}


_NO_DECISIONS = Decisions([], [])


def _left_out(listed: int, all_trades: int) -> Html:
    if listed == all_trades:
        return tag("p", f"All {all_trades:,} trades." if all_trades > 1 else "The only trade.")
    told = f"The first {listed:,} of {all_trades:,} trades. The others are in what "
    return tag("p", told, tag("code", "ffe backtest --json"), " prints.", class_="note")


def _cells(trade: Mapping[str, Any]) -> dict[str, str]:
    """What is told of a trade, by column; of which asset it was where there are several."""
    asset = {"Asset": str(trade["asset_pair"])} if "asset_pair" in trade else {}
    return asset | {
        "Side": trade["side"],
        "Entry": minute_of(instant(trade["entry_time"])),
        "Exit": minute_of(instant(trade["exit_time"])),
        "In at": price(trade["entry_price"]),
        "Out at": price(trade["exit_price"]),
        "Quantity": price(trade["quantity"]),
        "Fees": money(trade["fees"]).lstrip("+"),
        "Result": money(trade["pnl"]),
        "Of the stake": percent(float(trade["pnl_fraction"])),
        "Way out": name_of(trade["exit_reason"]),
    }


def _trade(at: int, trade: Mapping[str, Any], into: Decision | None, out: Decision | None) -> Html:
    cells = _cells(trade)
    row = tag("tr", tag("th", at, scope="row"), *(tag("td", text, data_label=label) for label, text in cells.items()))
    behind = _behind(into, out)
    return tag("tbody", row, behind and tag("tr", tag("td", behind, colspan=len(cells) + 1), class_="behind"))


def _behind(into: Decision | None, out: Decision | None) -> Html | None:
    parts = [_decision(words, told) for words, told in (("Entry", into), ("Exit", out)) if told is not None]
    if not parts:
        return None
    named = into or out or {}
    votes = len(named.get("votes") or ())
    summary = f"{named['action']}, confidence {named['confidence']}, {votes} {'vote' if votes == 1 else 'votes'}"
    return tag("details", tag("summary", summary), *parts)


def _decision(words: str, decision: Decision) -> Html:
    votes = [_vote(vote) for vote in decision.get("votes") or ()]
    rulings = [tag("li", line) for line in _rulings(decision.get("rulings") or ())]
    return tag(
        "div",
        tag("p", tag("strong", f"{words}: {decision['action']}"), f", confidence {decision['confidence']}"),
        tag("ul", *votes, class_="votes") if votes else None,
        tag("p", "Risk rules") if rulings else None,
        tag("ul", *rulings, class_="rulings") if rulings else None,
        class_="decision",
    )


def _vote(vote: Mapping[str, Any]) -> Html:
    action, confidence = vote.get("action"), vote.get("confidence")
    said = "no answer" if action is None else f"{action} {'' if confidence is None else confidence}".strip()
    return tag("li", tag("strong", vote["provider"]), f" {said}", _reasoning(str(vote.get("reasoning") or "")))


def _reasoning(text: str) -> Html | None:
    if not text:
        return None
    return tag("q", text if len(text) <= SPOKEN else f"{text[:SPOKEN].rstrip()} (cut)")


def _rulings(rulings: Sequence[Any]) -> list[str]:
    """A line for each rule that has something to say; the others by name."""
    told = [ruling for ruling in rulings if not isinstance(ruling, Mapping)]
    judged = [ruling for ruling in rulings if isinstance(ruling, Mapping)]
    lines = [str(line) for line in told]
    for ruling in judged:
        if ruling["outcome"] != NOT_APPLICABLE and (ruling["outcome"] != PASSED or ruling.get("reason")):
            reason = f", {ruling['reason']}" if ruling.get("reason") else ""
            lines.append(f"{name_of(ruling['rule'])}: {name_of(ruling['outcome'])}{reason}")
    quiet = [ruling for ruling in judged if ruling["outcome"] == PASSED and not ruling.get("reason")]
    away = [ruling for ruling in judged if ruling["outcome"] == NOT_APPLICABLE]
    for words, silent in (("passed", quiet), ("not applicable", away)):
        if silent:
            lines.append(f"{words}: {', '.join(name_of(ruling['rule']) for ruling in silent)}")
    return lines
