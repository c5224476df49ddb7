"""Cassettes: what sources, plugins and models answered, kept so that a run can be had again without asking anyone.

A folder is one closed world. Who was asked what is a question, its sha256 the name of a file, and each line of the
file one answer: asked again in the same run, the next line answers. A replay begins at the first line, and whatever it
does not find is a miss, never a call. What goes in is what comes out: while it is recorded, a run is already given its
answers as the cassette will give them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from itertools import accumulate, chain, groupby, pairwise, repeat
from pathlib import Path
from typing import Any, Self

from ffe_core import errors
from ffe_core.ai.files import only_writer, replace_whole
from ffe_core.ai.panel import Asking
from ffe_core.ai.prompt import render_prompt
from ffe_core.domain.assets import Asset, DayBoundary, Timeframe
from ffe_core.domain.clock import Clock, iso
from ffe_core.domain.codec import canonical_json, plain, restore
from ffe_core.domain.decisions import Briefing, BriefRequest, Note, Opinion
from ffe_core.domain.market import COLUMNS, Candles
from ffe_core.errors import CassetteMiss, FfeError, NoData, SettingsError, StoreError, VerificationFailed
from ffe_core.logs import is_secret_name, redact
from ffe_core.net.breaker import CircuitBreaker
from ffe_core.plugins.guard import error_of
from ffe_core.ports import AIProvider, DataSource

SCHEMA = 1
#: settings of a plugin that say how a model is reached, not what it is told
TRANSPORT = frozenset(
    "allow_http base_url ca_file command environment host keep_alive path per_day per_minute timeout".split()
)

type Answer = dict[str, Any]


class Tape(StrEnum):
    """What a run does with its cassette: ask and add, never ask, or ask for what is missing."""

    RECORD = "record"
    REPLAY = "replay"
    AUTO = "auto"


@dataclass(frozen=True)
class Question:
    """Who is asked what. ``request`` is everything that reaches them, and nothing that differs from run to run."""

    kind: str
    plugin: str
    #: the model of a provider, the name of a source
    model: str
    request: Mapping[str, Any]
    #: how messages name it
    about: str

    @cached_property
    def asked(self) -> dict[str, Any]:
        told: dict[str, Any] = _without_secrets(
            plain({"kind": self.kind, "plugin": self.plugin, "model": self.model, "request": self.request})
        )
        return told

    @cached_property
    def key(self) -> str:
        return hashlib.sha256(canonical_json(self.asked)).hexdigest()


class Cassette:
    """The answers in ``folder``, shared by threads and processes; ``clock`` stamps what is recorded.

    Raises ``CassetteMiss`` for a replay without an answer, ``VerificationFailed`` for an entry that is not as it was
    written, ``StoreError`` for a folder that cannot be read or written.
    """

    def __init__(self, tape: Tape, folder: Path, clock: Clock) -> None:
        self.tape = tape
        self.folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        #: lines of each lane that this run has been told
        self._heard: dict[str, int] = {}

    def answer(self, question: Question, live: Callable[[], Answer]) -> Answer:
        """The next recorded answer to ``question``, else the one that ``live`` gives, now recorded."""
        found = self.take(question)
        return self.keep(question, live()) if found is None else found

    def take(self, question: Question) -> Answer | None:
        """The next recorded answer; ``None`` where it is to be asked for and then kept."""
        if self.tape is Tape.RECORD:
            return None
        with self._lock:
            lane, heard = self._lane(question), self._heard.get(question.key, 0)
            if heard < len(lane):
                self._heard[question.key] = heard + 1
                return lane[heard]
        if self.tape is Tape.AUTO:
            return None
        often = f"was recorded {heard} times and is asked for once more" if heard else "was never recorded"
        raise CassetteMiss(
            f"{question.about} {often} ({self.folder})",
            hint="`--cassette auto` asks for what is missing; a replay needs the --at of its recording",
        )

    def keep(self, question: Question, answer: Answer) -> Answer:
        """Adds ``answer`` behind those that are there; returns it as a replay will."""
        told: Answer = json.loads(canonical_json(_without_secrets(answer)))
        entry = {"schema": SCHEMA, "recorded_at": iso(self._clock.now()), "asked": question.asked, "answer": told}
        path = self._path(question)
        with self._lock, only_writer(self.folder):
            # Read first: nothing is added to a lane that is damaged.
            count = len(self._lane(question))
            before = path.read_bytes().rstrip(b"\n") + b"\n" if count else b""
            replace_whole(path, before + canonical_json({**entry, "sha256": _seal(entry)}) + b"\n")
            self._heard[question.key] = count + 1
        return told

    def _path(self, question: Question) -> Path:
        return self.folder / question.kind / f"{question.key}.jsonl"

    def _lane(self, question: Question) -> list[Answer]:
        path = self._path(question)
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"the cassette {path} cannot be read: {error.strerror}") from error
        return [_read(line, question, f"{path}:{number}") for number, line in enumerate(text.splitlines(), 1)]


def _read(line: bytes, question: Question, place: str) -> Answer:
    try:
        entry = json.loads(line)
        intact = entry.pop("sha256") == _seal(entry) and entry["asked"] == question.asked
        known: Answer | None = entry["answer"] if intact and entry["schema"] == SCHEMA else None
    except (ValueError, KeyError, TypeError, AttributeError):
        known = None
    if known is None:
        raise VerificationFailed(
            f"the cassette entry {place} is not as this version wrote it", hint="restore its folder, or record anew"
        )
    return known


def _seal(entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(entry)).hexdigest()


def _restored[T](question: Question, make: Callable[[], T]) -> T:
    """What ``make`` makes of an answer that is whole, but may be another version's."""
    try:
        return make()
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        raise VerificationFailed(
            f"the recorded answer to {question.about} cannot be read: {error}", hint="record it anew"
        ) from error


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: _without_secrets(item) for name, item in value.items()}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


