"""Calls into code that is not ours: contained, under a deadline, and answered for by name.

A thread holds whatever Python can raise and lets a hanging call be left behind; it cannot stop a process that is
ended or crashed from inside. That takes a process of its own: see ``ffe_core.plugins.isolation``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, NamedTuple, cast

from ffe_core.domain.text import clean
from ffe_core.domain.threads import start
from ffe_core.errors import FfeError, PluginError, ProviderFailed

LINE_LENGTH = 300
#: characters of a prompt, and of the reply to it, that an error may carry; what is cut stays too long to be read
QUOTED_LENGTH = (1 << 20) + 1
SECRET_LENGTH = 6


class BadAnswer(Exception):
    """What came back is not what the port promises; the text says how."""


class _Failure(NamedTuple):
    error: BaseException
    text: str
    #: the prompt and the reply that a provider refused
    quoted: tuple[str | None, str | None] = (None, None)


def _contained[T](function: Callable[[], T]) -> T | _Failure:
    try:
        return function()
    except BaseException as error:  # noqa: BLE001 - a plugin's SystemExit must not end the run
        return _Failure(error, describe(error), _quoted(error))


def describe(error: BaseException) -> str:
    """What happened, in words; never raises, whatever the exception's own ``__str__`` does."""
    kind = type(error).__name__
    try:
        text = error.message if isinstance(error, FfeError) else str(error)
    except BaseException:  # noqa: BLE001 - __str__ is the plugin's code too
        text = ""
    if isinstance(error, FfeError | BadAnswer):
        return text or kind
    if isinstance(error, SystemExit):
        return f"tried to end the process with code {text or 0}"
    return f"{kind}: {text}" if text else kind


def _quoted(error: BaseException) -> tuple[str | None, str | None]:
    """What a provider says that it asked and was told; never raises, whatever the exception's own code does."""
    try:
        told = (error.prompt, error.reply) if isinstance(error, ProviderFailed) else (None, None)
    except BaseException:  # noqa: BLE001 - a property is the plugin's code too
        return None, None
    prompt, reply = (_text(each) for each in told)
    return prompt, reply


def _text(value: object) -> str | None:
    """A text that can be stored as it is. Half a surrogate pair has no bytes, and a reply that is mended lies."""
    if not isinstance(value, str):
        return None
    text = str(value)[:QUOTED_LENGTH]
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return text


def one_line(text: object, *, secrets: tuple[str, ...] = (), length: int = LINE_LENGTH) -> str:
    """Text that is safe to print: one line, no escape or control characters, no secret, at most ``length`` long."""
    # Ten megabytes of message are cut before the work, with room for what the cleaning takes out.
    known = str(text)[: 20 * length]
    for secret in secrets:
        known = known.replace(secret, "***")
    line = " ".join("".join(char for char in clean(known) if char.isprintable()).split())
    return line if len(line) <= length else f"{line[: length - 3]}..."


