from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import ffe_lab
import pytest
from ffe_lab.trials import Span, TrialLedger, Tried, digest_of
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import StoreError

YEAR = Span(0, 1000)


def tried(found: Tried | None) -> tuple[int, float | None]:
    assert found is not None
    return found.count, None if found.variance is None else round(found.variance, 12)


def digests(*names: object) -> list[str]:
    return [digest_of({"name": name}) for name in names]


@pytest.fixture
def ledger(tmp_path: Path) -> TrialLedger:
    return TrialLedger(tmp_path / "trials")


def test_a_configuration_is_counted_before_it_is_judged(ledger: TrialLedger) -> None:
    assert ledger.tried("BTCUSD", YEAR) is None
    (one,) = digests("one")
    assert tried(ledger.record("BTCUSD", YEAR, {one: 0.05})) == (1, None)
    assert tried(ledger.tried("BTCUSD", YEAR)) == (1, None)


def test_every_combination_of_a_sweep_is_a_trial_and_their_sharpes_have_a_variance(ledger: TrialLedger) -> None:
    sharpes = {digest: index / 100 for index, digest in enumerate(digests(*range(25_000)))}
    found = ledger.record("BTCUSD", YEAR, sharpes)
    assert found.count == 25_000
    assert found.variance == pytest.approx(statistics.variance(sharpes.values()))
    assert ledger.tried("BTCUSD", YEAR) == found
    assert max(map(len, (ledger.folder / "BTCUSD.jsonl").read_bytes().splitlines())) < 1 << 20


def test_the_same_configuration_is_one_trial_however_often_it_runs(ledger: TrialLedger) -> None:
    (one,) = digests("one")
    ledger.record("BTCUSD", YEAR, {one: 0.05})
    size = (ledger.folder / "BTCUSD.jsonl").stat().st_size
    assert ledger.record("BTCUSD", YEAR, {one: 0.05}).count == 1
    assert (ledger.folder / "BTCUSD.jsonl").stat().st_size == size
    assert ledger.record("BTCUSD", Span(500, 1500), {one: 0.07}).count == 1


def test_only_spans_that_share_time_and_the_same_asset_count(ledger: TrialLedger) -> None:
    before, inside, after, elsewhere = digests("before", "inside", "after", "elsewhere")
    ledger.record("BTCUSD", Span(-500, 0), {before: 0.1})
    ledger.record("BTCUSD", Span(200, 300), {inside: 0.2})
    ledger.record("BTCUSD", Span(1000, 2000), {after: 0.3})
    ledger.record("ETHUSD", YEAR, {elsewhere: 0.4})
    (mine,) = digests("mine")
    assert tried(ledger.record("BTCUSD", YEAR, {mine: 0.4})) == (2, 0.02)
    everything = ledger.record("BTCUSD", Span(-1, 1001), {mine: 0.4})
    assert everything.count == 4


def test_a_trial_without_a_sharpe_ratio_counts_and_a_later_ratio_completes_it(ledger: TrialLedger) -> None:
    one, two = digests("one", "two")
    assert tried(ledger.record("BTCUSD", YEAR, {one: None, two: float("nan")})) == (2, None)
    assert tried(ledger.record("BTCUSD", YEAR, {one: 0.1, two: 0.3})) == (2, 0.02)
    assert tried(ledger.record("BTCUSD", YEAR, {one: None})) == (2, 0.02)


def test_a_pinned_count_replaces_the_count_alone(ledger: TrialLedger) -> None:
    one, two = digests("one", "two")
    assert tried(ledger.record("BTCUSD", YEAR, {one: 0.1, two: 0.3}, pinned=50)) == (50, 0.02)
    assert tried(ledger.tried("BTCUSD", YEAR, pinned=7)) == (7, 0.02)
    with pytest.raises(ValueError, match="is none"):
        ledger.record("BTCUSD", YEAR, {one: 0.1}, pinned=0)


