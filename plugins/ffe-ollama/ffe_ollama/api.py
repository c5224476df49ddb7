"""The network, and nothing else: Ollama's REST API through ffe's door, its errors in our words."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ffe_core import BadStatus, HttpError, NotReached, ProviderFailed, SettingsError
from ffe_core.http import Door, Doors
from ffe_ollama.parse import Answer, parse_answer, parse_error, parse_models, parse_version, parse_window
from ffe_ollama.settings import OllamaSettings

PORT = 11434
#: Ollama is on this machine: what cannot be had at once is mended by a person, not by patience
RETRIES, BACKOFF = 1, 0.25
#: seconds for what is answered from memory
PROMPTLY = 3.0


class ThinkingRefused(ProviderFailed):
    """The model cannot think, and says so when it is told to."""


@dataclass(slots=True)
class Api:
    """``POST /api/chat``, ``GET /api/tags /api/ps /api/version``; the door opens with the first call."""

    settings: OllamaSettings
    doors: Doors
    _door: Door | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def chat(self, request: Mapping[str, Any], *, timeout: float) -> Answer:
        """One whole answer. Raises ``ProviderFailed``."""
        return parse_answer(self._call("POST", "/api/chat", timeout, json=request))

    def version(self, *, timeout: float) -> str:
        """What Ollama says it is. Raises ``ProviderFailed``."""
        return parse_version(self._call("GET", "/api/version", min(timeout, PROMPTLY)))

    def models(self, *, timeout: float) -> Sequence[str]:
        """Names of the models that are installed. Raises ``ProviderFailed``."""
        return parse_models(self._call("GET", "/api/tags", min(timeout, PROMPTLY)))

    def window(self, model: str, *, timeout: float) -> int | None:
        """Tokens of context that ``model`` is loaded with; ``None`` where Ollama does not say."""
        try:
            return parse_window(self._call("GET", "/api/ps", min(timeout, PROMPTLY)), model)
        except ProviderFailed:
            return None

    def _call(self, method: str, path: str, timeout: float, *, json: Mapping[str, Any] | None = None) -> Any:
        door = self._open()
        try:
            # Asking twice acts once: an answer is an opinion and no order.
            return door.request(method, path, json=json, timeout=timeout, repeatable=True).json()
        except BadStatus as error:
            raise self._refused(error, str((json or {}).get("model", ""))) from error
        except NotReached as error:
            raise ProviderFailed(f"Ollama cannot be reached: {error.message}", hint="start it: ollama serve") from error
        except HttpError as error:
            raise ProviderFailed(error.message, hint=error.hint) from error

    def _refused(self, error: BadStatus, model: str) -> ProviderFailed:
        said = self._open().redact(parse_error(error.reply.body)) if error.reply else ""
        told = said.casefold()
        if error.status == 404 and "model" in told:
            return ProviderFailed(
                f"Ollama has no model {model!r}: ollama pull {model}", hint="plugins.ollama.model names another"
            )
        if error.status == 404:
            return ProviderFailed(
                f"what answers at {self._open().base_url} is not Ollama", hint="see plugins.ollama.host"
            )
        if error.status == 400 and "does not support thinking" in told:
            return ThinkingRefused(said)
        if error.status == 400 and "context length" in told:
            return ProviderFailed(
                f"the question is longer than the model's context: {said}",
                hint="raise plugins.ollama.num_ctx or lower plugins.ollama.num_prompt",
            )
        if error.status in (401, 403):
            return ProviderFailed(
                f"Ollama is not signed in for {model!r}: ollama signin", hint="models ending in cloud run elsewhere"
            )
        return ProviderFailed(f"Ollama answered {error.status}: {said}" if said else error.message)

    def _open(self) -> Door:
        with self._lock:
            if self._door is None:
                try:
                    self._door = self.doors(
                        base_url(self.settings.host),
                        timeout=self.settings.timeout,
                        ca_file=self.settings.ca_file,
                        allow_http=self.settings.allow_http,
                        retries=RETRIES,
                        backoff=BACKOFF,
                    )
                except SettingsError as error:
                    # The door calls every address base_url; here it has the name that Ollama gives it.
                    told = error.message.replace("ollama.base_url", "ollama.host")
                    raise SettingsError(told, hint=error.hint) from error
            return self._door


def base_url(host: str) -> str:
    """``host`` as Ollama reads its own ``OLLAMA_HOST``: scheme and port may be missing, and every address is ours.

    >>> base_url("0.0.0.0"), base_url("https://models.example")
    ('http://127.0.0.1:11434', 'https://models.example:443')
    """
    scheme, separator, rest = host.strip().rpartition("://")
    port = {"http": "80", "https": "443"}.get(scheme, "") if separator else str(PORT)
    address, slash, path = rest.partition("/")
    name, given = _name_and_port(address)
    # An address that a server listens on everywhere is not one to connect to.
    name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)  # noqa: S104 - replaced
    bracketed = f"[{name}]" if ":" in name else name
    return f"{scheme or 'http'}://{bracketed}:{given or port}{slash}{path}".rstrip("/")


def _name_and_port(address: str) -> tuple[str, str]:
    if address.startswith("["):
        name, _, port = address[1:].partition("]")
        return name, port.removeprefix(":")
    if address.count(":") > 1:
        return address, ""
    name, _, port = address.partition(":")
    return name, port
