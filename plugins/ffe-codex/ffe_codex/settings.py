"""The section ``plugins.codex``."""

from __future__ import annotations

from pydantic import Field, SecretStr

from ffe_core import ToolSettings


class CodexSettings(ToolSettings):
    """How Codex is asked."""

    command: str = Field(default="codex", min_length=1, description="name or file of the tool")
    timeout: float = Field(default=60.0, gt=0, le=3600, description="seconds that one question may take")
    api_key: SecretStr | None = Field(default=None, description="key of OpenAI or of base_url; unset: its own sign-in")
