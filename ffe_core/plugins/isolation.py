"""A plugin in a process of its own, for what no thread contains: a crash, ``os._exit``, a spin, a memory bomb.

The host never imports such a plugin. The child loads it, puts it behind the same guard, and answers one request at a
time; it inherits no environment but what a program needs to run and reach the network. When it is late or gone, its
process group is killed and the next request starts a new one.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, cast

from ffe_core import errors
from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.clock import Clock, SystemClock, iso
from ffe_core.domain.decisions import Briefing, Note, Opinion, Proposal, RiskContext, Ruling
from ffe_core.domain.market import Candles, Quote
from ffe_core.errors import FfeError, PluginError, ProviderFailed
from ffe_core.hookspecs import Logger
from ffe_core.plugins.guard import BadAnswer, Guard, error_of
from ffe_core.plugins.proxies import GRACE, guarded
from ffe_core.plugins.registry import Offer
from ffe_core.plugins.wire import Broken, Channel, Message, decode, encode, signature_of
from ffe_core.ports import (
    AIProvider,
    Catalogued,
    CheckedProvider,
    DataSource,
    Holding,
    MacroSource,
    NewsSource,
    QuoteSource,
    Readiness,
    RiskRule,
)

if TYPE_CHECKING:
    from ffe_core.plugins.host import Roots

START_DEADLINE = 30.0
DEATHS_IN_A_ROW = 3
#: what a child keeps of the environment: where programs, folders, certificates and proxies are
KEPT = frozenset(
    "PATH HOME USER LOGNAME LANG LANGUAGE LC_ALL LC_CTYPE TZ TMPDIR SYSTEMROOT SSL_CERT_FILE SSL_CERT_DIR "
    "REQUESTS_CA_BUNDLE CURL_CA_BUNDLE HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy".split()
)
# Numerical libraries reserve address space per thread, which the memory limit counts.
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
# The parent's own path, instead of what the interpreter would make of an environment that it no longer has.
BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ffe_core.plugins.worker import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)


@dataclass(frozen=True, slots=True)
class Charge:
    """What a child is told to load. ``section`` is the plugin's settings as written, secrets and all."""

    name: str
    entry: str
    section: Mapping[str, Any] = field(repr=False)
    costs: Mapping[str, Any]
    roots: Roots
    deadline: float


