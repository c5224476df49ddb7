"""The network, and nothing else: the Gemini API through ffe's door, its errors in our words."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from ffe_core import BadStatus, HttpError, ModelAnswer, NotConfigured, ProviderFailed, Readiness, SettingsError
from ffe_core.http import Door, Doors
from ffe_gemini.parse import Complaint, parse_answer, parse_complaint, wait_asked
from ffe_gemini.settings import GeminiSettings


class SchemaRefused(ProviderFailed):
    """The API does not take a member of the question, most likely a word of the schema."""


class SpentForTheDay(ProviderFailed):
    """There are no more questions today."""


@dataclass(slots=True)
class Api:
    """``POST /models/MODEL:generateContent`` and ``GET /models/MODEL``; the door opens with the first call."""

    settings: GeminiSettings
    doors: Doors
    _door: Door | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, *, timeout: float) -> Readiness:
        """Whether the API knows key and model, which spends nothing."""
        try:
            door = self._open()
            door.get(f"/{quote(self._model)}", timeout=timeout).json()
        except BadStatus as error:
            failed = self._refused(error, door)
            told = Readiness(detail=failed.message, hint=failed.hint)
            if error.status == 404:
                return replace(told, signed_in=True, reachable=True, model_there=False)
            # A bad key is a bad request here, and so is a place where the API is not on offer.
            if error.status in (400, 401, 403):
                return replace(told, signed_in=False, reachable=True)
            return replace(told, reachable=False)
        except NotConfigured as error:
            return Readiness(signed_in=False, detail=error.message, hint=error.hint)
        except (HttpError, SettingsError) as error:
            hint = error.hint or "see plugins.gemini.base_url"
            return Readiness(reachable=False, detail=error.message, hint=hint)
        found = f"{self.settings.model} at {door.base_url}"
        return Readiness(signed_in=True, reachable=True, model_there=True, detail=found)

    @property
    def _model(self) -> str:
        return self.settings.model if "/" in self.settings.model else f"models/{self.settings.model}"

    def generate(self, request: Mapping[str, Any], *, timeout: float) -> ModelAnswer:
        """One whole answer. Raises ``ProviderFailed``, and ``NotConfigured`` without a key."""
        door = self._open()
        try:
            # Asking twice acts once: an answer is an opinion and no order.
            reply = door.post(f"/{quote(self._model)}:generateContent", request, timeout=timeout, repeatable=True)
            return parse_answer(reply.json())
        except BadStatus as error:
            raise self._refused(error, door) from error
        except HttpError as error:
            raise ProviderFailed(error.message, hint=error.hint) from error

    def _refused(self, error: BadStatus, door: Door) -> ProviderFailed:
        complaint = _complaint(error)
        said = door.redact(complaint.message) or f"status {error.status}"
        if "API_KEY_INVALID" in complaint.reasons or "API key not valid" in complaint.message:
            return ProviderFailed(
                "the API does not know the key in plugins.gemini.api_key", hint="was it copied whole, or revoked?"
            )
        if error.status in (401, 403):
            return ProviderFailed(
                f"the key in plugins.gemini.api_key may not be used for this: {said}",
                hint="see its restrictions in Google AI Studio",
            )
        if error.status == 404:
            return ProviderFailed(
                f"the API has no model {self.settings.model!r}: {said}", hint="set plugins.gemini.model to one it has"
            )
        if error.status == 429 and complaint.is_for_the_day:
            return SpentForTheDay(f"today's questions to {self.settings.model} are spent: {said}")
        if error.status == 400 and complaint.status == "INVALID_ARGUMENT" and complaint.names_a_field:
            return SchemaRefused(f"the API does not take the question: {said}")
        if complaint.message:
            return ProviderFailed(f"the API answered {error.status} {complaint.status}: {said}")
        return ProviderFailed(error.message)

    def _open(self) -> Door:
        with self._lock:
            if self._door is None:
                key = self.settings.key
                if not key:
                    raise NotConfigured("plugins.gemini.api_key is not set", hint="put GEMINI_API_KEY=... into .env")
                opened = self.doors(
                    self.settings.base_url,
                    timeout=self.settings.timeout,
                    ca_file=self.settings.ca_file,
                    # In a header: an address ends up in logs and proxies.
                    headers={"x-goog-api-key": key},
                    wait_asked=lambda error: _wait(error, opened),
                )
                self._door = opened
            return self._door


def _complaint(error: BadStatus) -> Complaint:
    return parse_complaint(error.reply.body) if error.reply else Complaint()


def _wait(error: BadStatus, door: Door) -> float | None:
    told = wait_asked(_complaint(error))
    return door.retry_after(error) if told is None else told
