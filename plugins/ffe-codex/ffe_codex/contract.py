"""How to make the provider without settings, network or Codex, for ffe's contract."""

from __future__ import annotations

from pydantic import SecretStr

from ffe_codex import INSTALL
from ffe_codex.api import Codex
from ffe_codex.settings import CodexSettings
from ffe_core import PluginContext
from ffe_core.testing import CommandProviderContract

KEY = "sk-contract-0123456789"

SPEECH = """
if sys.argv[1:3] == ["login", "status"]:
    print("Logged in using an API key")
elif sys.argv[1:3] == ["features", "list"]:
    print("apps  stable  true\\nshell_tool  stable  true\\nunified_exec  stable  true")
else:
    for event in (
        {"type": "thread.started", "thread_id": "t"},
        {"type": "item.completed", "item": {"id": "0", "type": "error", "message": "metadata not found"}},
        {"type": "turn.started"},
        {"type": "item.completed", "item": {"id": "1", "type": "agent_message", "text": said}},
        {"type": "turn.completed", "usage": {"input_tokens": 730, "output_tokens": 41}},
    ):
        print(json.dumps(event))
"""


def make(command: str, context: PluginContext) -> Codex:
    return Codex.of(CodexSettings(command=command, api_key=SecretStr(KEY)), context, install=INSTALL)


class Asked(CommandProviderContract):
    by = staticmethod(make)
    speech = SPEECH
    secrets = (KEY,)