class Worker:
    """The child process of one plugin. ``variables`` looks up the well-known names that its settings may ask for."""

    def __init__(
        self,
        charge: Charge,
        *,
        clock: Clock,
        log: Logger,
        variables: Callable[[list[str]], dict[str, str]],
    ) -> None:
        self._charge = charge
        self._clock = clock
        self._log = log
        self._variables = variables
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._deaths = 0
        self._closed = False
        atexit.register(self.close)

    def start(self) -> Message:
        """Loads the plugin; what it offers, as ``ffe_core.plugins.worker`` describes it.

        Raises ``SettingsError`` for its section, ``PluginError`` for everything else.
        """
        with self._lock:
            try:
                return self._start()
            except (Broken, BadAnswer, OSError) as failed:
                raise PluginError(self._charge.name, str(failed)) from failed

    def ask(self, request: Message, *, deadline: float) -> Any:
        """The answer to one request. Raises the error that the plugin raised, ``BadAnswer`` where it is gone."""
        until = time.monotonic() + deadline
        if not self._lock.acquire(timeout=deadline):
            raise BadAnswer(f"did not answer within {deadline:g} s (busy with another request)")
        try:
            if self._channel is None:
                self._restart()
                until = time.monotonic() + deadline
            answer = self._exchange({**request, "now": self._now()}, until)
        except Broken as broken:
            raise BadAnswer(self._ended(broken, deadline)) from broken
        except OSError as error:
            raise BadAnswer(f"its process cannot be started: {error}") from error
        finally:
            self._lock.release()
        self._deaths = 0
        if "error" in answer:
            raise _raised(answer["error"])
        return answer.get("answer")

    def close(self) -> None:
        """Kills the child and everything that it started. Also called at exit."""
        atexit.unregister(self.close)
        self._closed = True
        _kill_group(self._process)
        # Whoever waits for an answer sees the end of the pipe, and lets go of it before it is closed here.
        if self._lock.acquire(timeout=1.0):
            self._end()
            self._lock.release()

    def _restart(self) -> None:
        if self._closed:
            raise BadAnswer("its process was closed")
        if self._deaths >= DEATHS_IN_A_ROW:
            raise BadAnswer(f"its process ended {self._deaths} times in a row and is left alone")
        self._start()

    def _start(self) -> Message:
        reading, theirs_out = os.pipe()
        theirs_in, writing = os.pipe()
        self._channel = Channel(reading, writing)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, with our own arguments
                [sys.executable, "-I", "-c", BOOT, json.dumps(sys.path), str(theirs_in), str(theirs_out)],
                stdin=subprocess.DEVNULL,
                stdout=2,
                env={**{name: value for name, value in os.environ.items() if name in KEPT}, **THREADS},
                pass_fds=(theirs_in, theirs_out),
                start_new_session=True,
            )
        except OSError:
            self._end()
            raise
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        deadline = max(START_DEADLINE, self._charge.deadline)
        until = time.monotonic() + deadline
        try:
            charge = self._charge
            told = {"name": charge.name, "entry": charge.entry, "section": _written(charge.section)}
            told["costs"] = dict(charge.costs)
            folders = [str(charge.roots.state), str(charge.roots.cache), str(charge.roots.data)]
            ready = self._exchange({**told, "roots": folders, "now": self._now()}, until)
        except Broken as broken:
            raise Broken(self._ended(broken, deadline)) from broken
        if "error" in ready:
            self._end()
            raise _raised(ready["error"])
        return ready

    def _exchange(self, message: Message, until: float) -> Message:
        channel = cast("Channel", self._channel)
        channel.send(message, until=until)
        while True:
            answer = channel.receive(until=until)
            if "log" in answer:
                self._forward(answer["log"])
            elif "variables" in answer:
                wanted = [str(name) for name in answer["variables"]]
                channel.send({"variables": self._variables(wanted)}, until=until)
            else:
                return answer

    def _forward(self, said: Any) -> None:
        level, event, facts = said
        if level in ("debug", "info", "warning", "error"):
            getattr(self._log, level)(str(event), **{str(name): value for name, value in dict(facts).items()})

    def _now(self) -> str | None:
        return None if isinstance(self._clock, SystemClock) else iso(self._clock.now())

    def _ended(self, broken: Broken, deadline: float) -> str:
        """Why there was no answer, once the child is no more."""
        process = self._process
        with contextlib.suppress(subprocess.TimeoutExpired):
            # A pipe closes a moment before its process can be waited for.
            if process is not None and "ended" in str(broken):
                process.wait(1.0)
        status = None if process is None else process.poll()
        self._end()
        self._deaths += 1
        if status is None:
            return f"did not answer within {deadline:g} s" if "in time" in str(broken) else str(broken)
        if status < 0:
            return f"its process was ended by {_signal_name(-status)}"
        return f"its process ended with code {status}"

    def _end(self) -> None:
        process, self._process = self._process, None
        channel, self._channel = self._channel, None
        if process is not None:
            _kill_group(process)
            process.wait()
        if channel is not None:
            channel.close()


def _kill_group(process: subprocess.Popen[bytes] | None) -> None:
    """The whole group, because a plugin may have started programs of its own."""
    if process is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _written(section: Any) -> Any:
    """A section for the child: text that came from a variable is marked, because it may stand for a list."""
    from ffe_core.settings.sources import VariableText

    if isinstance(section, Mapping):
        return {str(key): _written(value) for key, value in section.items()}
    if isinstance(section, list | tuple):
        return [_written(value) for value in section]
    return {"$variable": str(section)} if isinstance(section, VariableText) else section


def _raised(error: Mapping[str, Any]) -> Exception:
    """The error that the child named, if it is one of ours; a plugin's own failure is told as an answer gone wrong."""
    kind = getattr(errors, str(error.get("kind")), None)
    message, hint = str(error.get("message")), error.get("hint")
    if not (isinstance(kind, type) and issubclass(kind, FfeError)) or issubclass(kind, PluginError):
        return BadAnswer(message)
    made = error_of(kind, message, None if hint is None else str(hint))
    if isinstance(made, ProviderFailed):
        made.prompt, made.reply = error.get("prompt"), error.get("reply")
    return made


