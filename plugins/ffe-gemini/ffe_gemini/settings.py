"""The section ``plugins.gemini``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

BASE_URL = "https://generativelanguage.googleapis.com/v1beta"
#: what Google gives away: questions a day with a key, and a minute to the tool that somebody signed in to
KEY_PER_DAY, SIGN_IN_PER_MINUTE = 100, 60

type Ration = Annotated[int, Field(ge=1)] | Literal["auto"] | None


class GeminiSettings(BaseModel):
    """``api_key`` must be set, or ``transport: cli``. Names of models die: ``model`` is any that the API knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    transport: Literal["api", "cli"] = Field(
        default="api", description="cli: through Google's command-line tool, with its own sign-in where there is no key"
    )
    command: str = Field(default="gemini", min_length=1, description="name or file of the tool; cli")
    environment: dict[str, SecretStr] = Field(
        default_factory=dict, description="further variables for the tool, such as HTTPS_PROXY; it sees no others; cli"
    )
    base_url: str = Field(default=BASE_URL, description="where the API is, version included")
    api_key: SecretStr | None = Field(
        default=None,
        description="key of the Gemini API, sent to base_url and nowhere else; cli: unset, its own sign-in",
        json_schema_extra={"env": "GEMINI_API_KEY"},
    )
    ca_file: Path | None = Field(default=None, description="certificate authority of a host that has its own")
    model: str = Field(
        default="gemini-3.5-flash",
        pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?$",
        description="model to ask, as the API names it",
    )
    timeout: float = Field(default=60.0, gt=0, le=3600, description="seconds an answer may take")
    temperature: float = Field(default=0.0, ge=0, le=2, description="0 for answers that differ least; api")
    seed: int = Field(default=1, ge=0, le=2**31 - 1, description="what the model draws from, as far as it obeys; api")
    max_output: int = Field(
        default=8192, ge=256, le=1_048_576, description="most tokens of an answer, thoughts included; api"
    )
    max_prompt: int = Field(default=3000, ge=200, le=1_000_000, description="most tokens of the question")
    thinking_budget: int | None = Field(
        default=None, ge=-1, le=1_048_576, description="tokens of thought, models 2.5: 0 for none, -1 as it likes; api"
    )
    thinking_level: Literal["MINIMAL", "LOW", "MEDIUM", "HIGH"] | None = Field(
        default=None, description="how much it thinks, models 3 and later; api"
    )
    per_minute: Ration = Field(
        default="auto",
        description=f"most questions within a minute; auto: {SIGN_IN_PER_MINUTE} without a key; null: no limit",
    )
    per_day: Ration = Field(
        default="auto", description=f"most questions on one day (UTC); auto: {KEY_PER_DAY} with a key; null: no limit"
    )

    @property
    def key(self) -> str:
        return self.api_key.get_secret_value().strip() if self.api_key else ""

    @property
    def most_per_minute(self) -> int | None:
        if self.per_minute != "auto":
            return self.per_minute
        return None if self.key else SIGN_IN_PER_MINUTE

    @property
    def most_per_day(self) -> int | None:
        if self.per_day != "auto":
            return self.per_day
        return KEY_PER_DAY if self.key else None

    @model_validator(mode="after")
    def _one_way_to_think(self) -> Self:
        if self.thinking_budget is not None and self.thinking_level is not None:
            raise ValueError("thinking_budget is for models 2.5 and thinking_level for later ones: set one of them")
        return self

    @model_validator(mode="after")
    def _nothing_that_is_an_option(self) -> Self:
        if self.transport == "cli" and self.model.startswith("-"):
            raise ValueError("model: a name that begins with - is an option to the tool")
        return self
