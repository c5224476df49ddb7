"""``ffe learning``: outcomes brought in and out, decisions scored, providers judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffe_core.learning.exchange import spelled
from ffe_core.store import Database, Store
from tests.learning.test_calibration import outcome as called
from tests.store.records import decision_id, outcome, record

type Ffe = Callable[..., Any]
AT = "2025-03-28T23:00:00Z"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "outcomes.jsonl"
    path.write_text(spelled(outcome(number) for number in range(6)), encoding="utf-8")
    return path


def test_what_is_imported_is_exported_to_the_byte(ffe: Ffe, file: Path, tmp_path: Path) -> None:
    assert ffe("learning", "import", str(file)).out == "6 new, 0 known already, 0 bad\n"
    again = ffe("learning", "import", str(file), "--json").data
    out = tmp_path / "out.jsonl"

    assert (again["rows"], again["new"], again["known"], again["bad"]) == (6, 0, 6, [])
    assert ffe("learning", "export", str(out), "--json").data["count"] == 6
    assert out.read_bytes() == file.read_bytes() == ffe("learning", "export").out.encode()
    assert out.stat().st_mode & 0o077 == 0
    assert ffe("learning", "export", "--json").data["outcomes"] == [
        json.loads(line) for line in out.read_text().splitlines()
    ]
    assert ffe("learning", "export", str(out)).code == 2
    assert ffe("db", "status", "--json").data["outcomes"] == 6


def test_one_bad_row_imports_nothing_unless_it_may_be_skipped(ffe: Ffe, file: Path) -> None:
    lines = file.read_text().splitlines()
    lines[1], lines[3] = lines[1].replace("2025", "soon", 1), "{}"
    file.write_text("\n".join(lines))

    refused = ffe("learning", "import", str(file), "--json")

    assert refused.code == 1
    assert "2 rows of 6 bad, the first in line 2" in refused.error["message"]
    first, second, last = refused.err.splitlines()
    assert first.startswith(f"{file}:2 as_of: ")
    assert second.startswith(f"{file}:4 decision_id: Field required")
    assert last.startswith("error: nothing was imported")
    assert ffe("learning", "export").out == ""

    taken = ffe("learning", "import", str(file), "--skip-bad", "--json").data
    assert (taken["new"], taken["known"], [row["line"] for row in taken["bad"]]) == (4, 0, [2, 4])


def test_a_row_that_contradicts_what_is_known_is_a_bad_row(ffe: Ffe, home: Path, file: Path) -> None:
    with Store(Database.open(None, home / "data")) as store:
        store.append(record(1))
        store.record_outcome(outcome(2, exit_reason="stop"))
    lines = file.read_text().splitlines()
    lines[1] = (
        lines[1]
        .replace('"action":"SELL","as_of"', '"action":"HOLD","as_of"')
        .replace('"gross_return":-0.02', '"gross_return":null')
    )
    file.write_text("\n".join(lines))

    refused = ffe("learning", "import", str(file))

    assert refused.code == 1
    assert f"{file}:2 the outcome of {decision_id(1)} says action HOLD, the decision says SELL" in refused.err
    assert f"{file}:3 the horizon outcome of {decision_id(2)} is known with another exit_reason" in refused.err
    assert ffe("learning", "status", "--json").data["outcomes"] == 1
    assert ffe("learning", "import", str(file), "--skip-bad").out == "4 new, 0 known already, 2 bad\n"


def test_many_bad_rows_are_not_all_named(ffe: Ffe, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("{}\n" * 60)

    lines = ffe("learning", "import", str(tmp_path / "x.jsonl")).err.splitlines()

    assert len(lines) == 52
    assert lines[50] == f"{tmp_path / 'x.jsonl'}: 10 rows more"


def test_a_file_that_is_not_there_is_a_usage_error(ffe: Ffe, tmp_path: Path) -> None:
    ran = ffe("learning", "import", str(tmp_path / "nowhere.csv"))

    assert (ran.code, ran.out) == (2, "")
    assert "nowhere.csv" in ran.line


def test_decisions_are_scored_once_and_providers_stand_by_them(ffe: Ffe) -> None:
    for day in (26, 27, 28):
        assert ffe("analyze", "BTCUSD", "--at", f"2025-03-{day}T23:00:00Z", "--quiet").code == 0

    first = ffe("learning", "update", "--json").data
    again = ffe("learning", "update", "--json").data
    found = ffe("learning", "status", "--synthetic", "--json").data

    assert (first["resolved"], again["resolved"], again["waiting"]) == (3, 0, [])
    assert (found["outcomes"], found["others"], found["kinds"]) == (3, 0, {"horizon": 3, "trade": 0})
    assert [one["provider"] for one in found["providers"]] == ["local", "rsi_reversion", "trend_adx"]
    assert sum(one["hedge_weight"] for one in found["providers"]) == pytest.approx(1)
    assert all(one["outcomes"] == one["holds"] + one["scored"] == 3 for one in found["providers"])
    real = ffe("learning", "status")
    assert "no outcomes on real prices" in real.out
    assert "3 more with --synthetic" in real.out
    scored = ffe("history", "--scored", "--json").data["decisions"]
    exported = ffe("learning", "export", "--json").data["outcomes"]
    assert {one["id"]: one["resolved_at"] for one in scored} == {
        one["decision_id"]: one["resolved_at"] for one in exported
    }


def test_a_decision_whose_horizon_lies_ahead_waits(ffe: Ffe) -> None:
    ffe("analyze", "BTCUSD", "--quiet")

    ran = ffe("learning", "update")

    assert ran.out.splitlines() == ["0 resolved, 1 not", "  1: the horizon has not passed"]


@pytest.fixture
def promised(ffe: Ffe, tmp_path: Path) -> None:
    """Forty calls of gemini at 70 %, of which thirty came; a rule that claims nothing; somebody who says HOLD."""
    made = [called(number, move=0.02 if number % 4 else -0.02) for number in range(40)]
    path = tmp_path / "promised.jsonl"
    path.write_text(spelled(made))
    assert ffe("learning", "import", str(path)).code == 0


@pytest.mark.usefixtures("promised")
def test_calibration_holds_promises_against_what_happened(ffe: Ffe) -> None:
    data = ffe("learning", "calibration", "--json").data
    found = {one["name"]: one for one in data["forecasters"]}

    gemini = found["gemini"]
    assert list(found) == ["gemini", "local", "qwen", "verdict"]
    assert (gemini["count"], gemini["independent"], gemini["sufficient"]) == (40, 40, True)
    assert gemini["brier"] == pytest.approx(0.75 * 0.09 + 0.25 * 0.49)
    assert gemini["reliability"] == pytest.approx(0.05**2)
    assert gemini["uncertainty"] == pytest.approx(gemini["base_rate"]["brier"]) == pytest.approx(0.1875)
    assert gemini["skill"] == pytest.approx(1 - gemini["brier"] / 0.1875)
    assert gemini["ece"] == pytest.approx(0.05)
    assert (gemini["curve"]["kind"], gemini["curve"]["fitted"]) == ("logistic", 40)
    # One confidence only: Platt's targets of 30 hits and 10 misses are 31/32 and 1/12.
    meant = (30 * 31 / 32 + 10 / 12) / 40
    assert [one["probability"] for one in gemini["curve"]["means"]] == pytest.approx([meant] * 5)
    assert found["qwen"]["curve"]["kind"] == "identity"
    (only,) = gemini["bins"]
    assert (only["low"], only["count"], only["share"]) == (0.7, 40, 0.75)
    assert (found["local"]["count"], found["local"]["not_calibratable"]) == (0, 40)
    assert (found["qwen"]["holds"], found["qwen"]["base_rate"]) == (40, None)
    assert found["verdict"]["not_calibratable"] == 40


@pytest.mark.usefixtures("promised")
def test_calibration_reads_for_people_and_by_choice(ffe: Ffe) -> None:
    ran = ffe("learning", "calibration", "--provider", "gemini", "--bins", "5", "-a", "btc-usd")

    assert (ran.code, ran.err) == (0, "")
    assert "profitable after costs 75.0% (95 % interval 59.8% to 85.8%); always buying 75.0%" in ran.out
    assert "Brier 0.1900; the base rate 0.1875" in ran.out
    assert "60% to 80%" in ran.out
    assert ffe("learning", "calibration", "-a", "ETHUSD", "--json").data["forecasters"][0]["count"] == 0
    unknown = ffe("learning", "calibration", "--provider", "gemni")
    assert (unknown.code, "gemini" in unknown.line) == (2, True)


@pytest.mark.usefixtures("promised")
def test_calibration_as_of_an_instant_knows_no_later_outcome(ffe: Ffe) -> None:
    def gemini(*arguments: str) -> dict[str, Any]:
        (one,) = ffe("learning", "calibration", "--provider", "gemini", *arguments, "--json").data["forecasters"]
        assert isinstance(one, dict)
        return one

    resolved = sorted(called(number).resolved_at for number in range(40))
    then = gemini("--at", resolved[24].isoformat())
    assert (then["count"], then["curve"]["kind"], then["curve"]["fitted"]) == (25, "identity", 25)
    assert [one["probability"] for one in then["curve"]["means"]] == [0.5, 0.6, 0.7, 0.8, 0.9]
    assert gemini("--at", resolved[-1].isoformat()) == gemini()
    assert "by a logistic curve through 40: 50 means 75%" in ffe("learning", "calibration").out


def test_calibration_of_nothing_is_no_error(ffe: Ffe) -> None:
    ran = ffe("learning", "calibration")

    assert ran.code == 0
    assert "forecasts: 0" in ran.out


def test_few_promises_are_insufficient(ffe: Ffe, tmp_path: Path) -> None:
    path = tmp_path / "few.jsonl"
    path.write_text(spelled(called(number) for number in range(12)))
    ffe("learning", "import", str(path))

    assert "insufficient: a score takes 30 forecasts" in ffe("learning", "calibration", "--provider", "gemini").out
