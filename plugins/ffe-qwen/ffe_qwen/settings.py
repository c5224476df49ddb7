"""The section ``plugins.qwen``."""

from __future__ import annotations

from pydantic import Field, SecretStr

from ffe_core import ToolSettings


class QwenSettings(ToolSettings):
    """How Qwen Code is asked."""

    command: str = Field(default="qwen", min_length=1, description="name or file of the tool")
    api_key: SecretStr | None = Field(default=None, description="key of base_url, or of OpenAI; unset: its own sign-in")
    per_minute: int | None = Field(default=60, ge=1, description="most questions within a minute; null: no limit")
    per_day: int | None = Field(default=2000, ge=1, description="most questions on one day (UTC); null: no limit")
