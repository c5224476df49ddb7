"""Whether an object is what its port says, found when it is offered and not when it is needed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ffe_core.builtin.skills import Hedge, Stacking
from ffe_core.builtin.voting import Majority
from ffe_core.plugins.validate import NotConforming, capabilities, require_name, require_port
from ffe_core.ports import AIProvider, DataSource, Executor, Platform, RiskRule, VectorProvider
from ffe_core.testing.fakes import FakeExecutor, FakeProvider, FakeRule, FakeRuleProvider, FakeSource
from ffe_core.testing.venue import FakePlatform


class Source:
    name = "s"

    def serves(self, asset: Any) -> bool:
        return True

    def candles(self, asset: Any, timeframe: Any, *, start: Any, end: Any, limit: Any) -> Any: ...


@pytest.mark.parametrize(
    ("port", "offered"),
    [
        (DataSource, FakeSource()),
        (AIProvider, FakeProvider()),
        (VectorProvider, FakeRuleProvider()),
        (RiskRule, FakeRule()),
        (Platform, FakePlatform()),
        (Executor, FakeExecutor()),
        (DataSource, Source()),
    ],
)
def test_an_object_that_is_what_it_says_passes(port: type, offered: object) -> None:
    require_port(port, offered)


def test_arguments_may_be_swallowed_whole() -> None:
    class Whole(Source):
        def candles(self, *args: Any, **kwargs: Any) -> Any: ...

    require_port(DataSource, Whole())


def test_more_arguments_with_defaults_are_welcome() -> None:
    class More(Source):
        def serves(self, asset: Any, strictly: bool = False) -> bool:
            return strictly

    require_port(DataSource, More())


class NoCandles:
    name = "s"

    def serves(self, asset: Any) -> bool:
        return True


class OtherNames(Source):
    def serves(self, pair: Any) -> bool:
        return True


class Positional(Source):
    def candles(self, asset: Any, timeframe: Any, start: Any) -> Any: ...


class Demanding(Source):
    def serves(self, asset: Any, how: Any) -> bool:
        return True


class NotCallable(Source):
    serves = True  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("offered", "why"),
    [
        (NoCandles(), "NoCandles is no DataSource: candles is missing"),
        (OtherNames(), "OtherNames.serves does not take the argument asset"),
        (Positional(), "Positional.candles does not take the argument end"),
        (Demanding(), "Demanding.serves cannot be called with (asset): missing a required argument: 'how'"),
        (NotCallable(), "NotCallable.serves is not a method"),
        (Source, "Source is a class; an object of it is wanted"),
        (object(), "object is no DataSource: name is missing"),
        (None, "NoneType is no DataSource: name is missing"),
    ],
)
def test_an_object_that_is_not_says_what_is_missing(offered: object, why: str) -> None:
    with pytest.raises(NotConforming) as refused:
        require_port(DataSource, offered)
    assert refused.value.message == why


def test_capabilities_are_read_from_the_object() -> None:
    assert capabilities("source", FakeSource()) == {"QuoteSource"}
    assert capabilities("source", Source()) == set()
    assert capabilities("provider", FakeRuleProvider()) == {"VectorProvider"}
    assert capabilities("rule", FakeRule()) == set()
    assert [capabilities("strategy", one) for one in (Majority(), Hedge(), Stacking())] == [
        set(),
        {"Learner"},
        {"Learner"},
    ]


def test_a_capability_that_cannot_be_called_is_no_capability() -> None:
    class Quotes(Source):
        def quote(self) -> Any: ...

    with pytest.raises(NotConforming, match=r"Quotes\.quote does not take the argument asset"):
        capabilities("source", Quotes())


@pytest.mark.parametrize("name", ["a", "a-b_c9", "x" * 64])
def test_a_name_that_settings_can_spell_is_kept(name: str) -> None:
    assert require_name(name, "a source") == name


@pytest.mark.parametrize("name", ["", "A", "9a", "a b", "a.b", "ä", "x" * 65, "a\n", None, 3, SimpleNamespace()])
def test_a_name_that_settings_cannot_spell_is_refused(name: object) -> None:
    with pytest.raises(NotConforming, match="has no usable name"):
        require_name(name, "a source")
