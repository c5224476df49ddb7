import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import (
    Action,
    BadData,
    Briefing,
    BriefRequest,
    Candles,
    FixedClock,
    Mode,
    NoData,
    NotConfigured,
    Note,
    Opinion,
    Regime,
    SourceFailed,
    Timeframe,
    Trust,
    logs,
)  # fmt: skip
from ffe_core.ai.cassette import (
    Cassette,
    Origin,
    Question,
    Tape,
    TapedSource,
    _candles,
    _candles_data,
    taped,
    taped_notes,
)
from ffe_core.domain.codec import canonical_json
from ffe_core.domain.market import COLUMNS
from ffe_core.errors import CassetteMiss, StoreError, VerificationFailed
from ffe_core.net.breaker import CircuitBreaker
from ffe_core.testing import FakeProvider, FakeSource
from tests.risk.builders import AT, BTC, market, pulse

CLOCK = FixedClock(AT + timedelta(days=900))
BRIEFING = Briefing(
    asset=BTC, as_of=AT, mode=Mode.PAPER, timeframe=Timeframe.H1, horizon=24, market=market(), pulse=pulse(),
    regime=Regime.UNKNOWN, position=None,
)  # fmt: skip
QUESTION = Question("opinion", "gemini", "m", {"briefing": "is it up?"}, "gemini: opinion")
SERIES = Candles.of(
    BTC, Timeframe.H1, "fake", time=[0, 3_600_000, 7_200_000, 36_000_000], open=[1.1, 2, 3, 4], high=[2, 3, 4, 5.5],
    low=[0.1 + 0.2, 1, 2, 3], close=[1.5, 2.5, 3.5, 1e-7], volume=[0, 1, 2, 1e21], fetched_at=AT, remarks=["two gaps"],
)  # fmt: skip


def unasked(*_, **__):
    raise AssertionError("a replay asked somebody")


class Named:
    """A source that nobody may ask."""

    def __init__(self, name):
        self.name = name

    serves = candles = unasked


def cassette(folder, tape, clock=CLOCK):
    return Cassette(Tape(tape), folder, clock)


def record(folder, *answers, question=QUESTION):
    for answer in answers:
        cassette(folder, "record").keep(question, answer)


def source(folder, tape, bare, clock=CLOCK):
    return TapedSource(bare, "plugin", cassette(folder, tape), CircuitBreaker("s", clock))


def bars(taped_source, **changes):
    return taped_source.candles(BTC, Timeframe.H1, **{"start": None, "end": AT, "limit": 501, **changes})


# Lanes


def test_the_same_question_is_answered_in_the_order_of_its_answers(tmp_path):
    record(tmp_path, {"n": 1}, {"n": 2})
    replay = cassette(tmp_path, "replay")
    assert [replay.take(QUESTION), replay.take(QUESTION)] == [{"n": 1}, {"n": 2}]
    with pytest.raises(CassetteMiss, match="recorded 2 times and is asked for once more"):
        replay.take(QUESTION)


def test_every_run_begins_at_the_first_answer(tmp_path):
    record(tmp_path, {"n": 1}, {"n": 2})
    assert cassette(tmp_path, "replay").take(QUESTION) == cassette(tmp_path, "replay").take(QUESTION) == {"n": 1}


def test_a_replay_without_an_answer_is_a_miss_and_asks_nobody(tmp_path):
    with pytest.raises(CassetteMiss, match="never recorded") as caught:
        cassette(tmp_path / "none", "replay").answer(QUESTION, unasked)
    assert caught.value.exit_code == 4
    assert not (tmp_path / "none").exists()


def test_auto_answers_what_is_there_and_adds_what_is_missing(tmp_path):
    record(tmp_path, {"n": 1})
    auto = cassette(tmp_path, "auto")
    assert auto.answer(QUESTION, unasked) == {"n": 1}
    assert auto.answer(QUESTION, lambda: {"n": 2}) == {"n": 2}
    assert auto.answer(QUESTION, lambda: {"n": 3}) == {"n": 3}
    again = cassette(tmp_path, "replay")
    assert [again.take(QUESTION)["n"] for _ in range(3)] == [1, 2, 3]


def test_recording_asks_although_there_are_answers(tmp_path):
    record(tmp_path, {"n": 1})
    assert cassette(tmp_path, "record").answer(QUESTION, lambda: {"n": 2}) == {"n": 2}


@pytest.mark.parametrize("part", ["kind", "plugin", "model", "request"])
def test_another_question_is_another_lane(tmp_path, part):
    record(tmp_path, {"n": 1})
    other = replace(QUESTION, **{part: {"briefing": "other"} if part == "request" else "other"})
    with pytest.raises(CassetteMiss):
        cassette(tmp_path, "replay").take(other)


