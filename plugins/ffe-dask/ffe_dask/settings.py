"""The section ``plugins.dask``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class DaskSettings(BaseModel):
    """Where the cluster is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str | None = Field(
        default=None,
        min_length=1,
        description="the scheduler of a cluster, such as tcp://10.0.0.5:8786; unset: a cluster on this machine",
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="workers of a cluster on this machine; unset: one for each processor that ffe may use",
    )
