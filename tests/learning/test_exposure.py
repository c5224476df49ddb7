"""What was scored of times that a model may have read about stands apart."""

from datetime import UTC, datetime, timedelta

import pytest

from ffe_core.ai.hindsight import Hindsight
from ffe_core.learning.exposure import split
from ffe_core.learning.outcomes import ForwardReturn, Scored

START = datetime(2024, 1, 1, tzinfo=UTC)
CLEAN, CONTAMINATED = Hindsight.CLEAN, Hindsight.CONTAMINATED


def scored(number, net, judged):
    at = START + timedelta(days=number)
    forward = ForwardReturn(at + timedelta(days=1), 100.0, net + 0.002, net, 0.01, 0.008)
    return judged, Scored.of("BTCUSD", at, forward)


def test_the_headline_counts_clean_decisions_only_where_there_are_any():
    parts = split([scored(0, 0.05, CONTAMINATED), scored(1, -0.01, CLEAN)])
    assert (parts.basis, parts.headline.scored, parts.contaminated.scored) == (CLEAN, 1, 1)


def test_without_a_clean_one_the_headline_says_what_it_is_made_of():
    parts = split([scored(number, 0.05, CONTAMINATED) for number in range(30)])
    assert parts.basis is CONTAMINATED
    assert parts.headline.mean_net == pytest.approx(0.05)
    assert parts.alpha_decay is None


def test_nothing_scored_is_nothing_contaminated():
    assert split([]).basis is CLEAN


def test_alpha_decay_is_the_clean_mean_less_the_contaminated_one():
    # Means by hand: 30 x -0.1 % and 30 x 1.9 %.
    clean = [scored(number, -0.001, CLEAN) for number in range(30)]
    contaminated = [scored(number, 0.019, CONTAMINATED) for number in range(30)]
    assert split(clean + contaminated).alpha_decay == pytest.approx(-0.02)
    assert split(clean + contaminated[:29]).alpha_decay is None
    assert split(clean[:29] + contaminated).alpha_decay is None