def test_an_entry_is_text_that_says_who_was_asked_what_and_when(tmp_path):
    record(tmp_path, {"n": 1})
    (file,) = tmp_path.rglob("*.jsonl")
    entry = json.loads(file.read_text(encoding="utf-8"))
    assert (entry["recorded_at"], entry["asked"]["plugin"]) == ("2025-11-17T00:00:00Z", "gemini")
    assert file.name == f"{QUESTION.key}.jsonl"


def test_no_secret_is_written_and_the_run_that_records_sees_what_a_replay_will(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "_secrets", {"sk-123456"})
    question = replace(QUESTION, request={"briefing": "my key is sk-123456"})
    recorded = cassette(tmp_path, "record").keep(question, {"raw": "you said sk-123456"})
    assert b"sk-123456" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*.jsonl"))
    assert recorded == cassette(tmp_path, "replay").take(question) == {"raw": "you said ********"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(b'"n":1', b'"n":7'),
        lambda text: text.replace(b"gemini", b"openai"),
        lambda text: text.replace(b'"schema":1', b'"schema":2'),
        lambda text: b"\x00\xff" + text,
        lambda text: b"[]\n" + text,
        lambda text: text + b"{}\n",
    ],
)
@pytest.mark.parametrize("tape", ["replay", "auto"])
def test_a_damaged_entry_is_one_error_and_never_a_call(tmp_path, damage, tape):
    record(tmp_path, {"n": 1})
    (file,) = tmp_path.rglob("*.jsonl")
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(VerificationFailed, match=r"jsonl:\d is not as this version wrote it") as caught:
        cassette(tmp_path, tape).answer(QUESTION, unasked)
    assert caught.value.exit_code == 6
    with pytest.raises(VerificationFailed):
        cassette(tmp_path, "record").keep(QUESTION, {"n": 2})


def test_a_folder_that_cannot_be_made_is_one_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="may not be written"):
        cassette(tmp_path / "file" / "below", "record").keep(QUESTION, {})


@pytest.mark.slow
def test_processes_that_record_the_same_question_lose_no_answer(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tests.ai.test_cassette import record\n"
        "record(Path(sys.argv[1]), *({'n': sys.argv[2]} for _ in range(10)))"
    )
    root = Path(__file__).parents[2]
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(n)], cwd=root) for n in range(3)]
    assert [run.wait(60) for run in runs] == [0, 0, 0]
    replay = cassette(tmp_path, "replay")
    assert sorted(replay.take(QUESTION)["n"] for _ in range(30)) == sorted("012" * 10)
    assert not list(tmp_path.rglob(".writing-*"))


# Market data


def test_candles_come_back_bar_for_bar(tmp_path):
    recorded = bars(source(tmp_path, "record", FakeSource(SERIES)))
    replayed = bars(source(tmp_path, "replay", Named("fake")))
    for made in (recorded, replayed):
        assert made == SERIES
        assert (made.fetched_at, made.remarks, made.day_boundary) == (AT, ("two gaps",), SERIES.day_boundary)
        assert [getattr(made, name).tolist() for name in COLUMNS] == [
            getattr(SERIES, name).tolist() for name in COLUMNS
        ]


