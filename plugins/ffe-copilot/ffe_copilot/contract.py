"""How to make the provider without settings, network or Copilot, for ffe's contract."""

from __future__ import annotations

from pydantic import SecretStr

from ffe_copilot import INSTALL
from ffe_copilot.api import Copilot
from ffe_copilot.settings import CopilotSettings
from ffe_core import PluginContext
from ffe_core.testing import CommandProviderContract

MADE_UP = "ghp_contract0123456789"

SPEECH = """
for event in (
    {"type": "session.info", "data": {"infoType": "configuration", "message": "Disabled tools: bash, view"}},
    {"type": "user.message", "data": {"content": asked}},
    {"type": "assistant.message", "data": {"model": "m", "content": said, "toolRequests": [], "outputTokens": 41}},
    {"type": "assistant.turn_end", "data": {"turnId": "0"}},
    {"type": "result", "exitCode": 0, "usage": {"premiumRequests": 1}},
):
    print(json.dumps(event))
"""


def make(command: str, context: PluginContext) -> Copilot:
    return Copilot.of(CopilotSettings(command=command, token=SecretStr(MADE_UP)), context, install=INSTALL)


class Asked(CommandProviderContract):
    by = staticmethod(make)
    speech = SPEECH
    secrets = (MADE_UP,)