def secrets_in(section: object) -> tuple[str, ...]:
    """The texts of every secret that a plugin's settings hold, so that no failure line repeats one."""
    found: list[str] = []
    values = vars(section).values() if hasattr(section, "__dict__") else ()
    for value in values:
        reveal = getattr(value, "get_secret_value", None)
        if callable(reveal):
            secret = str(reveal())
            if len(secret) >= SECRET_LENGTH:
                found.append(secret)
        elif hasattr(value, "model_fields_set"):
            found.extend(secrets_in(value))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Guard:
    """Calls one plugin's code. ``deadline`` in seconds is a hook's; work that waits for a network has ``patience``.

    ``extra`` seconds are for an isolated plugin, whose process is killed at the deadline and may have to start anew.
    """

    plugin: str
    deadline: float
    secrets: tuple[str, ...] = ()
    extra: float = 0.0

    @property
    def patience(self) -> float:
        return self.deadline * 12

    def call[T](
        self,
        what: str,
        function: Callable[..., object],
        *args: Any,
        check: Callable[[Any], T],
        deadline: float | None = None,
        passing: tuple[type[Exception], ...] = (),
        failure: Callable[[str, str], Exception] = PluginError,
        **kwargs: Any,
    ) -> T:
        """What ``function`` answers, as ``check`` returns it.

        ``check`` runs under the same deadline, since looking at a strange object runs strange code. Errors of the
        types ``passing`` come through as they are, on one clean line; anything else becomes ``failure(plugin, line)``.
        """
        given = [private(argument) for argument in args]
        named = {name: private(argument) for name, argument in kwargs.items()}

        def work() -> T:
            return check(function(*given, **named))

        limit = (self.deadline if deadline is None else deadline) + self.extra
        try:
            outcome: T | _Failure = start(lambda: _contained(work), name=f"ffe {self.plugin} {what}").result(limit)
        except TimeoutError:
            raise failure(self.plugin, f"{what} did not answer within {limit:g} s") from None
        except RuntimeError as error:
            # No more threads, or none any more because the process is ending.
            raise failure(self.plugin, f"{what}: {error}") from error
        if not isinstance(outcome, _Failure):
            return outcome
        if isinstance(outcome.error, passing):
            raise self._cleaned(outcome, passing) from outcome.error
        raise failure(self.plugin, f"{what}: {self.line(outcome.text)}") from outcome.error

    def line(self, text: object) -> str:
        return one_line(text, secrets=self.secrets)

    def _blanked(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text

    def _cleaned(self, outcome: _Failure, passing: tuple[type[Exception], ...]) -> Exception:
        error = outcome.error
        if isinstance(error, FfeError):
            hint = None if error.hint is None else self.line(error.hint)
            made = error_of(type(error), self.line(outcome.text), hint)
            if isinstance(made, ProviderFailed):
                made.prompt, made.reply = (None if text is None else self._blanked(text) for text in outcome.quoted)
            return made
        kind = next(kind for kind in passing if isinstance(error, kind))
        return kind(self.line(outcome.text.removeprefix(f"{kind.__name__}: ")))


def error_of(kind: type[FfeError], text: str, hint: str | None) -> FfeError:
    """An error of the nearest kind that is not the plugin's own class, since nobody else can catch that."""
    ours = [base for base in kind.__mro__ if issubclass(base, FfeError) and base.__module__ == FfeError.__module__]
    made = ours[0].__new__(ours[0])
    # UnknownName and PluginError compose their message from other arguments; here it is already composed.
    FfeError.__init__(made, text, hint=hint)
    return made


def call[T](plugin: str, what: str, function: Callable[..., T], *args: Any, deadline: float, **kwargs: Any) -> T:
    """One guarded call; raises ``PluginError`` naming ``plugin`` and ``what`` for anything but an answer in time."""
    answer: T = Guard(plugin, deadline).call(what, function, *args, check=as_it_is, **kwargs)
    return answer


def as_it_is(answer: Any) -> Any:
    """The check of an answer that its caller examines."""
    return answer


_ATOMS = (str, int, float, bool, bytes, Decimal, date, timedelta, Enum, type(None))


_COPIED = frozenset(
    ("ffe_core.ports", *(f"ffe_core.domain.{name}" for name in ("assets", "decisions", "events", "market", "trading")))
)


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def private(value: Any) -> Any:
    """A copy that its reader may change without anybody else noticing.

    Our dataclasses and containers are made anew all the way down; numbers, texts and instants cannot change and are
    shared, and so are the buffers of candles, which are read-only. Other objects, such as a series that remembers
    its indicators, pass as they are.
    """
    if isinstance(value, _ATOMS):
        return value
    if is_dataclass(value) and type(value).__module__ in _COPIED:
        return _rebuilt(value)
    if isinstance(value, Mapping):
        return {key: private(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(private(item) for item in value)
    if isinstance(value, list):
        return [private(item) for item in value]
    if isinstance(value, set | frozenset):
        return type(value)(value)
    return value


def _rebuilt(value: Any) -> Any:
    made = object.__new__(type(value))
    for name in _names(cast("Any", type(value))):
        object.__setattr__(made, name, private(getattr(value, name)))
    return made
