"""What the settings of every command-line tool have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

#: https anywhere, plain http on this machine only
_URL = r"^(https://|http://(127\.0\.0\.1|localhost|\[::1\])[:/])[^\s\"'@]+$"
#: never an option of the command line
_MODEL = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$"


class ToolSettings(BaseModel):
    """How a tool is asked. A plugin's own model names ``command``, and describes what it means otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str = Field(min_length=1, description="name or file of the tool")
    model: str | None = Field(default=None, pattern=_MODEL, description="model to ask; unset: the tool's own choice")
    timeout: float = Field(default=30.0, gt=0, le=3600, description="seconds that one question may take")
    api_key: SecretStr | None = Field(default=None, description="key of base_url")
    base_url: str | None = Field(default=None, pattern=_URL, description="a server of your own; needs model")
    ca_file: Path | None = Field(default=None, description="certificates to trust besides the usual ones")
    environment: dict[str, SecretStr] = Field(
        default_factory=dict, description="further variables for the tool, such as HTTPS_PROXY; it sees no others"
    )
    per_minute: int | None = Field(default=None, ge=1, description="most questions within a minute; null: no limit")
    per_day: int | None = Field(default=None, ge=1, description="most questions on one day (UTC); null: no limit")

    @model_validator(mode="after")
    def _a_server_needs_a_model(self) -> Self:
        if self.base_url and not self.model:
            raise ValueError("base_url needs model: what that server calls the model to ask")
        return self

    def variables(self, **secrets: SecretStr | None) -> dict[str, str]:
        """``environment`` and ``secrets``, those that are set: all of it the user's own, and none of it to be shown."""
        given = {**self.environment, **secrets}
        return {name: value.get_secret_value() for name, value in given.items() if value is not None}
