"""The section ``plugins.alphavantage``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

type Topic = Literal[
    "blockchain",
    "earnings",
    "economy_fiscal",
    "economy_macro",
    "economy_monetary",
    "energy_transportation",
    "finance",
    "financial_markets",
    "ipo",
    "life_sciences",
    "manufacturing",
    "mergers_and_acquisitions",
    "real_estate",
    "retail_wholesale",
    "technology",
]
type Indicator = Literal[
    "CPI",
    "DURABLES",
    "FEDERAL_FUNDS_RATE",
    "INFLATION",
    "NONFARM_PAYROLL",
    "REAL_GDP",
    "REAL_GDP_PER_CAPITA",
    "RETAIL_SALES",
    "TREASURY_YIELD",
    "UNEMPLOYMENT",
]
type Canonical = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,64}$")]
type Listed = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9.\-]{1,32}$")]


class NewsSettings(BaseModel):
    """Which articles become notes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(default=5, ge=0, le=50, description="articles told, the newest; 0: no news at all")
    topics: tuple[Topic, ...] = Field(default=(), description="only articles on all of these; unset: on anything")
    max_age: float = Field(default=72.0, gt=0, le=24 * 365, description="hours after which an article is no news")
    keep: float = Field(default=900.0, ge=0, le=86_400, description="seconds that an answer is used again")


class AlphaVantageSettings(BaseModel):
    """Nothing is asked without ``api_key``. The free plan has 25 calls a day, one a second."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: SecretStr | None = Field(
        default=None, description="key of the service", json_schema_extra={"env": "ALPHA_VANTAGE_API_KEY"}
    )
    base_url: str = Field(default="https://www.alphavantage.co", description="where the API is, without its path")
    ca_file: Path | None = Field(default=None, description="certificate authority of a host that has its own")
    timeout: float = Field(default=10.0, gt=0, le=120, description="seconds that a call may take, repetitions included")
    per_second: float = Field(default=1.0, gt=0, le=100, description="calls a second that the plan allows")
    per_minute: int | None = Field(default=60, ge=1, description="calls a minute that the plan allows; null: any")
    per_day: int | None = Field(default=25, ge=1, description="calls a day that the plan allows; null: any")
    reserve: int = Field(default=8, ge=0, description="calls of a day that news and figures leave to candles")
    symbols: dict[Canonical, Listed] = Field(
        default_factory=dict, description="how stocks are listed there where it differs, such as BRKB: BRK.B"
    )
    extended_hours: bool = Field(default=False, description="stocks: bars before and after the session, too")
    keep_bars: float = Field(default=300.0, ge=0, le=86_400, description="seconds that intraday bars are used again")
    keep_days: float = Field(
        default=10_800.0, ge=0, le=86_400, description="seconds that daily bars are used again, at most until a close"
    )
    keep_refusals: float = Field(
        default=86_400.0, ge=0, description="seconds that a function which needs a premium key is not asked again"
    )
    news: NewsSettings = Field(default_factory=NewsSettings)
    macro: tuple[Indicator, ...] = Field(
        default=("REAL_GDP", "INFLATION", "FEDERAL_FUNDS_RATE"), description="figures told; [] for none"
    )
    keep_macro: float = Field(default=86_400.0, ge=0, le=864_000, description="seconds that figures are used again")
    brief_timeout: float = Field(
        default=4.0, gt=0, le=600, description="seconds for all notes together; keep it below plugins.deadline"
    )

    @property
    def key(self) -> str:
        """Empty where there is none."""
        return self.api_key.get_secret_value().strip() if self.api_key else ""
