"""A server that speaks like OpenAI's, looked at without asking a model: tools can be pointed at one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ffe_core.domain.text import clean
from ffe_core.errors import BadStatus, HttpError, SettingsError
from ffe_core.ports import Readiness

if TYPE_CHECKING:
    from ffe_core.ai.settings import ToolSettings
    from ffe_core.http import Doors

_MOST_NAMES, _MOST_LENGTH = 5, 120


def look_at_server(seen: Readiness, plugin: str, settings: ToolSettings, doors: Doors, *, timeout: float) -> Readiness:
    """``seen`` with what ``GET base_url/models`` tells: whether it answers, takes the key and has the model."""
    try:
        return _looked(seen, plugin, settings, _models(settings, doors, timeout))
    except BadStatus as error:
        if error.status in (401, 403):
            told = f"{seen.detail}; {settings.base_url} does not accept the key ({error.status})"
            hint = f"check plugins.{plugin}.api_key"
            return replace(seen, signed_in=False, reachable=True, detail=told, hint=hint)
        if error.status in (404, 405):
            # It need not list its models to answer for them.
            return replace(seen, reachable=True, detail=f"{seen.detail}; {settings.base_url} lists no models")
        return _silent(seen, plugin, error.message)
    except (HttpError, SettingsError) as error:
        return _silent(seen, plugin, error.message)


def _models(settings: ToolSettings, doors: Doors, timeout: float) -> Any:
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = settings.base_url or ""
    with doors(url, timeout=timeout, headers=headers, ca_file=settings.ca_file, retries=0) as door:
        return door.get("/models").json()


def _looked(seen: Readiness, plugin: str, settings: ToolSettings, body: Any) -> Readiness:
    listed = body.get("data") if isinstance(body, dict) else None
    cards = [card for card in listed if isinstance(card, dict)] if isinstance(listed, list) else []
    names = sorted(clean(card.get("id"))[:_MOST_LENGTH] for card in cards)
    found = replace(seen, signed_in=True, reachable=True, detail=f"{seen.detail}; {settings.base_url} answers")
    if not names:
        return found
    if settings.model in names:
        return replace(found, model_there=True)
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return replace(
        found,
        model_there=False,
        detail=f"{seen.detail}; {settings.base_url} has no model {settings.model}",
        hint=f"set plugins.{plugin}.model to one that it has: {', '.join(names[:_MOST_NAMES])}{more}",
    )


def _silent(seen: Readiness, plugin: str, why: str) -> Readiness:
    hint = f"is it running? see plugins.{plugin}.base_url"
    return replace(seen, reachable=False, detail=f"{seen.detail}; {why}", hint=hint)
