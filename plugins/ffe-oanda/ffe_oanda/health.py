"""What stands between the account and an order, each thing tried by itself.

No order is sent for it: that orders are taken is read off the account, its pending orders and its instruments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ffe_core import FfeError, NoData, SettingsError
from ffe_oanda.api import Api
from ffe_oanda.parse import an_object, maybe_amount, objects, parse_prices, text


def check(api: Api) -> Mapping[str, bool]:
    """Raises ``NotConfigured`` and ``SettingsError``: what the user has to set is told, not answered with no."""
    _ = api.account_id
    return {
        "api_auth": _works(lambda: bool(list(objects(api.get("/accounts"), "accounts")))),
        "account_active": _works(lambda: bool(_listed(api)) and bool(_summary(api))),
        "trading_enabled": _works(lambda: _takes_orders(api)),
        "balance_available": _works(lambda: _has_balance(api)),
        "market_data": _works(lambda: _has_prices(api)),
    }


def _works(trial: Callable[[], bool]) -> bool:
    try:
        return trial()
    except SettingsError:
        raise
    except FfeError:
        return False


def _listed(api: Api) -> Mapping[str, Any] | None:
    """The account among those that the token may use."""
    return next((each for each in objects(api.get("/accounts"), "accounts") if each.get("id") == api.account_id), None)


def _summary(api: Api) -> Mapping[str, Any]:
    return an_object(api.of_account("/summary"), "account")


def _takes_orders(api: Api) -> bool:
    mine = _listed(api)
    # Orders with client ids would break what MetaTrader keeps on an account that is linked to it.
    if mine is None or mine.get("mt4AccountID") or "marginCallEnterTime" in _summary(api):
        return False
    list(objects(api.of_account("/pendingOrders"), "orders"))
    return bool(_names(api))


def _has_balance(api: Api) -> bool:
    account = _summary(api)
    return all(maybe_amount(account, name) is not None for name in ("NAV", "marginAvailable"))


def _has_prices(api: Api) -> bool:
    return bool(parse_prices(api.of_account("/pricing", {"instruments": _names(api)[0]})))


def _names(api: Api) -> list[str]:
    """Instruments that the account may trade. Raises ``NoData`` where there are none."""
    found = [text(each, "name") for each in objects(api.of_account("/instruments"), "instruments")]
    if not found:
        raise NoData("oanda lists no instruments for the account")
    return found
