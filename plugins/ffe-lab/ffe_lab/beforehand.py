"""What is certain of entries before the first one is made: where every rule passes, and how sizes come about.

Made for the whole series at once, of what the rules claim. Where one of them does not say, nothing is certain, and all
of them are asked, as they are live.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

import numpy as np

from ffe_core import Clearance, FfeError, Instrument, RiskRule, VectorRule
from ffe_core.risk.sizing import LARGEST_RISK, USUAL_RISK, SizingRules, kelly_fraction
from ffe_lab import entries
from ffe_lab.court import Court
from ffe_lab.trades import Codes, Floats

#: powers of ten that floats hold exactly
_EXACT_POWERS = 22


@dataclass(frozen=True, slots=True)
class Certainty:
    """Columns and ``terms`` of ``entries.run_gated``."""

    certain: Codes
    kept: Floats
    exposure: Floats
    terms: Floats


def certainty_of(court: Court) -> Certainty:
    terms = terms_of(court.sizing, court.instrument, court.currency)
    rules = _vector_rules(court.rules)
    if terms is not None and rules is not None:
        try:
            return _certainty(court, [rule.clearance(court.prospect) for rule in rules], terms)
        except (FfeError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError):
            # A rule that fails here is asked like one that says nothing; if it fails then, too, that is on record.
            pass
    count = len(court.orders)
    return Certainty(np.zeros(count, np.int8), np.ones(count), np.zeros(count), np.zeros(entries.TERMS))


def _certainty(court: Court, claimed: Sequence[Clearance], terms: Floats) -> Certainty:
    prospect = court.prospect
    where = (prospect.side > 0) | court.instrument.can_short
    kept: Floats = np.ones(len(where))
    exposure: Floats = np.full(len(where), np.inf)
    for each in claimed:
        # Halves of thirds are not what thirds of halves are, once both were rounded down.
        where &= np.asarray(each.where) & ((kept == 1.0) | (np.asarray(each.kept) == 1.0))
        kept, exposure = kept * each.kept, np.minimum(exposure, each.exposure)
    where &= (kept > 0) & (kept <= 1) & (kept * entries.SHARES % 1 == 0)
    terms[entries.FALL] = _least([each.drawdown for each in claimed])
    terms[entries.DAY_FALL] = _least([each.daily_loss for each in claimed])
    unsure = prospect.confidence < int((court.threshold * 100).to_integral_value(ROUND_CEILING))
    certain = np.where(where, np.where(unsure, entries.UNSURE, entries.SURE), entries.ASK).astype(np.int8)
    return Certainty(certain, kept, exposure, terms)


def _least(bounds: Sequence[float]) -> float:
    """Not a number where one of them is none, so that nothing lies below it."""
    return float(np.min(bounds, initial=np.inf))


def _vector_rules(rules: Sequence[RiskRule]) -> list[VectorRule] | None:
    found = [rule for rule in rules if isinstance(rule, VectorRule)]
    return found if len(found) == len(rules) else None


def terms_of(sizing: SizingRules, instrument: Instrument, currency: str) -> Floats | None:
    """How sizes come about, in floats; ``None`` where they are not proportional to equity over price.

    The formulas of ``ffe_core.risk.sizing`` for an account that holds nothing and is kept in the quote currency.
    """
    one = Decimal(1)
    if sizing.method == "risk":
        factor = sizing.risk if 0 < sizing.risk <= LARGEST_RISK else USUAL_RISK
    elif sizing.method == "kelly":
        factor = kelly_fraction(sizing.kelly)
    elif sizing.method == "fixed_fraction":
        factor = sizing.risk
    elif sizing.method == "all_in":
        factor = one / (one + sizing.fee)
    else:
        return None
    mantissa, scale = _step(instrument.quantity_increment)
    if instrument.asset.quote not in (currency, "") or not scale:
        return None
    spent = sizing.buying_power if instrument.margin_rate == 1 else one
    largest = min(sizing.max_concentration, sizing.max_leverage, spent / (instrument.margin_rate + sizing.fee))
    made = np.full(entries.TERMS, np.inf)
    made[entries.FACTOR], made[entries.BY_RISK] = float(factor), float(sizing.method == "risk")
    made[entries.LARGEST], made[entries.MANTISSA], made[entries.SCALE] = float(largest), mantissa, scale
    made[entries.LEAST_UNITS] = float(instrument.minimum_quantity)
    made[entries.LEAST_WORTH] = float(instrument.minimum_notional)
    return made


def _step(increment: Decimal) -> tuple[float, float]:
    """``increment`` as a quotient of two whole floats; a second of 0 where it is none."""
    top, bottom = increment.as_integer_ratio()
    power = max(0, -int(increment.normalize().as_tuple().exponent))
    mantissa = top * (10**power // bottom)
    return (float(mantissa), 10.0**power) if power <= _EXACT_POWERS and mantissa < entries.WHOLE else (0.0, 0.0)
