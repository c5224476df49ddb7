"""Logs on standard error, for people or as JSON lines, in which no secret appears.

Everything in ffe logs through the standard library's ``logging``, and a record is rendered by structlog, which is
imported when there is something to render. Secrets are blanked twice: fields by their name, and registered values
wherever they occur.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, override

from ffe_core.domain.text import clean

if TYPE_CHECKING:
    from structlog.stdlib import ProcessorFormatter

type Form = Literal["console", "json"]

BLANK = "********"
#: Loggers that follow ``log.level``; those of libraries speak up from WARNING.
OWN = ("ffe", "ffe_core")

_SECRET_NAMES = re.compile(
    r"api[_-]?key|secret|token|(?:^|[_-])pass(?:word|phrase|wd)?$|password|authorization|credential|private[_-]?key"
    r"|access[_-]?key|cookie|signature|account[_-]?id|e-?mail",
    re.IGNORECASE,
)
# Counts of a language model's tokens are no secret.
_NO_SECRETS = re.compile(r"^(?:max_)?tokens(?:_\w+)?$|^token_count$", re.IGNORECASE)
_PARAMETER = r"(?:api[_-]?key|access[_-]?token|token|api[_-]?secret|secret|password|passphrase|signature)"
#: What carries a secret wherever it stands: a query, a JSON body, a header, the user part of a URL. Most runs have
#: nothing to tell, so these are compiled by the first line.
_CARRIERS = [
    rf"(?i)([?&]{_PARAMETER}=)[^\s&\"'<>]+",
    rf"(?i)([\"']{_PARAMETER}[\"']\s*:\s*[\"'])[^\"']+",
    r"(?i)(\bauthorization[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic|token)\s+)?)[^\s\"',}]+",
    r"(?i)(\bbearer\s+)[A-Za-z0-9._~+/=-]{16,}",
    r"(?i)(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)",
]
#: A shorter value would blank ordinary words.
_SHORTEST = 6

_secrets: set[str] = set()
_lock = threading.Lock()


def register_secret(value: str) -> None:
    """From now on ``value`` is blanked in every log line, error line and traceback of this process."""
    if len(value) >= _SHORTEST:
        with _lock:
            _secrets.add(value)
            # As a URL, JSON and a Python literal spell it
            import json
            from urllib.parse import quote

            _secrets.update({quote(value, safe=""), json.dumps(value)[1:-1], value.encode("unicode_escape").decode()})


def register_secrets(settings: object) -> None:
    """Registers every ``SecretStr`` of a settings model and of the mappings and lists within it."""
    for value in _secrets_within(settings):
        register_secret(value)


def _secrets_within(value: Any) -> Iterable[str]:
    reveal = getattr(value, "get_secret_value", None)
    if callable(reveal):
        yield str(reveal())
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if isinstance(item, str) and is_secret_name(str(name)):
                yield item
            else:
                yield from _secrets_within(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _secrets_within(item)
    elif hasattr(type(value), "model_fields"):
        for name in type(value).model_fields:
            yield from _secrets_within({name: getattr(value, name)})
        yield from _secrets_within(getattr(value, "model_extra", None) or {})


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds what nobody should read."""
    return _SECRET_NAMES.search(name) is not None and _NO_SECRETS.search(name) is None


def redact(text: str) -> str:
    """``text`` with every registered secret blanked, and what looks like one in a header, a query or a URL."""
    for secret in sorted(_secrets, key=len, reverse=True):
        if secret in text:
            text = text.replace(secret, BLANK)
    for carrier in _CARRIERS:
        text = re.sub(carrier, rf"\g<1>{BLANK}", text)
    return text


def redact_fields(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor: blanks fields by name and values by content, at every depth."""
    for name, value in event.items():
        if name == "exception":
            event[name] = clean(redact(str(value)), lines=True)
        else:
            event[name] = BLANK if is_secret_name(name) and value is not None else _redacted(value)
    return event


def _redacted(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(k): BLANK if is_secret_name(str(k)) and v is not None else _redacted(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(item) for item in value]
    # One record is one line: what a stranger wrote must not look like a record of its own.
    return clean(redact(str(value)).replace("\r", "\\r").replace("\n", "\\n"))


class _Formatter(logging.Formatter):
    """structlog's rendering; the library is imported when the first record is."""

    def __init__(self, form: Form, *, tracebacks: bool) -> None:
        super().__init__()
        self._form = form
        self._tracebacks = tracebacks
        self._renderer: ProcessorFormatter | None = None

    @override
    def format(self, record: logging.LogRecord) -> str:
        if self._renderer is None:
            self._renderer = self._build()
        return self._renderer.format(record)

    def _build(self) -> ProcessorFormatter:
        import structlog

        shared: list[Any] = [
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if self._tracebacks else _name_the_error,
            redact_fields,
        ]
        to_text: Any = (
            structlog.processors.JSONRenderer(ensure_ascii=False)
            if self._form == "json"
            else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
        )
        # Plugins that use structlog themselves go the same way, or they would print past the redaction.
        structlog.configure(
            processors=[*shared[:-2], structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
        return structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared[:-2],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *shared[-2:], to_text],
        )


def _name_the_error(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A traceback is shown on demand only; what happened is always said."""
    raised = event.pop("exc_info", None)
    if raised is True:
        raised = sys.exc_info()
    error = raised[1] if isinstance(raised, tuple) else raised
    if isinstance(error, BaseException):
        event.setdefault("error", f"{type(error).__name__}: {error}")
    event.pop("stack_info", None)
    return event


class _Handler(logging.Handler):
    """Writes to what ``sys.stderr`` is at that moment; a stream that is gone is no reason to fail."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()


def configure(*, level: str = "WARNING", form: Form = "console") -> None:
    """Sends every record from ``level`` on to standard error. May be called again; the last call holds."""
    reset()
    verbose = level == "DEBUG"
    handler = _Handler()
    handler.setFormatter(_Formatter(form, tracebacks=verbose))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO if verbose else max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    for name in OWN:
        logging.getLogger(name).setLevel(level)


def reset() -> None:
    """Takes back what ``configure`` did, for programs that run a command within themselves."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(handler)
        root.setLevel(logging.WARNING)
        for name in OWN:
            logging.getLogger(name).setLevel(logging.NOTSET)