# the plugin's objects, from here


class Remote:
    """An object of the plugin, known by kind and name. Behind the same guard as one that lives here."""

    def __init__(self, worker: Worker, guard: Guard, kind: str, name: str) -> None:
        self._worker = worker
        self._guard = guard
        self._kind = kind
        self.name = name

    def _call(self, method: Callable[..., Any], *args: Any, deadline: float, **kwargs: Any) -> Any:
        signature, hints = signature_of(method)
        given = dict(signature.bind(self, *args, **kwargs).arguments)
        del given["self"]
        request = {
            "kind": self._kind,
            "name": self.name,
            "method": method.__name__,
            "arguments": {name: encode(value) for name, value in given.items()},
        }
        return _decoded(hints["return"], self._worker.ask(request, deadline=deadline))


class RemoteSource(Remote):
    def serves(self, asset: Asset) -> bool:
        return cast("bool", self._ask(DataSource.serves, asset))

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        return cast("Candles", self._ask(DataSource.candles, asset, timeframe, start=start, end=end, limit=limit))

    def quote(self, asset: Asset) -> Quote:
        return cast("Quote", self._ask(QuoteSource.quote, asset))

    def news(self, asset: Asset, since: datetime, until: datetime) -> Sequence[Note]:
        return cast("Sequence[Note]", self._ask(NewsSource.news, asset, since, until))

    def macro(self, until: datetime) -> Sequence[Note]:
        return cast("Sequence[Note]", self._ask(MacroSource.macro, until))

    def holdings(self) -> Sequence[Holding]:
        return cast("Sequence[Holding]", self._ask(Catalogued.holdings))

    def _ask(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._call(method, *args, deadline=self._guard.patience, **kwargs)


class RemoteProvider(Remote):
    model: str
    local: bool
    cutoff: date | None
    per_minute: int | None
    per_day: int | None

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        deadline = timeout + GRACE
        return cast("Opinion", self._call(AIProvider.ask, briefing, timeout=timeout, deadline=deadline))

    def check(self, *, timeout: float) -> Readiness:
        return cast("Readiness", self._call(CheckedProvider.check, timeout=timeout, deadline=timeout + GRACE))


class RemoteRule(Remote):
    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        return cast("Ruling", self._call(RiskRule.check, proposal, context, deadline=self._guard.deadline))


REMOTES: dict[str, type[Remote]] = {"source": RemoteSource, "provider": RemoteProvider, "rule": RemoteRule}
#: what hooks answer; events answer nothing
ANSWERS: dict[str, Any] = {"ffe_brief": tuple[Note, ...], "ffe_indicators": dict[str, float]}


def remote_hook(worker: Worker, guard: Guard, hook: str) -> Callable[..., Any]:
    def called(**facts: Any) -> Any:
        request = {"hook": hook, "facts": {name: encode(value) for name, value in facts.items()}}
        answer = worker.ask(request, deadline=guard.deadline)
        return _decoded(ANSWERS[hook], answer) if hook in ANSWERS else None

    return called


def remote_offer(worker: Worker, guard: Guard, offered: Mapping[str, Any]) -> tuple[str, str, Offer[Any]]:
    """Kind, name and offer of one object that the child described."""
    kind, name = str(offered["kind"]), str(offered["name"])
    bare = REMOTES[kind](worker, guard, kind, name)
    if isinstance(bare, RemoteProvider):
        bare.model, bare.local = str(offered["model"]), bool(offered["local"])
        bare.per_minute, bare.per_day = offered["per_minute"], offered["per_day"]
        bare.cutoff = None if offered["cutoff"] is None else date.fromisoformat(offered["cutoff"])
    able = frozenset(map(str, offered["capabilities"]))
    return kind, name, Offer(guard.plugin, guarded(kind, bare, guard, name, able), able)


def _decoded(kind: Any, answer: Any) -> Any:
    try:
        return decode(kind, answer)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"answered what cannot be read: {error}") from error
