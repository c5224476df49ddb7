"""How to make the provider without settings or a model, for ffe's contract: in front of a stand-in on loopback."""

from __future__ import annotations

from functools import cache

from ffe_core.http import Doors
from ffe_core.testing import AIProviderContract
from ffe_core.testing.loopback import Canned
from ffe_ollama.provider import Ollama
from ffe_ollama.settings import OllamaSettings
from ffe_ollama.standin import DECISION, MODEL, OllamaStandIn, refused


@cache
def _server(kind: str) -> OllamaStandIn:
    """One of each is enough for all checks; they end with the process."""
    usual: dict[str, str | Canned] = {
        "well": DECISION,
        "failing": refused(500, "llama runner process has terminated: exit status 2"),
        "slow": Canned(delay=10.0),
    }
    return OllamaStandIn(usual=usual[kind])


def _provider(kind: str) -> Ollama:
    return Ollama(OllamaSettings(host=_server(kind).url, model=MODEL), Doors("ollama"))


def make() -> Ollama:
    return _provider("well")


def make_failing() -> Ollama:
    return _provider("failing")


def make_slow() -> Ollama:
    return _provider("slow")


class Kept(AIProviderContract):
    factory = staticmethod(make)
    failing = staticmethod(make_failing)
    slow = staticmethod(make_slow)
