"""What a user may say of the paper account."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field


class PaperSettings(BaseModel):
    """Section ``plugins.paper``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    initial_cash: Decimal = Field(default=Decimal(10_000), gt=0, description="cash of a new paper account")
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3,5}$", description="currency of the paper account")
    forex_margin: Decimal = Field(
        default=Decimal("0.05"), gt=0, le=1, description="share of a forex position that must be held as margin"
    )
    liquidity: Decimal | None = Field(
        default=None,
        gt=0,
        description="the most that one order finds, in quote currency; what is left of it is cancelled",
    )