@given(
    st.lists(st.integers(1, 10**12), max_size=30, unique=True).map(sorted),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_series_survives_its_compact_form(time, value):
    columns = {name: [value] * len(time) for name in COLUMNS}
    made = Candles.of(BTC, Timeframe.M1, "any", time=time, coverage=[0.5] * len(time), **columns)
    data = json.loads(canonical_json(_candles_data(made)))
    assert _candles(data) == made
    assert _candles(data).coverage == made.coverage


def test_long_series_are_kept_small(tmp_path):
    prices = [round(27_000 + (i * 7919 % 1000) / 100, 2) for i in range(5000)]
    columns = dict.fromkeys(COLUMNS, prices)
    made = Candles.of(BTC, Timeframe.M1, "any", time=range(0, 5000 * 60_000, 60_000), **columns)
    assert _candles_data(made)["steps"] == [[60_000, 4999]]
    assert len(canonical_json(_candles_data(made))) < 0.2 * len(canonical_json([prices] * 6))


@pytest.mark.parametrize("kind", [NoData, BadData, SourceFailed])
def test_a_source_fails_again_as_it_failed(tmp_path, kind):
    class Failing:
        name = "fake"

        def serves(self, asset):
            return True

        def candles(self, *args, **kwargs):
            raise kind("no such bars", hint="try another")

    for tape, bare in (("record", Failing()), ("replay", Named("fake"))):
        with pytest.raises(kind, match="no such bars") as caught:
            bars(source(tmp_path, tape, bare))
        assert caught.value.hint == "try another"


def test_what_a_source_does_not_serve_is_part_of_the_world(tmp_path):
    for tape, bare in (("record", FakeSource(name="fake")), ("replay", Named("fake"))):
        with pytest.raises(NoData, match="does not have BTCUSD"):
            bars(source(tmp_path, tape, bare))


def test_a_missing_setting_is_the_users_to_mend_and_not_recorded(tmp_path):
    class Keyless(FakeSource):
        def candles(self, *args, **kwargs):
            raise NotConfigured("no key")

    with pytest.raises(NotConfigured):
        bars(source(tmp_path, "record", Keyless(SERIES)))
    assert not list(tmp_path.rglob("*.jsonl"))


@pytest.mark.parametrize("change", [{"start": AT}, {"end": AT + timedelta(hours=1)}, {"limit": 500}])
def test_another_span_is_another_question(tmp_path, change):
    bars(source(tmp_path, "record", FakeSource(SERIES)))
    with pytest.raises(CassetteMiss):
        bars(source(tmp_path, "replay", Named("fake")), **change)


# Notes and opinions


def test_notes_are_recorded_with_who_may_have_had_some(tmp_path):
    request = BriefRequest(BTC, AT, Timeframe.H1, 24)
    note = Note("news", Trust.UNTRUSTED, AT, "up")
    assert taped_notes(cassette(tmp_path, "record"), request, ("news",), lambda: (note,)) == (note,)
    assert taped_notes(cassette(tmp_path, "replay"), request, ("news",), unasked) == (note,)
    with pytest.raises(CassetteMiss, match="notes on BTCUSD"):
        taped_notes(cassette(tmp_path, "replay"), request, ("news", "macro"), unasked)


def opinions(folder, tape, ask, *names, briefing=BRIEFING, options=()):
    panel = {name: FakeProvider(name=name) for name in names}
    origins = {name: Origin.of("plugin", dict(options)) for name in names}
    return taped(ask, cassette(folder, tape), origins)(panel, briefing)


def answering(panel, briefing):
    return tuple(
        Opinion.failure(name, "m", "connection refused")
        if name == "down"
        else Opinion(name, "m", Action.BUY, 70, "up", latency_ms=1.25, prompt="p", raw_reply="{}", tokens_in=3)
        for name in panel
    )


def test_opinions_and_failures_come_back_in_the_order_of_the_panel(tmp_path):
    recorded = opinions(tmp_path, "record", answering, "a", "down", "b")
    assert opinions(tmp_path, "replay", unasked, "a", "down", "b") == recorded
    assert [opinion.provider for opinion in opinions(tmp_path, "replay", unasked, "b", "down", "a")] == [
        "b",
        "down",
        "a",
    ]
    assert [opinion.error for opinion in recorded] == [None, "connection refused", None]


def test_auto_asks_only_those_who_have_not_answered(tmp_path):
    opinions(tmp_path, "record", answering, "a")
    asked = []

    def ask(panel, briefing):
        asked.extend(panel)
        return answering(panel, briefing)

    assert [made.provider for made in opinions(tmp_path, "auto", ask, "b", "a", "c")] == ["b", "a", "c"]
    assert asked == ["b", "c"]


def test_everything_that_reaches_the_model_is_in_the_question(tmp_path, monkeypatch):
    opinions(tmp_path, "record", answering, "a", options={"temperature": 0})
    for change in (
        {"briefing": replace(BRIEFING, market=market(50001.0))},
        {"briefing": replace(BRIEFING, notes=(Note("n", Trust.OWN, AT, "x"),))},
        {"options": {"temperature": 1}},
    ):
        with pytest.raises(CassetteMiss):
            opinions(tmp_path, "replay", unasked, "a", **{"options": {"temperature": 0}, **change})
    monkeypatch.setattr("ffe_core.ai.prompt.ANSWER_FORM", "Answer in verse.")
    with pytest.raises(CassetteMiss):
        opinions(tmp_path, "replay", unasked, "a", options={"temperature": 0})


def test_how_a_model_is_reached_is_not_in_the_question(tmp_path):
    opinions(
        tmp_path, "record", answering, "a", options={"temperature": 0, "timeout": 5, "base_url": "u", "api_key": 1}
    )
    assert opinions(tmp_path, "replay", unasked, "a", options={"temperature": 0, "timeout": 9})


def test_an_answer_of_another_version_is_one_error(tmp_path):
    made = cassette(tmp_path, "record")
    opinions(tmp_path, "record", answering, "a")
    (file,) = tmp_path.rglob("*.jsonl")
    asked = json.loads(file.read_bytes())["asked"]
    file.unlink()
    question = Question(asked["kind"], asked["plugin"], asked["model"], asked["request"], "a")
    made.keep(question, {"opinion": {"provider": "a", "mood": "fine"}})
    with pytest.raises(VerificationFailed, match="cannot be read: not a Opinion: unknown field mood"):
        opinions(tmp_path, "replay", unasked, "a")