# Market data


class TapedSource:
    """A source that answers from a cassette, and is asked through ``breaker`` where the cassette may ask.

    It counts as near, so that neither the feed's files nor what is remembered of a service has a say in a closed world.
    """

    def __init__(self, source: DataSource, plugin: str, cassette: Cassette, breaker: CircuitBreaker) -> None:
        self.name = source.name
        self._source = source
        self._plugin = plugin
        self._cassette = cassette
        self._breaker = breaker

    def serves(self, asset: Asset) -> bool:
        # Whether it does is part of the answer: it may hang on a folder that is not there at the replay.
        return True

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        def live() -> Answer:
            try:
                if not self._source.serves(asset):
                    raise NoData(f"does not have {asset}")
                found = self._breaker.call(self._source.candles, asset, timeframe, start=start, end=end, limit=limit)
            except SettingsError:
                # The user's to mend, and no part of the world.
                raise
            except FfeError as error:
                return {"failure": {"type": type(error).__name__, "message": error.message, "hint": error.hint}}
            return {"candles": _candles_data(found)}

        request = {"asset": asset, "timeframe": timeframe, "start": start, "end": end, "limit": limit}
        until = f" up to {iso(end)}" if end is not None else ""
        question = Question("candles", self._plugin, self.name, request, f"{self.name}: {asset} {timeframe}{until}")
        answer = self._cassette.answer(question, live)
        if "failure" in answer:
            raise _restored(question, lambda: _failure(**answer["failure"]))
        return _restored(question, lambda: _candles(answer["candles"]))


def _failure(type: str, message: str, hint: str | None) -> FfeError:  # noqa: A002 - as it is recorded
    return error_of(getattr(errors, type), message, hint)


def _candles_data(candles: Candles) -> dict[str, Any]:
    """The series in a tenth of its plain length: stamps as runs of equal steps, the columns deflated."""
    steps = (after - before for before, after in pairwise(candles.time))
    columns = {name: getattr(candles, name).tolist() for name in COLUMNS}
    return {
        "asset": plain(candles.asset),
        "timeframe": candles.timeframe.value,
        "source": candles.source,
        "synthetic": candles.synthetic,
        "fetched_at": plain(candles.fetched_at),
        "day_boundary": candles.day_boundary.value,
        "remarks": list(candles.remarks),
        "first": candles.time[0] if len(candles) else None,
        "steps": [[step, len(list(run))] for step, run in groupby(steps)],
        "columns": _deflated({**columns, "coverage": list(candles.coverage)}),
        "fingerprint": candles.fingerprint,
    }