@pytest.mark.parametrize("cut", [1, 10, 30])
def test_a_torn_last_line_is_passed_over_and_not_written_into(ledger: TrialLedger, cut: int) -> None:
    one, two, three = digests("one", "two", "three")
    ledger.record("BTCUSD", YEAR, {one: 0.1})
    ledger.record("BTCUSD", YEAR, {two: 0.2})
    file = ledger.folder / "BTCUSD.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    # A line that lost no more than its end is whole.
    kept = 2 if cut == 1 else 1
    assert tried(ledger.tried("BTCUSD", YEAR)) == (kept, 0.005 if kept == 2 else None)
    assert ledger.record("BTCUSD", YEAR, {three: 0.3}).count == kept + 1
    assert tried(ledger.tried("BTCUSD", YEAR))[0] == kept + 1


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe garbage",
        b"[1, 2]",
        b'{"start": 5, "end": 1, "trials": []}',
        b'{"start": 0, "end": 9, "trials": [["a"]]}',
        b"[" * 5000,
        b" " * (3 << 20),
    ],
)
def test_lines_that_are_none_are_passed_over(ledger: TrialLedger, line: bytes) -> None:
    one, two = digests("one", "two")
    ledger.record("BTCUSD", YEAR, {one: 0.1})
    with (ledger.folder / "BTCUSD.jsonl").open("ab") as file:
        file.write(line + b"\n")
    assert ledger.record("BTCUSD", YEAR, {two: 0.2}).count == 2


def test_two_processes_at_once_lose_no_trial(ledger: TrialLedger) -> None:
    script = """
import sys
from pathlib import Path
from ffe_lab.trials import Span, TrialLedger, digest_of
ledger = TrialLedger(Path(sys.argv[1]))
for index in range(40):
    ledger.record("BTCUSD", Span(0, 1000), {digest_of({"worker": sys.argv[2], "index": index}): 0.1})
"""
    home = str(Path(ffe_lab.__file__).parent.parent)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {home!r})\n{script}", str(ledger.folder), name]
        )
        for name in "ab"
    ]
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0]
    found = ledger.tried("BTCUSD", YEAR)
    assert found is not None and found.count == 80
    for line in (ledger.folder / "BTCUSD.jsonl").read_text().splitlines():
        json.loads(line)


def test_a_ledger_that_cannot_be_read_or_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "trials").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="cannot be read"):
        TrialLedger(tmp_path / "trials").record("BTCUSD", YEAR, dict.fromkeys(digests("one")))
    (tmp_path / "others" / "BTCUSD.lock").mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot be used"):
        TrialLedger(tmp_path / "others").record("BTCUSD", YEAR, dict.fromkeys(digests("one")))


def test_what_is_known_is_counted_without_a_lock(ledger: TrialLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = digests("one", "two")
    found = ledger.record("BTCUSD", YEAR, {one: 0.1, two: 0.3})
    monkeypatch.setitem(sys.modules, "filelock", None)
    assert ledger.record("BTCUSD", YEAR, {one: 0.1}) == found
    with pytest.raises(ImportError):
        ledger.record("BTCUSD", YEAR, {one: 0.2})


def test_portfolios_and_strange_names_have_files_of_their_own(ledger: TrialLedger) -> None:
    (one,) = digests("one")
    for name in ("BTCUSD+ETHUSD", "../../etc/passwd", "ASSET_1", "x" * 500):
        assert ledger.record(name, YEAR, {one: 0.1}).count == 1
    assert len(list(ledger.folder.glob("*.jsonl"))) == 4


@given(
    st.dictionaries(st.text(max_size=5), st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False))
)
def test_a_digest_knows_content_and_not_order(configuration: dict[str, object]) -> None:
    turned = dict(reversed(configuration.items()))
    assert digest_of(turned) == digest_of(configuration)
    assert digest_of({**configuration, "more": 1}) != digest_of({**configuration, "more": 2})


def test_what_is_no_configuration_is_refused(ledger: TrialLedger) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of({"fee": float("nan")})
    with pytest.raises(ValueError, match="named by digest_of"):
        ledger.record("BTCUSD", YEAR, {"fast=10": 0.1})
    with pytest.raises(ValueError, match="before it begins"):
        Span(5, 5)
