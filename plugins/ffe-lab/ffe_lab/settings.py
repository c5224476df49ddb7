"""Section ``plugins.lab``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class LabSettings(BaseModel):
    """What the lab's commands start from; what a simulated account trades by are the settings of live ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    initial_balance: float = Field(
        default=10_000.0, gt=0, allow_inf_nan=False, description="what a simulated account begins with, quote currency"
    )
    risk_free_rate: float = Field(
        default=0.0, gt=-1, lt=1, allow_inf_nan=False, description="annual rate that ratios compare with, a fraction"
    )
    execution: Literal["basic", "realistic"] = Field(
        default="basic", description="basic: fee and slippage of `costs`; realistic: by asset, size, hour and volume"
    )
    amount: float = Field(default=1000.0, gt=0, allow_inf_nan=False, description="what fixed_amount puts in at most")
    params: dict[str, dict[str, float | int | str]] = Field(
        default={}, description="by provider: parameters that experiments give it unless told otherwise"
    )
