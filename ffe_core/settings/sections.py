"""The sections of the settings: every key, its type, its default and what it does.

The descriptions are the source of docs/settings.md and of ``ffe config explain``. A key stands here only while
something reads it. Fractions are fractions (0.05 is 5 %), lengths of time carry their unit in the description.

No ``from __future__ import annotations``: what pydantic would have to evaluate again is a third of a section's cost.
"""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from ffe_core.domain.assets import AssetKind, Timeframe

#: Marks a share of one; a value such as 70 is answered with the fraction that was meant.
FRACTION = {"unit": "fraction"}

Fraction = Annotated[float, Field(gt=0, le=1, json_schema_extra=FRACTION)]
FractionOrOff = Annotated[float, Field(ge=0, lt=1, json_schema_extra=FRACTION)]
Name = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """A part of the settings: frozen, and closed to keys it does not know.

    Its validator is built as part of the whole; one of its own is built only for a section made by itself.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False, defer_build=True
    )


def _distinct(names: list[str]) -> list[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} is listed twice")
    return names


class DecisionSettings(Section):
    timeframe: Timeframe = Field(default=Timeframe.H1, description="bars that decisions are made on")
    threshold: Fraction = Field(
        default=0.7, description="confidence, as a fraction, below which a decision is stored but not acted on"
    )
    horizon: int = Field(
        default=24,
        ge=1,
        le=10_000,
        description="bars ahead that an opinion's confidence is about, and that it is scored at",
    )


class FreshnessLimits(Section):
    warn: float = Field(default=5, ge=0, description="minutes overdue above which the newest bar is called ageing")
    critical: float | None = Field(
        default=15, ge=0, description="minutes overdue from which entries are refused; null for never"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.critical is not None and self.critical < self.warn:
            raise ValueError("critical comes before warn; write a larger one")
        return self


class DailyFreshnessLimits(FreshnessLimits):
    warn: float = Field(default=1440, ge=0, description="minutes overdue above which the newest bar is called ageing")
    critical: float | None = Field(
        default=None, ge=0, description="minutes overdue from which entries are refused; null for never"
    )


class CryptoDailyLimits(FreshnessLimits):
    warn: float = Field(default=120, ge=0, description="minutes overdue above which the newest bar is called ageing")
    critical: float | None = Field(
        default=1440, ge=0, description="minutes overdue from which entries are refused; null for never"
    )


class ForexDailyLimits(CryptoDailyLimits):
    warn: float = Field(default=240, ge=0, description="minutes overdue above which the newest bar is called ageing")


class FreshnessSettings(Section):
    crypto: FreshnessLimits = Field(default_factory=FreshnessLimits, description="pairs of coins, up to 4h bars")
    forex: FreshnessLimits = Field(default_factory=FreshnessLimits, description="currency pairs, up to 4h bars")
    stock: FreshnessLimits = Field(default_factory=FreshnessLimits, description="stocks, up to 4h bars")
    crypto_daily: CryptoDailyLimits = Field(
        default_factory=CryptoDailyLimits, description="pairs of coins of which only daily bars exist"
    )
    forex_daily: ForexDailyLimits = Field(
        default_factory=ForexDailyLimits, description="currency pairs of which only daily bars exist"
    )
    stock_daily: DailyFreshnessLimits = Field(
        default_factory=DailyFreshnessLimits, description="stocks of which only daily bars exist"
    )


class DataSettings(Section):
    sources: list[Name] = Field(
        default=["demo"],
        min_length=1,
        description="sources in the order they are asked; demo invents prices and stands alone",
    )
    cache_ttl: float = Field(default=300.0, ge=0, description="seconds that fetched bars are reused; 0 asks every time")
    bars: int = Field(
        default=500,
        ge=50,
        le=100_000,
        description="bars read per timeframe where they exist; below 50 no trend is known",
    )
    kinds: dict[str, AssetKind] = Field(
        default_factory=dict,
        description="what an asset is where its name does not tell: GOOG: stock (crypto, forex, stock)",
    )
    freshness: FreshnessSettings = Field(
        default_factory=FreshnessSettings, description="how overdue data may be, per kind of asset"
    )
    price_divergence: Fraction = Field(
        default=0.02, description="share by which two sources may differ on the last price before it is reported"
    )
    memory_cache_entries: int = Field(default=1000, ge=0, description="series kept in memory; the oldest leave first")

    @field_validator("sources")
    @classmethod
    def _demo_alone(cls, sources: list[str]) -> list[str]:
        if "demo" in sources and len(set(sources)) > 1:
            raise ValueError("demo invents prices and never mixes with real ones; list demo alone or leave it out")
        return _distinct(sources)

    @field_validator("kinds")
    @classmethod
    def _canonical(cls, kinds: dict[str, AssetKind]) -> dict[str, AssetKind]:
        return {"".join(filter(str.isalnum, name)).upper(): kind for name, kind in kinds.items()}


class PulseSettings(Section):
    indicators: list[Name] = Field(
        default_factory=list,
        description="further indicators of the catalogue, by name: [stoch, cci, willr, ichimoku, supertrend]",
    )

    @field_validator("indicators")
    @classmethod
    def _once(cls, names: list[str]) -> list[str]:
        return _distinct(names)


class Price(Section):
    """What a model costs from a day on; an older row stands until the next one begins."""

    model: Name = Field(description="the model's id, as its provider names it")
    since: date = Field(alias="from", description="first day (UTC) on which the price is in force")
    input_usd_per_million: Decimal = Field(ge=0, description="dollars for a million tokens that are sent")
    output_usd_per_million: Decimal = Field(ge=0, description="dollars for a million tokens that come back")
    cached_input_usd_per_million: Annotated[Decimal, Field(ge=0)] | None = Field(
        default=None, description="dollars for a million sent tokens that the service had kept; null: as any other"
    )


class ProviderLimits(Section):
    """How often a provider may be asked; a key that is not set leaves what the provider says."""

    per_minute: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="questions within any minute; null for no limit"
    )
    per_day: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="questions on one day (UTC); null for no limit"
    )


class AiSettings(Section):
    providers: list[Name] = Field(
        default=["local", "trend_adx", "rsi_reversion"],
        min_length=1,
        description="the panel: providers asked in parallel, in the order of their opinions",
    )
    timeout: float = Field(default=30.0, gt=0, le=3600, description="seconds that the whole panel has")
    fallback: Literal["none", "local"] = Field(
        default="none", description="who answers when every provider failed; what the rules say then opens no position"
    )
    prices: list[Price] = Field(
        default_factory=list,
        description="what models cost, dated; a model without a price has no known cost: "
        "[{model: M, from: 2026-01-01, input_usd_per_million: 1, output_usd_per_million: 4, "
        "cached_input_usd_per_million: 0.25}]",
    )
    cutoffs: dict[Name, date] = Field(
        default_factory=dict,
        description="last day that a model may have read about: {MODEL: 2025-01-31}; what a model without one says of "
        "the past counts as contaminated",
    )
    embargo_days: int = Field(
        default=30, ge=0, le=3650, description="days after a model's cutoff that count as contaminated still"
    )
    budget_usd: Annotated[Decimal, Field(ge=0)] | None = Field(
        default=None, description="dollars that asking may cost on one day (UTC); null for no limit"
    )
    limits: dict[Name, ProviderLimits] = Field(
        default_factory=dict,
        description="how often providers may be asked, instead of what they say themselves: "
        "{gemini: {per_minute: 10, per_day: 250}}; null for no limit",
    )

    @field_validator("providers")
    @classmethod
    def _once(cls, names: list[str]) -> list[str]:
        return _distinct(names)


class CassetteSettings(Section):
    dir: Path | None = Field(
        default=None, description="folder of recorded answers; unset: `cassettes` in the cache folder of ffe"
    )


class EnsembleSettings(Section):
    strategy: Name = Field(default="weighted", description="how opinions become a verdict; plugins may bring more")
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict,
        description="weight per provider; one that is not named weighs as much as the named ones on average",
    )
    min_local_providers: int = Field(
        default=3,
        ge=0,
        description="answers wanted from providers on this machine; with fewer, confidence is cut to 0.7",
    )
    premium_calls_per_day: int = Field(
        default=50, ge=0, description="premium questions that a strategy such as two_phase may ask on one day (UTC)"
    )


class ExitSettings(Section):
    stop: Literal["atr", "fixed"] = Field(
        default="atr",
        description="atr: a multiple of the daily range, held between min and max; fixed: always `fallback`",
    )
    atr_multiple: float = Field(
        default=2.0, gt=0, le=20, description="daily average true ranges between entry and stop"
    )
    min: Fraction = Field(default=0.01, description="nearest stop, as a fraction of the fill price")
    max: Fraction = Field(default=0.05, description="farthest stop, as a fraction of the fill price")
    fallback: Fraction = Field(
        default=0.02,
        description="stop where no range is known, and the stop of `fixed`, as a fraction of the fill price",
    )
    target: FractionOrOff = Field(default=0.05, description="profit target as a fraction of the fill price; 0 for none")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError("min is above max")
        return self


class KellySettings(Section):
    p: Fraction = Field(default=0.55, description="share of trades expected to win")
    payoff: float = Field(default=100 / 75, gt=0, description="average win divided by average loss")
    multiplier: Fraction = Field(default=0.25, description="share of the full Kelly fraction that is used")
    cap: Fraction = Field(default=0.25, description="largest Kelly fraction before the multiplier")
    max_position: Fraction = Field(default=0.05, description="largest position as a fraction of equity")


class SizingSettings(Section):
    method: Literal["risk", "kelly"] = Field(
        default="risk", description="risk: lose `risk` at the stop; kelly: see `kelly`"
    )
    risk: Annotated[float, Field(gt=0, le=0.1, json_schema_extra=FRACTION)] = Field(
        default=0.01, description="fraction of equity lost when the stop is hit"
    )
    kelly: KellySettings = Field(default_factory=KellySettings, description="inputs of the Kelly criterion")


#: costs by name: ``mock`` is a taker at a mock venue, 0.1 % of slippage and half of that for the spread
COST_PROFILES: dict[str, dict[str, float]] = {"usual": {}, "mock": {"fee": 0.0006, "slippage": 0.0015}}


class CostSettings(Section):
    profile: Literal["usual", "mock"] = Field(
        default="usual",
        description="where the figures below come from that are not set; mock: fee 0.0006, slippage 0.0015",
    )
    fee: Annotated[float, Field(ge=0, lt=0.5, json_schema_extra=FRACTION)] = Field(
        default=0.001, description="fee per fill as a fraction of its value"
    )
    slippage: Annotated[float, Field(ge=0, lt=0.5, json_schema_extra=FRACTION)] = Field(
        default=0.0001, description="how much worse than quoted a fill is, as a fraction of the price"
    )
    commission: float = Field(default=0.0, ge=0, description="fixed amount per fill, in the quote currency")

    @model_validator(mode="before")
    @classmethod
    def _of_profile(cls, given: Any) -> Any:
        named = COST_PROFILES.get(str(given.get("profile")), {}) if isinstance(given, dict) else {}
        return {**named, **given} if named else given


class RiskRules(Section):
    """Which of the built-in rules judge entries; those that are not here cannot be switched off."""

    market_hours: bool = Field(default=True, description="no entries while the market is closed")
    freshness: bool = Field(default=True, description="no entries on data that are too old")
    drawdown: bool = Field(default=True, description="see `max_drawdown`")
    daily_loss: bool = Field(default=True, description="see `max_daily_loss`")
    correlation: bool = Field(default=True, description="see `max_correlated_assets`")
    var: bool = Field(default=True, description="see `max_var`")
    leverage: bool = Field(default=True, description="see `max_leverage`; sizes keep to it in any case")
    concentration: bool = Field(default=True, description="see `max_concentration`; sizes keep to it in any case")
    volatility: bool = Field(default=True, description="see `max_volatility`")
    stoploss_guard: bool = Field(default=False, description="lock an asset whose stop was hit too often")
    cooldown: bool = Field(default=False, description="wait a while before an asset is entered again")
    low_profit: bool = Field(default=False, description="lock an asset that lost money lately")


class StoplossGuardSettings(Section):
    stops: int = Field(default=4, ge=1, description="stops of one asset that are too many")
    within_hours: float = Field(default=24.0, gt=0, description="hours in which they are counted")
    lock_hours: float = Field(default=4.0, gt=0, description="hours without entries into the asset after the last one")


class CooldownSettings(Section):
    bars: int = Field(default=1, ge=1, description="decision bars without entries into an asset after leaving it")


class LowProfitSettings(Section):
    trades: int = Field(default=4, ge=1, description="least number of trades that are judged")
    within_days: float = Field(default=7.0, gt=0, description="days whose trades are added up")
    lock_hours: float = Field(default=24.0, gt=0, description="hours without entries after the last losing sum")


class RiskSettings(Section):
    rules: RiskRules = Field(default_factory=RiskRules, description="rules on entries, by name; exits always pass")
    fail_closed: Literal["live", "always"] = Field(
        default="live",
        description="where a rule lacks what it needs: live bars live entries and notes it on paper, always bars both",
    )
    max_drawdown: Fraction = Field(
        default=0.05, description="largest fall of equity below its peak of 30 days; above it no entries for 24 hours"
    )
    max_daily_loss: Fraction = Field(
        default=0.03, description="largest fall of equity since the day began; above it no entries that day"
    )
    timezone: Name = Field(default="UTC", description="time zone whose midnight begins the day of `max_daily_loss`")
    max_correlated_assets: int = Field(
        default=2, ge=1, description="most assets of one venue that may move as one after the trade"
    )
    correlation_threshold: Fraction = Field(
        default=0.7, description="correlation of daily returns (30 days, either sign) from which a pair moves as one"
    )
    max_var: Fraction = Field(
        default=0.05, description="largest value at risk of a day after the trade, as a fraction of equity"
    )
    var_confidence: Annotated[float, Field(ge=0.5, lt=1, json_schema_extra=FRACTION)] = Field(
        default=0.95, description="share of the last 60 days that cost less than the value at risk"
    )
    max_volatility: Fraction = Field(
        default=0.05, description="daily range (ATR over price) above which only sure entries keep their size"
    )
    volatile_confidence: Fraction = Field(
        default=0.8, description="confidence, as a fraction, from which an entry is sure enough for such a market"
    )
    on_volatile: Literal["clamp", "veto"] = Field(
        default="clamp", description="what becomes of an unsure entry there: half its size, or nothing"
    )
    stoploss_guard: StoplossGuardSettings = Field(
        default_factory=StoplossGuardSettings, description="figures of the rule of that name"
    )
    cooldown: CooldownSettings = Field(default_factory=CooldownSettings, description="figures of the rule of that name")
    low_profit: LowProfitSettings = Field(
        default_factory=LowProfitSettings, description="figures of the rule of that name"
    )
    max_concentration: Fraction = Field(
        default=0.25, description="largest share of equity in one asset after the trade"
    )
    max_leverage: float = Field(
        default=5.0, gt=0, le=100, description="largest exposure of the account divided by its equity"
    )
    buying_power: Fraction = Field(
        default=0.97, description="share of free cash that one order may use, so that fees and price moves still fit"
    )

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("no such time zone; names look like Europe/Berlin or UTC") from None
        return name


class ExecutionSettings(Section):
    platform: Name = Field(
        default="paper", description="venue of orders, instrument rules and quotes; unified: see `venues`"
    )
    venues: dict[AssetKind, Name] = Field(
        default_factory=dict,
        description="platform per kind of asset where `platform` is unified: {crypto: coinbase, forex: oanda}; "
        "what has none is refused",
    )
    allow_short: bool = Field(default=False, description="whether a SELL without a position may open a short one")
    entry_agreement: Fraction = Field(
        default=0.6, description="share of the weight that must agree before a position is opened"
    )


class StoreSettings(Section):
    url: SecretStr | None = Field(
        default=None, description="PostgreSQL address; unset for the embedded file data/ffe.db under FFE_HOME"
    )


class LogSettings(Section):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="WARNING", description="least level that is written"
    )
    format: Literal["console", "json"] = Field(default="console", description="for people, or one JSON object a line")

    @field_validator("level", mode="before")
    @classmethod
    def _upper(cls, level: Any) -> Any:
        return level.upper() if isinstance(level, str) else level


class PluginsSettings(Section):
    """The host's own four keys; every other key is a plugin's name and holds that plugin's section, unvalidated."""

    model_config = ConfigDict(
        frozen=True, extra="allow", hide_input_in_errors=True, allow_inf_nan=False, defer_build=True
    )

    enabled: list[Name] | None = Field(
        default=None,
        description="plugins to load, in order; unset for all that are installed, empty for built-ins only",
    )
    disabled: list[Name] = Field(default_factory=list, description="plugins, built-in ones too, that are left out")
    isolation: dict[str, Literal["thread", "process"]] = Field(
        default_factory=dict, description="per plugin: thread (default), or process for a child of its own"
    )
    deadline: float = Field(default=5.0, gt=0, le=3600, description="seconds that one hook call of a plugin has")

    @field_validator("enabled", "disabled")
    @classmethod
    def _once(cls, names: list[str] | None) -> list[str] | None:
        return names if names is None else _distinct(names)


RESERVED_IN_PLUGINS = frozenset(PluginsSettings.model_fields)
