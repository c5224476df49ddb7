"""Windows by calendar: parts of a span to learn from, each followed by a part to be judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from ffe_core import UsageError

SHORTEST_TRAIN, SHORTEST_TEST = 7, 7
TRAIN_DAYS, TEST_DAYS, STEP_DAYS = 180, 30, 30


@dataclass(frozen=True, slots=True)
class Lengths:
    """Days of training, of testing, and from one window to the next.

    ``embargo`` days lie between training and test. ``purge`` days at the end of the training are not learned from.
    """

    train: int = TRAIN_DAYS
    test: int = TEST_DAYS
    step: int = STEP_DAYS
    embargo: int = 1
    purge: int = 0

    def __post_init__(self) -> None:
        for name, least in (("train", 1), ("test", 1), ("step", 1), ("embargo", 0), ("purge", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} days are {getattr(self, name)}; at least {least} is needed")
        if self.purge >= self.train:
            raise UsageError(f"of {self.train} days of training {self.purge} purged ones leave nothing")

    @property
    def shortest(self) -> int:
        """Days that a span must have for one window."""
        return self.train + self.embargo + self.test


@dataclass(frozen=True, slots=True)
class Window:
    """``[train_start, train_end)`` is learned from, ``[test_start, test_end)`` is judged on, all UTC."""

    train_start: datetime
    train_end: datetime
    test_start: datetime
    test_end: datetime


class Severity(StrEnum):
    """How much of what training promised a test did not keep."""

    NONE = "NONE"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"

    @classmethod
    def of(cls, ratio: float) -> Severity:
        """By the average ratio of test to training: above 0.8, above 0.5, above 0.3, or not even that."""
        bounds = ((0.8, cls.NONE), (0.5, cls.LOW), (0.3, cls.MEDIUM))
        return next((severity for least, severity in bounds if ratio > least), cls.HIGH)

    @property
    def is_overfit(self) -> bool:
        return self in (Severity.MEDIUM, Severity.HIGH)

    @property
    def recommendation(self) -> str:
        return _RECOMMENDATIONS[self]


_RECOMMENDATIONS = {
    Severity.NONE: "What was learned held in the tests; go on to paper trading.",
    Severity.LOW: "Most of what was learned held in the tests; expect somewhat less than training shows.",
    Severity.MEDIUM: "Much of what was learned did not hold; try fewer parameters or longer training first.",
    Severity.HIGH: "What was learned did not hold in the tests; do not trade this.",
}


def lengths_of(days: int, ratio: float, *, embargo: int = 1, purge: int = 0) -> Lengths:
    """Lengths for a span of ``days``: train = int(days x ratio x 0.7), test = int(days x (1 - ratio)), step = test / 4.

    At least a week of training and of testing, and a step of a day. Raises ``UsageError`` where the span is too short,
    with the days that it needs.
    """
    if not 0 < ratio < 1:
        raise UsageError(f"a ratio of {ratio:g} leaves nothing to learn from or nothing to test on")
    found = _lengths(days, ratio, embargo, purge)
    if found.train < SHORTEST_TRAIN or found.shortest > days:
        least = next(each for each in range(days + 1, 10_000_000) if _fits(each, ratio, embargo, purge))
        raise UsageError(f"{days} days are too short for a walk-forward; at this ratio it takes {least}")
    return found


def _fits(days: int, ratio: float, embargo: int, purge: int) -> bool:
    found = _lengths(days, ratio, embargo, purge)
    return found.train >= SHORTEST_TRAIN and found.shortest <= days


def _lengths(days: int, ratio: float, embargo: int, purge: int) -> Lengths:
    # In floats 60 x (1 - 0.8) is a little less than 12.
    share = Decimal(repr(ratio))
    test = max(SHORTEST_TEST, int(days * (1 - share)))
    return Lengths(max(int(days * share * Decimal("0.7")), purge + 1), test, max(1, test // 4), embargo, purge)


def windows(start: datetime, end: datetime, lengths: Lengths) -> tuple[Window, ...]:
    """All windows of ``[start, end]`` in order; the last test ends at ``end`` at the latest.

    Raises ``UsageError`` for a span that ends before it starts, and where not one window fits.
    """
    if start >= end:
        raise UsageError(f"the span ends ({end:%Y-%m-%d}) before it starts ({start:%Y-%m-%d})")
    day, made = timedelta(days=1), []
    begin = start
    while True:
        train_end = begin + lengths.train * day
        test_start = train_end + lengths.embargo * day
        test_end = test_start + lengths.test * day
        if test_end > end:
            break
        made.append(Window(begin, train_end - lengths.purge * day, test_start, test_end))
        begin += lengths.step * day
    if not made:
        raise UsageError(f"{(end - start).days} days are too short; one window takes {lengths.shortest}")
    return tuple(made)


def held(test: float | None, train: float | None) -> float:
    """The ratio of test to training; 0 where training found nothing that a test could keep.

    A training without profit is no promise: whatever the test then shows is not what was learned, and counts as nothing
    kept, not as everything.
    """
    if train is None or train <= 0 or test is None:
        return 0.0
    return test / train


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
