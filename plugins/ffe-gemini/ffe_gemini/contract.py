"""How to make the provider without settings, key or tool, for ffe's contract.

In front of a stand-in on loopback, and with fake tools in place of Google's.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from pydantic import SecretStr

from ffe_core import PluginContext
from ffe_core.testing import AIProviderContract, CommandProviderContract, make_context
from ffe_core.testing.loopback import Canned
from ffe_gemini import INSTALL
from ffe_gemini.cli import GeminiTool
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


SPEECH = """
if sys.argv[1:] == ["--version"]:
    print("0.61.0")
else:
    tokens = {"input": 820, "prompt": 820, "candidates": 48, "total": 878, "cached": 0, "thoughts": 10, "tool": 0}
    api = {"totalRequests": 1, "totalErrors": 0, "totalLatencyMs": 84}
    stats = {"models": {"m": {"api": api, "tokens": tokens}}, "tools": {"totalCalls": 0}, "files": {}}
    sys.stderr.write("Warning: 256-color support not detected.\\nRipgrep is not available.\\n")
    print(json.dumps({"session_id": "s", "response": said, "stats": stats}, indent=2))
"""


def make_by_tool(command: str, context: PluginContext) -> GeminiTool:
    settings = GeminiSettings(transport="cli", command=command, api_key=SecretStr(KEY))
    return GeminiTool.of(settings, context, install=INSTALL)


class Asked(CommandProviderContract):
    by = staticmethod(make_by_tool)
    speech = SPEECH
    secrets = (KEY,)
