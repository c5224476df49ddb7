"""Numbers as people read them."""

from __future__ import annotations

import math
from decimal import Decimal

SIGNIFICANT_DIGITS = 6


def format_price(value: float | Decimal, digits: int = SIGNIFICANT_DIGITS) -> str:
    """``value`` with about ``digits`` significant digits, never in scientific form: 67123.4, 1.08345, 0.00001234.

    The digits before the point are always whole, however many; zeros at the end are left out. What is no number is
    ``n/a``, so that a table never shows an invented price.
    """
    if not math.isfinite(value):
        return "n/a"
    if not value:
        return "0"
    magnitude = int(f"{value:.{digits - 1}e}".partition("e")[2])  # after rounding: 9.9999996 has the magnitude of 10
    text = f"{value:.{max(0, digits - 1 - magnitude)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
