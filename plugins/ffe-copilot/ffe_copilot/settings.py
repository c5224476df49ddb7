"""The section ``plugins.copilot``."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

#: https anywhere, plain http on this machine only
_URL = r"^(https://|http://(127\.0\.0\.1|localhost|\[::1\])[:/])[^\s\"'@]+$"
#: never an option of the command line
_MODEL = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$"


class CopilotSettings(BaseModel):
    """How Copilot is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str = Field(default="copilot", min_length=1, description="name or file of the tool")
    model: str | None = Field(default=None, pattern=_MODEL, description="model to ask; unset: the tool's own choice")
    timeout: float = Field(default=30.0, gt=0, le=3600, description="seconds that one question may take")
    token: SecretStr | None = Field(default=None, description="GitHub token; unset: Copilot's own sign-in")
    api_key: SecretStr | None = Field(default=None, description="key of base_url")
    base_url: str | None = Field(
        default=None, pattern=_URL, description="a server with OpenAI's chat completions, asked in place of GitHub"
    )
    ca_file: Path | None = Field(default=None, description="certificates to trust besides the usual ones")
    environment: dict[str, SecretStr] = Field(
        default_factory=dict, description="further variables for the tool, such as HTTPS_PROXY; it sees no others"
    )

    @model_validator(mode="after")
    def _a_server_needs_a_model(self) -> Self:
        if self.base_url and not self.model:
            raise ValueError("base_url needs model: what that server calls the model to ask")
        return self
