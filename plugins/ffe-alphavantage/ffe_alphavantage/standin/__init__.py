"""A stand-in for Alpha Vantage on loopback, for tests: speaks the API strictly, and its prices are invented."""

from __future__ import annotations

from ffe_alphavantage.standin.market import NOON, Market, article
from ffe_alphavantage.standin.server import BURST, DAY, KEY, MINUTE, PREMIUM, AlphaVantageStandIn

__all__ = ["BURST", "DAY", "KEY", "MINUTE", "NOON", "PREMIUM", "AlphaVantageStandIn", "Market", "article"]
