"""Small markets, accounts and verdicts for tests of the decision path."""

from datetime import UTC, datetime
from decimal import Decimal

from ffe_core import (
    Action,
    Asset,
    Confluence,
    Fees,
    FramePulse,
    Freshness,
    Instrument,
    Market,
    MarketStatus,
    Portfolio,
    Position,
    Pulse,
    Timeframe,
    Trend,
    Verdict,
    VolatilityClass,
)
from ffe_core.domain.assets import PULSE_TIMEFRAMES
from ffe_core.risk.sizing import Exits, Kelly, SizingRules

BTC = Asset.parse("BTCUSD")
AT = datetime(2023, 6, 1, tzinfo=UTC)


def frame(timeframe=Timeframe.H1, **changes):
    values = dict(
        timeframe=timeframe, closed_at=AT, bars=500, price=50000.0, trend=Trend.RANGING, strength=50,
        signal_strength=50, rsi=50.0, macd=0.0, macd_signal=0.0, macd_histogram=0.0, bb_upper=50500.0,
        bb_middle=50000.0, bb_lower=49500.0, bb_percent_b=50.0, adx=20.0, plus_di=20.0, minus_di=20.0, atr=500.0,
        sma_20=50000.0, sma_50=50000.0, volatility_class=VolatilityClass.LOW,
    )  # fmt: skip
    return FramePulse(**{**values, **changes})


def pulse(**frames):
    held = dict.fromkeys(PULSE_TIMEFRAMES)
    held.update({Timeframe[name]: frame(Timeframe[name], **facts) for name, facts in frames.items()})
    missing = tuple(name for name, reading in held.items() if reading is None)
    return Pulse(BTC, AT, held, Confluence("unknown", 0), missing, "nothing")


def market(price=50000.0, **changes):
    values = dict(
        source="test", synthetic=False, fingerprint="f" * 64,
        freshness=Freshness(True, "fresh", 0.0, "0.0 seconds", ""),
        status=MarketStatus(True, "Open", None, None), price=price, change=0.0, volatility=0.02,
        bar_open=price, bar_high=price * 1.01, bar_low=price * 0.99, bar_volume=1.0, bar_closed_at=AT,
    )  # fmt: skip
    return Market(**{**values, **changes})


def verdict(action="BUY", confidence=80, agreement=1.0):
    return Verdict(Action(action), confidence, confidence, "because", None, {"agreement_score": agreement})


def account(cash="10000", *positions, **changes):
    return Portfolio("paper", "main", "USD", None if cash is None else Decimal(cash), positions, **changes)


def held(quantity, entry="50000", price=None, asset=BTC):
    return Position(asset, Decimal(quantity), Decimal(entry), Decimal(price or entry))


def instrument(asset=BTC, **changes):
    values = dict(
        asset=asset, quantity_increment=Decimal("0.00000001"), price_increment=Decimal("0.01"),
        minimum_quantity=Decimal("0.00000001"), minimum_notional=Decimal(1), quote_currency="USD",
        fees=Fees(Decimal("0.001")),
    )  # fmt: skip
    return Instrument(**{**values, **changes})


def sizing(**changes):
    exits = {name[6:]: value for name, value in changes.items() if name.startswith("exits_")}
    values = dict(
        exits=Exits(**exits), method="risk", risk=Decimal("0.01"), kelly=Kelly(), max_concentration=Decimal("0.25"),
        max_leverage=Decimal(5), buying_power=Decimal("0.97"), fee=Decimal("0.001"), allow_short=False,
    )  # fmt: skip
    return SizingRules(**{**values, **{k: v for k, v in changes.items() if not k.startswith("exits_")}})
