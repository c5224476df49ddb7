"""The section ``plugins.ollama``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class OllamaSettings(BaseModel):
    """``model`` is the only key that must be set; without it the provider says which models there are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(
        default="http://127.0.0.1:11434",
        description="where Ollama listens: a URL, or host:port as Ollama itself reads it",
        json_schema_extra={"env": "OLLAMA_HOST"},
    )
    allow_http: bool = Field(default=False, description="plain http to another machine, which others can read")
    ca_file: Path | None = Field(default=None, description="certificate authority of a host that has its own")
    model: str | None = Field(default=None, min_length=1, description="model to ask, as `ollama list` names it")
    timeout: float = Field(default=120.0, gt=0, le=3600, description="seconds an answer may take, a cold start too")
    temperature: float = Field(default=0.0, ge=0, le=2, description="0 for the same answer to the same question")
    seed: int = Field(default=1, ge=0, le=2**31 - 1, description="what the model draws from")
    num_ctx: int = Field(default=8192, ge=512, le=1_048_576, description="context window to load the model with")
    num_predict: int = Field(default=1024, ge=128, le=65_536, description="most tokens of an answer, thinking included")
    num_prompt: int = Field(default=3000, ge=200, le=1_000_000, description="most tokens of the question")
    keep_alive: str = Field(
        default="10m", pattern=r"^(-1|\d+(ms|s|m|h)?)$", description="how long the model stays loaded; -1 for good"
    )
    think: bool | Literal["low", "medium", "high", "max"] = Field(
        default=False, description="whether a model that can think does so first; wants a larger num_predict"
    )
    per_minute: int | None = Field(default=None, ge=1, description="most questions within a minute; null: no limit")
    per_day: int | None = Field(default=None, ge=1, description="most questions on one day (UTC); null: no limit")
