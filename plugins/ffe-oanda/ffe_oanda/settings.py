"""The section ``plugins.oanda``."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

HOSTS = {"practice": "https://api-fxpractice.oanda.com", "live": "https://api-fxtrade.oanda.com"}
#: how account numbers of each environment begin
PREFIXES = {"practice": "101-", "live": "001-"}


class OandaSettings(BaseModel):
    """Practice money unless ``environment`` says ``live``; token and account belong to one environment only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    environment: Literal["practice", "live"] = Field(
        default="practice", description="practice: invented money; live: your own. It chooses the host"
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="token of the v20 API, made for one environment",
        json_schema_extra={"env": "OANDA_API_KEY"},
    )
    account_id: str | None = Field(
        default=None,
        description="number of a v20 account, such as 101-001-1234567-001",
        json_schema_extra={"env": "OANDA_ACCOUNT_ID"},
    )
    base_url: str | None = Field(default=None, description="where the API is; unset: the environment's own host")
    ca_file: Path | None = Field(default=None, description="certificate authority of a host that has its own")
    timeout: float = Field(default=15.0, gt=0, le=120, description="seconds that a call may take, repetitions included")

    max_slippage: Decimal = Field(
        default=Decimal("0.002"),
        gt=0,
        le=Decimal("0.05"),
        description="how far from the quote an entry may fill, a fraction; beyond it OANDA cancels the order",
    )

    @field_validator("account_id")
    @classmethod
    def _without_blanks(cls, value: str | None) -> str | None:
        # Copied with a line's end, it would be another account to the venue.
        return value.strip() if value else value

    @property
    def url(self) -> str:
        return self.base_url or HOSTS[self.environment]
