"""Weights of the providers that answered, renormalised so that they always sum to one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

#: a float that stands for a third is read as a third; settings are written with far fewer digits than this
_FINEST = 10**9


def exact(weight: float) -> Fraction:
    """The rational number that a float weight was meant to be. Raises ``ValueError`` below zero or not finite."""
    if not math.isfinite(weight) or weight < 0:
        raise ValueError(f"a weight is a number of zero or more, not {weight}")
    return Fraction(weight).limit_denominator(_FINEST)


def original_weights(panel: Sequence[str], configured: Mapping[str, float]) -> dict[str, Fraction]:
    """The share of each provider of the panel before anything failed.

    Providers without a configured weight share equally what an average configured one has; with nothing configured
    all are equal.
    """
    known = [exact(configured[name]) for name in panel if name in configured]
    usual = sum(known, Fraction(0)) / len(known) if known else Fraction(1)
    return renormalise({name: exact(configured[name]) if name in configured else usual for name in panel}, panel)


def renormalise(weights: Mapping[str, Fraction], active: Sequence[str]) -> dict[str, Fraction]:
    """``weights`` of the ``active`` ones, scaled to sum to one; all zero means equal shares."""
    if not active:
        return {}
    total = sum((weights[name] for name in active), Fraction(0))
    if total == 0:
        return {name: Fraction(1, len(active)) for name in active}
    return {name: weights[name] / total for name in active}


def as_floats(weights: Mapping[str, Fraction]) -> dict[str, float]:
    return {name: float(weight) for name, weight in weights.items()}
