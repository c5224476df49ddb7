"""A stand-in for OANDA's v20 API on loopback, for tests: speaks it strictly, and its prices are invented."""

from __future__ import annotations

from ffe_oanda.standin.market import Market
from ffe_oanda.standin.server import ACCOUNT, TOKEN, Fault, OandaStandIn

__all__ = ["ACCOUNT", "TOKEN", "Fault", "Market", "OandaStandIn"]
