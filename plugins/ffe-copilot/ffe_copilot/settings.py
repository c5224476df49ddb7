"""The section ``plugins.copilot``."""

from __future__ import annotations

from pydantic import Field, SecretStr

from ffe_core import ToolSettings


class CopilotSettings(ToolSettings):
    """How Copilot is asked."""

    command: str = Field(default="copilot", min_length=1, description="name or file of the tool")
    token: SecretStr | None = Field(default=None, description="GitHub token; unset: Copilot's own sign-in")
