"""How to make the provider without settings or a key, for ffe's contract: in front of a stand-in on loopback."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from pydantic import SecretStr

from ffe_core.testing import AIProviderContract, make_context
from ffe_core.testing.loopback import Canned
from ffe_gemini.provider import Gemini
from ffe_gemini.settings import GeminiSettings
from ffe_gemini.standin import DECISION, KEY, GeminiStandIn, refused


@cache
def _server(kind: str) -> GeminiStandIn:
    """One of each is enough for all checks; they end with the process."""
    usual: dict[str, str | Canned] = {
        "well": DECISION,
        "failing": refused(400, "FAILED_PRECONDITION", f"User location is not supported. Key {KEY}."),
        "slow": Canned(delay=10.0),
    }
    return GeminiStandIn(usual=usual[kind])


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="ffe-gemini-", ignore_cleanup_errors=True)


def _provider(kind: str) -> Gemini:
    settings = GeminiSettings(base_url=_server(kind).base_url, api_key=SecretStr(KEY))
    return Gemini(settings, make_context(Path(_folder().name), "gemini"))


def make() -> Gemini:
    return _provider("well")


def make_failing() -> Gemini:
    return _provider("failing")


def make_slow() -> Gemini:
    return _provider("slow")


class Kept(AIProviderContract):
    factory = staticmethod(make)
    failing = staticmethod(make_failing)
    slow = staticmethod(make_slow)
    secrets = (KEY,)
