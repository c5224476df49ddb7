"""Every method of every port, misbehaving in every way: one typed error that names the culprit, and nothing more."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from ffe_core.domain.codec import canonical_json
from ffe_core.errors import FfeError
from ffe_core.hookspecs import COMPOSITION_HOOKS
from ffe_core.plugins.guard import Guard
from ffe_core.plugins.proxies import guarded
from ffe_core.plugins.validate import CAPABILITIES, members
from ffe_core.ports import AggregationStrategy, AIProvider, DataSource, Executor, Platform, RiskRule
from tests.plugins import faults
from tests.plugins.faults import FAULTS, METHODS, TEN_MEGABYTES, Method

PORTS: dict[str, type] = {
    "source": DataSource,
    "provider": AIProvider,
    "strategy": AggregationStrategy,
    "rule": RiskRule,
    "platform": Platform,
    "executor": Executor,
}
every_method = pytest.mark.parametrize("method", METHODS, ids=str)
# An executor works on the caller's thread, without a deadline, so that an interrupt reaches whatever waits for it.
every_method_with_a_deadline = pytest.mark.parametrize(
    "method", [method for method in METHODS if str(method) != "executor.map"], ids=str
)
# What a task returns is the task's business.
every_method_that_is_checked = pytest.mark.parametrize(
    "method", [method for method in METHODS if not method.any_answer and method.kind != "executor"], ids=str
)
# with_params answers an object like itself: see its own test.
every_method_with_an_answer = pytest.mark.parametrize(
    "method", [method for method in METHODS if method.name != "with_params"], ids=str
)


def test_every_method_of_every_port_is_among_them() -> None:
    ports = [(kind, port) for kind, main in PORTS.items() for port in (main, *CAPABILITIES.get(kind, ()))]
    methods = {(kind, name) for kind, port in ports for name, method in members(port) if method is not None}

    assert set(PORTS.values()) == set(COMPOSITION_HOOKS.values())
    assert methods == {(method.kind, method.name) for method in METHODS}


def engine_side(method: Method, function: Callable[..., Any], deadline: float = 5.0) -> Any:
    able = frozenset([method.capability] if method.capability else [])
    return guarded(method.kind, faults.bare(method, function), Guard("bad", deadline), "culprit", able)


def failure(method: Method, function: Callable[..., Any], deadline: float = 5.0) -> FfeError:
    with pytest.raises(FfeError) as failed:
        method.call(engine_side(method, function, deadline))
    assert type(failed.value) is method.raises
    line = failed.value.message
    assert line.startswith(f"plugin bad: {method.kind} culprit: {method.name}")
    assert line.isprintable()
    assert len(line) < 400
    return failed.value


@every_method
@pytest.mark.parametrize("fault", FAULTS)
def test_a_misbehaving_method_is_one_line_that_names_plugin_and_method(method: Method, fault: str) -> None:
    if str(method) == "executor.map" and fault == "raises KeyboardInterrupt":
        with pytest.raises(KeyboardInterrupt):
            method.call(engine_side(method, FAULTS[fault]))
        return
    if method.any_answer and fault.startswith("answers"):
        method.call(engine_side(method, FAULTS[fault]))
        return
    failure(method, FAULTS[fault])


@every_method
def test_none_is_an_answer_only_where_the_port_says_so(method: Method) -> None:
    if method.any_answer or method.optional:
        assert method.call(engine_side(method, lambda *_, **__: None)) is None
    else:
        failure(method, lambda *_, **__: None)


@every_method_with_a_deadline
def test_a_method_that_hangs_is_left_behind_at_its_deadline(method: Method) -> None:
    began = time.perf_counter()
    assert "did not answer within" in failure(method, faults.hangs, deadline=0.005).message
    assert time.perf_counter() - began < 3


@every_method_that_is_checked
@pytest.mark.parametrize("spoil", [float("nan"), float("inf"), TEN_MEGABYTES], ids=["nan", "infinity", "ten megabytes"])
def test_an_answer_with_a_number_or_text_beyond_all_bounds_is_refused(method: Method, spoil: Any) -> None:
    failure(method, lambda *_, **__: faults.spoiled(method.sound(), spoil))


@every_method_with_an_answer
def test_changing_what_it_was_handed_changes_nothing_for_others(method: Method) -> None:
    before = canonical_json(list(faults.INPUTS)), faults.candles().fingerprint
    method.call(engine_side(method, faults.vandal(method.sound)))
    assert (canonical_json(list(faults.INPUTS)), faults.candles().fingerprint) == before


@every_method_with_an_answer
def test_a_sound_answer_comes_through(method: Method) -> None:
    answer = method.call(engine_side(method, lambda *_, **__: method.sound()))
    if answer is not None and method.kind in ("source", "platform") and method.name != "candles":
        assert canonical_json(answer) == canonical_json(method.sound())


@every_method_with_an_answer
def test_what_it_prints_goes_nowhere_near_the_answer(method: Method, capsys: pytest.CaptureFixture[str]) -> None:
    def noisy(*_: Any, **__: Any) -> Any:
        print("noise")
        return method.sound()

    method.call(engine_side(method, noisy))
    assert capsys.readouterr().out == "noise\n"


def test_the_answer_is_not_the_object_that_the_plugin_keeps() -> None:
    kept: dict[str, Any] = {"votes": {"BUY": 1.0}}
    method = next(each for each in METHODS if each.name == "combine")
    verdict = method.sound()
    object.__setattr__(verdict, "metadata", kept)
    answer = method.call(engine_side(method, lambda *_: verdict))
    kept["votes"]["BUY"] = float("nan")
    object.__setattr__(verdict, "amount", Decimal("NaN"))
    assert answer.metadata == {"votes": {"BUY": 1.0}}
    assert answer.amount == 1
