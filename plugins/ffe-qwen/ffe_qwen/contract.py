"""How to make the provider without settings, network or Qwen Code, for ffe's contract."""

from __future__ import annotations

from pydantic import SecretStr

from ffe_core import PluginContext
from ffe_core.testing import CommandProviderContract
from ffe_qwen import INSTALL
from ffe_qwen.api import Qwen
from ffe_qwen.settings import QwenSettings

KEY = "sk-contract-0123456789"

SPEECH = """
usage = {"input_tokens": 230, "output_tokens": 41, "total_tokens": 271}
print(json.dumps([
    {"type": "system", "subtype": "init", "tools": [], "model": "m"},
    {"type": "assistant", "message": {"content": [{"type": "text", "text": said}], "usage": usage}},
    {"type": "result", "subtype": "success", "is_error": False, "result": said, "usage": usage},
]))
"""


def make(command: str, context: PluginContext) -> Qwen:
    return Qwen.of(QwenSettings(command=command, api_key=SecretStr(KEY)), context, install=INSTALL)


class Asked(CommandProviderContract):
    by = staticmethod(make)
    speech = SPEECH
    secrets = (KEY,)
