"""Every error that ffe raises on purpose, one class per thing a caller can do about it.

FfeError                        exit 1   the operation failed
├── UsageError                  exit 2   the caller asked for something that cannot be
│   ├── UnknownName             exit 2   a name that nothing answers to, with the nearest one
│   └── SettingsError           exit 2   a setting is wrong: key path, where it came from, what to do
│       └── NotConfigured       exit 2   a key that is needed now was never set
├── DataError                   exit 1   market data could not be had or trusted
│   ├── NoData                  exit 1   a source has nothing for this asset, timeframe or span
│   ├── BadData                 exit 1   input that is refused rather than guessed at
│   └── SourceFailed            exit 1   a source broke, timed out or lied
├── PluginError                 exit 1   a plugin raised, hung, exited or answered garbage
│   └── RequiredPluginFailed    exit 2   ... and this run cannot do without it
├── HttpError                   exit 1   a call over the network did not bring what was asked for
│   ├── NotReached              exit 1   ... and nothing was sent: the other side did nothing
│   ├── NoAnswer                exit 1   ... and no whole answer came: the other side may have acted
│   ├── BadStatus               exit 1   ... and the answer was an error status
│   └── BadReply                exit 1   ... and the answer is not what was asked for
├── CircuitOpen                 exit 1   a service failed too often and is left alone for a while
├── RateLimited                 exit 1   one more call now would be more than a service allows
├── ProviderFailed              exit 1   an AI provider gave no usable opinion: an abstention, never a vote
├── PlatformError               exit 1   a venue did not do what was asked
│   ├── Refused                 exit 1   ... and said so: the order does not exist
│   └── Unknown                 exit 1   ... and nobody knows yet: the order may exist
├── SafetyRefusal               exit 3   vetoed, halted, not armed, signal-only, expired, duplicate
├── CassetteMiss                exit 4   a replay needed an answer that was never recorded
├── VerificationFailed          exit 6   a chain, a replay or a look-ahead check did not hold
├── BudgetSpent                 exit 7   the next call would cost more than is left
└── StoreError                  exit 1   the database could not be read or written
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ffe_core.http import Reply

#: names that an error lists in full
MOST_NAMES = 30


class FfeError(Exception):
    """The operation failed; ``str(error)`` is one line, ``hint`` says what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive BaseException's own pickling between worker processes.
        return _rebuild, (type(self), self.message, self.hint)


def _rebuild(kind: type[FfeError], message: str, hint: str | None) -> FfeError:
    error = kind.__new__(kind)
    FfeError.__init__(error, message, hint=hint)
    return error


class UsageError(FfeError):
    exit_code = 2


class UnknownName(UsageError):
    """``kind`` (such as ``provider``) has no ``name``; the message names the nearest, the hint what there is."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        import difflib

        names = sorted(set(known))
        close = difflib.get_close_matches(name, names, n=1)
        guess = f"; did you mean {close[0]}?" if close else ""
        listed = f"available: {', '.join(names) if names else 'none'}"
        if len(names) > MOST_NAMES:
            # One line is to be read: of many names the nearest will do.
            listed = f"nearest: {', '.join(difflib.get_close_matches(name, names, n=5, cutoff=0))}"
        super().__init__(f"unknown {kind} {name!r}{guess}", hint=listed)


class SettingsError(UsageError):
    pass


class NotConfigured(SettingsError):
    pass


class DataError(FfeError):
    pass


class NoData(DataError):
    pass


class BadData(DataError):
    pass


class SourceFailed(DataError):
    pass


class PluginError(FfeError):
    """``plugin`` is the entry point's name, so that one line names the culprit."""

    def __init__(self, plugin: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"plugin {plugin}: {message}", hint=hint)
        self.plugin = plugin


class RequiredPluginFailed(PluginError):
    exit_code = 2


class HttpError(FfeError):
    """``retryable``: the same call may well work in a moment; says nothing on whether repeating it is harmless."""

    retryable = False


class NotReached(HttpError):
    pass


class NoAnswer(HttpError):
    pass


class BadStatus(HttpError):
    """``status`` is not of the 200s. ``reply`` is the whole answer, ``retry_after`` the wait that it asks for (s)."""

    status = 0
    reply: Reply | None = None
    retry_after: float | None = None


class BadReply(HttpError):
    pass


class CircuitOpen(FfeError):
    pass


class RateLimited(FfeError):
    """``wait``: seconds until a call is allowed again."""

    wait = 0.0


class ProviderFailed(FfeError):
    """``prompt`` and ``reply``: what a model was asked and what it said, where that could not be read."""

    prompt: str | None = None
    reply: str | None = None


class PlatformError(FfeError):
    pass


class Refused(PlatformError):
    pass


class Unknown(PlatformError):
    pass


class SafetyRefusal(FfeError):
    exit_code = 3


class CassetteMiss(FfeError):
    exit_code = 4


class VerificationFailed(FfeError):
    exit_code = 6


class BudgetSpent(FfeError):
    exit_code = 7


class StoreError(FfeError):
    pass
