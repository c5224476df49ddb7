"""Outcomes as files: ours come back to the byte, strangers' are read strictly and named by their line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ffe_core.domain.decisions import OutcomeKind
from ffe_core.errors import BadData, UsageError
from ffe_core.learning.exchange import Read, read_file, spelled
from tests.store.records import outcome

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "decision_id": "a-1",
    "asset_pair": "btc-usd",
    "synthetic": False,
    "as_of": "2025-01-01T00:00:00+01:00",
    "resolved_at": "2025-01-02T00:00:00Z",
    "action": "SELL",
    "gross_return": 0.01,
    "net_return": 0.008,
    "price_return": -0.01,
    "cost": 0.002,
    "pnl": "12.340000000000000001",
    "opinions": {"gemini": {"action": "SELL", "confidence": 70, "calibratable": True}, "local": {"action": "HOLD"}},
}


def read(folder: Path, *lines: str, name: str = "outcomes.jsonl") -> list[Read]:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_file(path, now=NOW)


def line(**changes: Any) -> str:
    return json.dumps({name: value for name, value in {**GOOD, **changes}.items() if value is not ...})


def test_what_was_written_is_read_back_to_the_byte(tmp_path: Path) -> None:
    made = [outcome(number) for number in range(6)]
    made += [
        outcome(0, kind=OutcomeKind.TRADE, pnl=None),
        outcome(7, synthetic=True, gross_return=None, net_return=None),
    ]
    text = spelled(reversed(made))

    found = read(tmp_path, text)

    assert [one.why for one in found] == [""] * 8
    back = [one.outcome for one in found if one.outcome is not None]
    assert {(one.decision_id, one.kind): one for one in back} == {(one.decision_id, one.kind): one for one in made}
    assert spelled(back) == text


def test_a_line_says_what_it_says(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "", line(), "")

    assert found.line == 2
    made = found.outcome
    assert made is not None and made.as_of is not None
    assert (made.asset.symbol, made.kind, made.synthetic) == ("BTCUSD", OutcomeKind.HORIZON, False)
    assert made.as_of.isoformat() == "2024-12-31T23:00:00+00:00"
    assert made.pnl == Decimal("12.340000000000000001")
    assert made.calibratable == ("gemini",)
    assert (dict(made.provider_actions), dict(made.provider_confidences)) == (
        {"gemini": "SELL", "local": "HOLD"},
        {"gemini": 70},
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not json", "Invalid JSON"),
        ("[1]", "object"),
        (line(synthetic=...), "synthetic: Field required"),
        (line(synthetic="no"), "synthetic:"),
        (line(as_of="2025-01-01T00:00:00"), "as_of: Input should have timezone info"),
        (line(as_of="2025-01-03T00:00:00Z"), "before the decision"),
        (line(resolved_at="2026-01-01T00:00:01Z"), "has not come yet"),
        (line(action="WAIT"), "action:"),
        (line(kind="guess"), "kind:"),
        (line(asset_pair="??"), "asset_pair:"),
        (line(decision_id="a b"), "decision_id:"),
        (line(decision_id="a\n"), "decision_id:"),
        (line(net_return=float("nan")), "net_return:"),
        (line(price_return=-1.0), "price_return:"),
        (line(cost=-0.1), "cost:"),
        (line(pnl=12.5), "pnl: an amount is written as text"),
        (line(pnl="NaN"), "pnl:"),
        (line(gross_return=0.5, net_return=...), "gross_return is 0.5, by the other returns it is 0.01"),
        (line(net_return=0.01), "net_return is 0.01, by the other returns it is 0.008"),
        (line(exit_reason="\x1b[2J"), "exit_reason:"),
        (line(exit_reason="x" * 201), "exit_reason:"),
        (line(raw_confidence=101), "raw_confidence:"),
        (line(luck=1), "luck: Extra inputs"),
        (line(opinions={"gemini": {"action": "BUY", "confidence": 70.5}}), "opinions.gemini.confidence:"),
        (line(opinions={"Ge mini": {"action": "BUY"}}), "opinions.Ge mini:"),
        (line(opinions={"gemini": {"action": "BUY", "mood": 1}}), "opinions.gemini.mood:"),
        (line(action="WAIT", cost=-1), "(and 1 more)"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_by_its_line(tmp_path: Path, text: str, why: str) -> None:
    first, bad, last = read(tmp_path, line(), text, line())

    assert first.outcome is not None and last.outcome is not None
    assert (bad.line, bad.outcome) == (2, None)
    assert why in bad.why
    assert "\n" not in bad.why


def test_a_table_says_the_same_as_lines_do(tmp_path: Path) -> None:
    columns = [name for name in GOOD if name != "opinions"]
    calls = {
        "opinions.gemini.action": "SELL",
        "opinions.gemini.confidence": "70",
        "opinions.gemini.calibratable": "true",
        "opinions.local.action": "HOLD",
        "opinions.local.confidence": "",
        "opinions.qwen.action": "",
    }
    header = ",".join([*columns, *calls])
    cells = ",".join([*(str(GOOD[name]) for name in columns), *calls.values()])

    found = read(tmp_path, header, cells, cells.replace("0.008", "much"), cells + ",more", name="outcomes.CSV")

    assert [one.line for one in found] == [2, 3, 4]
    assert found[0].outcome == read(tmp_path, line())[0].outcome
    assert found[1].why.startswith("net_return: Input should be a valid number")
    assert found[2].why == "more cells than columns"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("decision_id,luck", "column 'luck' is not known"),
        ("decision_id,opinions", "column 'opinions' is not known"),
        ("decision_id,opinions.gemini.mood", "is not known"),
        ("decision_id,action,action", "there twice"),
    ],
)
def test_a_table_with_unknown_columns_is_refused_whole(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(BadData, match=said):
        read(tmp_path, header, "1,2,3", name="x.csv")


def test_what_is_no_text_and_what_is_not_there_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadData, match="no text"):
        read_file(tmp_path / "x.jsonl", now=NOW)
    with pytest.raises(UsageError, match="No such file"):
        read_file(tmp_path / "missing.jsonl", now=NOW)


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(line() + "\r\n", encoding="utf-8-sig")

    assert read_file(tmp_path / "x.jsonl", now=NOW)[0].outcome is not None
