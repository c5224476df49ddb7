"""The section ``plugins.coinbase``."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator

#: how to come by a key that still works
LIVE_KEY = (
    "make a secret API key with an ECDSA signature at portal.cdp.coinbase.com; "
    "its name is like organizations/.../apiKeys/..., its secret begins with -----BEGIN EC PRIVATE KEY-----"
)

type Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{4,40}$")]
type Contract = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]+-[A-Z0-9]+-[A-Z0-9]+$")]


class CoinbaseSettings(BaseModel):
    """Candles and quotes need no key; an account does: ``api_key`` and ``api_secret``, or ``key_file``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: SecretStr | None = Field(
        default=None,
        description="name of a CDP key, organizations/.../apiKeys/...",
        json_schema_extra={"env": "COINBASE_API_KEY"},
    )
    api_secret: SecretStr | None = Field(
        default=None,
        description="its private key: PEM (line ends may be written as \\n), or base64 of an Ed25519 key",
        json_schema_extra={"env": "COINBASE_API_SECRET"},
    )
    key_file: Path | None = Field(
        default=None, description="the JSON file that came with the key; api_key and api_secret are not read then"
    )
    passphrase: SecretStr | None = Field(default=None, description="not used any more: keys that had one are dead")
    product: Literal["spot", "futures"] = Field(
        default="spot", description="what is traded; the one never stands in for the other"
    )
    contracts: dict[Symbol, Contract] = Field(
        default_factory=dict, description="futures: the contract that a pair means, such as BTCUSD: BIP-20DEC30-CDE"
    )
    currency: str = Field(
        default="USD", pattern=r"^[A-Z]{3,5}$", description="wallet that pays and is paid: USD, USDC, EUR, GBP"
    )
    portfolio: str = Field(
        default="",
        pattern=r"^[0-9A-Za-z-]{0,64}$",
        description="uuid of the portfolio to trade in, where the key is not bound to one",
    )
    stop_slack: Decimal = Field(
        default=Decimal("0.05"), ge=0, lt=1, description="how far beyond a stop its limit lies, a fraction"
    )
    base_url: str = Field(default="https://api.coinbase.com", description="where the API is, without its path")
    ca_file: Path | None = Field(default=None, description="certificate authority of a host that has its own")
    timeout: float = Field(default=10.0, gt=0, le=600, description="seconds a call may take, repetitions included")
    requests_per_second: float = Field(
        default=15.0, gt=0, le=30, description="calls with the key; without it, a third as many"
    )
    settle: float = Field(
        default=2.0, ge=0, le=60, description="seconds until the venue is asked again about an order it does not show"
    )

    @field_validator("passphrase")
    @classmethod
    def _no_passphrase(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None:
            raise ValueError(f"keys with a passphrase belonged to Coinbase Pro and are dead: {LIVE_KEY}")
        return given