def _candles(data: Mapping[str, Any]) -> Candles:
    columns = _inflated(data["columns"])
    steps = chain.from_iterable(repeat(step, times) for step, times in data["steps"])
    made = Candles.of(
        restore(Asset, data["asset"]),
        Timeframe(data["timeframe"]),
        data["source"],
        time=() if data["first"] is None else accumulate(steps, initial=data["first"]),
        **columns,
        synthetic=data["synthetic"],
        fetched_at=None if data["fetched_at"] is None else datetime.fromisoformat(data["fetched_at"]),
        day_boundary=DayBoundary(data["day_boundary"]),
        remarks=data["remarks"],
    )
    if made.fingerprint != data["fingerprint"]:
        raise ValueError("the bars are not those that were recorded")
    return made


def _deflated(columns: Mapping[str, Any]) -> str:
    return base64.b64encode(zlib.compress(canonical_json(columns), 6)).decode()


def _inflated(text: str) -> dict[str, Any]:
    columns: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(text)))
    return columns


# Notes and opinions


def taped_notes(
    cassette: Cassette, request: BriefRequest, plugins: tuple[str, ...], live: Callable[[], tuple[Note, ...]]
) -> tuple[Note, ...]:
    """What ``plugins`` have to say on ``request``; where there are none, nobody is asked."""
    if not plugins:
        return live()
    asked = {"request": request, "plugins": plugins}
    question = Question("notes", "", "", asked, f"notes on {request.asset} at {iso(request.as_of)}")
    answer = cassette.answer(question, lambda: {"notes": plain(live())})
    return _restored(question, lambda: tuple(restore(Note, note) for note in answer["notes"]))


def taped_number(cassette: Cassette, kind: str, briefing: Briefing, live: Callable[[], int]) -> int:
    """A number that the run depends on, such as what is left of an allowance."""
    asked = {"asset": briefing.asset, "as_of": briefing.as_of}
    question = Question(kind, "", "", asked, f"{kind} for {briefing.asset} at {iso(briefing.as_of)}")
    answer = cassette.answer(question, lambda: {"number": live()})
    return _restored(question, lambda: int(answer["number"]))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a provider comes from: its plugin, and those of the plugin's settings that may reach the model."""

    plugin: str
    options: Mapping[str, Any]

    @classmethod
    def of(cls, plugin: str, section: Mapping[str, Any]) -> Self:
        """Without secrets, and without what only says how the model is reached."""
        left = {name: v for name, v in section.items() if name not in TRANSPORT and not is_secret_name(name)}
        return cls(plugin, left)


def taped(ask: Asking, cassette: Cassette, origins: Mapping[str, Origin]) -> Asking:
    """``ask``, for those of the panel whose answers ``cassette`` lacks. Failed ones fail again in the same words."""

    def answers(panel: Mapping[str, AIProvider], briefing: Briefing) -> tuple[Opinion, ...]:
        questions = {
            name: opinion_question(name, provider, origins[name], briefing) for name, provider in panel.items()
        }
        known = {name: cassette.take(question) for name, question in questions.items()}
        missing = {name: provider for name, provider in panel.items() if known[name] is None}
        asked = ask(missing, briefing) if missing else ()
        for opinion in asked:
            known[opinion.provider] = cassette.keep(questions[opinion.provider], {"opinion": plain(opinion)})
        return tuple(_opinion(questions[name], answer) for name, answer in known.items() if answer is not None)

    return answers


def _opinion(question: Question, answer: Answer) -> Opinion:
    return _restored(question, lambda: restore(Opinion, answer["opinion"]))


def opinion_question(name: str, provider: AIProvider, origin: Origin, briefing: Briefing) -> Question:
    """What ``provider`` is asked with ``briefing``: everything that reaches its model."""
    # The briefing is what a provider is told. The text that is made of it is told too: when its words change, old
    # answers are answers to something else.
    prompt = render_prompt(briefing)
    request = {
        "provider": name,
        "options": origin.options,
        "briefing": briefing,
        "prompt": {"system": prompt.system, "user": prompt.user},
    }
    about = f"{name}: opinion on {briefing.asset} at {iso(briefing.as_of)}"
    return Question("opinion", origin.plugin, provider.model, request, about)
