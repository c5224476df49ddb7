"""The section ``plugins.gemini``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class GeminiSettings(BaseModel):
    """``api_key`` is the only key that must be set. Names of models die: ``model`` is any that the API knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str = Field(
        default="https://generativelanguage.googleapis.com/v1beta", description="where the API is, version included"
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="key of the Gemini API, sent to base_url and nowhere else",
        json_schema_extra={"env": "GEMINI_API_KEY"},
    )
    ca_file: Path | None = Field(default=None, description="certificate authority of a host that has its own")
    model: str = Field(
        default="gemini-3.5-flash",
        pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?$",
        description="model to ask, as the API names it",
    )
    timeout: float = Field(default=60.0, gt=0, le=3600, description="seconds an answer may take")
    temperature: float = Field(default=0.0, ge=0, le=2, description="0 for answers that differ least")
    seed: int = Field(default=1, ge=0, le=2**31 - 1, description="what the model draws from, as far as it obeys")
    max_output: int = Field(
        default=8192, ge=256, le=1_048_576, description="most tokens of an answer, thoughts included"
    )
    max_prompt: int = Field(default=3000, ge=200, le=1_000_000, description="most tokens of the question")
    thinking_budget: int | None = Field(
        default=None, ge=-1, le=1_048_576, description="tokens of thought, models 2.5: 0 for none, -1 as it likes"
    )
    thinking_level: Literal["MINIMAL", "LOW", "MEDIUM", "HIGH"] | None = Field(
        default=None, description="how much it thinks, models 3 and later"
    )

    @model_validator(mode="after")
    def _one_way_to_think(self) -> Self:
        if self.thinking_budget is not None and self.thinking_level is not None:
            raise ValueError("thinking_budget is for models 2.5 and thinking_level for later ones: set one of them")
        return self
