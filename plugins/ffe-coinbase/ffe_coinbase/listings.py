"""Products as the API writes them, for tests."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

CONTRACT = "BIP-20DEC30-CDE"


def spot(product_id: str, **changes: Any) -> dict[str, Any]:
    base, quote = product_id.split("-")
    return {
        "product_id": product_id,
        "price": "",
        "base_increment": "0.00000001",
        "quote_increment": "0.01",
        "price_increment": "0.01",
        "quote_min_size": "1",
        "quote_max_size": "150000000",
        "base_min_size": "0.00000001",
        "base_max_size": "3400",
        "base_name": base,
        "quote_name": quote,
        "base_currency_id": base,
        "quote_currency_id": quote,
        "watched": False,
        "is_disabled": False,
        "new": False,
        "status": "online",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": False,
        "auction_mode": False,
        "view_only": False,
        "product_type": "SPOT",
        "fcm_trading_session_details": None,
        "alias": "",
        "alias_to": [],
        **changes,
    }


def future(product_id: str, **changes: Any) -> dict[str, Any]:
    details = {
        "venue": "cde",
        "contract_code": product_id.split("-", maxsplit=1)[0],
        "contract_expiry": "2030-12-20T16:00:00Z",
        "contract_size": "0.01",
        "contract_root_unit": "BTC",
        "contract_expiry_type": "EXPIRING",
        "funding_rate": "0.000009",
        "intraday_margin_rate": {"long_margin_rate": "0.1", "short_margin_rate": "0.1"},
        "overnight_margin_rate": {"long_margin_rate": "0.245", "short_margin_rate": "0.25"},
    }
    return {
        **spot("BTC-USD"),
        "product_id": product_id,
        "base_increment": "1",
        "quote_increment": "5",
        "price_increment": "5",
        "base_min_size": "1",
        "base_max_size": "3000",
        "quote_min_size": "0",
        "status": "",
        "product_type": "FUTURE",
        "product_venue": "FCM",
        "base_currency_id": "",
        "quote_currency_id": "USD",
        "fcm_trading_session_details": {"is_session_open": True},
        "future_product_details": details,
        **changes,
    }


def plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
