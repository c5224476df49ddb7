"""The guard itself: deadlines, what is said of a failure, private copies, accepted answers."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from array import array
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.analysis.series import CandleSeries
from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.decisions import Note, Opinion, Ruling, RulingOutcome, Trust, Verdict
from ffe_core.domain.market import Candles
from ffe_core.domain.trading import Action, OrderState, Portfolio
from ffe_core.errors import (
    DataError,
    NoData,
    NotConfigured,
    PlatformError,
    PluginError,
    ProviderFailed,
    Refused,
    SafetyRefusal,
    SourceFailed,
    Unknown,
    UnknownName,
    UsageError,
)
from ffe_core.plugins import call, one_line
from ffe_core.plugins.accept import ITEM_LIMIT, TEXT_LIMIT, accept, accept_candles
from ffe_core.plugins.guard import BadAnswer, Guard, private
from ffe_core.plugins.proxies import guarded
from ffe_core.ports import Clearance, Learner, Signals
from ffe_core.testing.samples import (
    NOON,
    make_briefing,
    make_candles,
    make_opinion,
    make_order,
    make_portfolio,
    make_proposal,
    make_risk_context,
)
from tests.plugins.faults import METHODS, bare, candles, prospect

BTC = Asset.parse("BTCUSD")


def proxy(kind: str, capability: str = "", **methods: Any) -> Any:
    able = frozenset([capability] if capability else [])
    made = SimpleNamespace(name="culprit", model="m", local=False, **methods)
    return guarded(kind, made, Guard("bad", 5.0), "culprit", able)


# calls


def test_an_answer_in_time_comes_back() -> None:
    assert call("p", "adding", lambda a, b: a + b, 1, b=2, deadline=5) == 3


def test_an_interrupt_of_the_user_is_not_taken_for_one_of_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import Future

    def interrupted(_self: Future[int], timeout: float | None = None) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call("p", "waiting", lambda: 1, deadline=5)


def test_a_timeout_of_the_plugin_is_not_taken_for_the_deadline() -> None:
    def late() -> None:
        raise TimeoutError("the venue is slow")

    with pytest.raises(PluginError, match="plugin p: asking: TimeoutError: the venue is slow"):
        call("p", "asking", late, deadline=5)


def test_a_call_costs_less_than_five_milliseconds() -> None:
    began = time.perf_counter()
    for _ in range(50):
        call("p", "nothing", lambda: None, deadline=5)
    assert (time.perf_counter() - began) / 50 < 0.005


def test_a_hung_call_does_not_hold_up_the_end_of_the_process() -> None:
    code = """
import time
from ffe_core.domain.decisions import Opinion
from ffe_core.errors import ProviderFailed
from ffe_core.plugins.guard import Guard
from ffe_core.plugins.proxies import guarded
from ffe_core.testing.samples import make_briefing

class Stubborn:
    name, model, local = "stubborn", "m", False
    def ask(self, briefing, *, timeout):
        time.sleep(60)

try:
    guarded("provider", Stubborn(), Guard("p", 1), "stubborn", frozenset()).ask(make_briefing(), timeout=0.05)
except ProviderFailed as error:
    print(error)
print(time.time())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    ended = time.time()
    line, at = done.stdout.splitlines()
    assert line == "plugin p: provider stubborn: ask did not answer within 0.25 s"
    assert ended - float(at) < 1.0


def test_every_call_has_a_thread_of_its_own_and_names_it() -> None:
    names = [call("p", "asking", lambda: threading.current_thread().name, deadline=5) for _ in range(2)]
    assert names == ["ffe p asking"] * 2


# what is said


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("two\nlines\r\nand\ttabs", "two lines and tabs"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07bell\x07", "bell"),
        ("right\u202eot left", "rightot left"),
        ("nul\x00 and \x9b31mcsi", "nul and csi"),
        ("a \ud800 surrogate", "a surrogate"),
        ("x" * 1000, "x" * 297 + "..."),
    ],
)
def test_a_line_is_one_line_without_orders_to_the_terminal(text: str, line: str) -> None:
    assert one_line(text) == line


@given(st.text(max_size=400))
def test_a_line_is_printable_and_short_whatever_the_text(text: str) -> None:
    line = one_line(text, length=100)
    assert line.isprintable()
    assert len(line) <= 100


def test_a_secret_is_taken_out_of_the_line() -> None:
    assert one_line("GET /?key=tops3cret failed", secrets=("tops3cret",)) == "GET /?key=*** failed"


class OfThePlugin(NoData):
    """A plugin's own kind of one of our errors."""


def test_an_error_of_the_plugins_own_class_arrives_as_ours() -> None:
    def fails(*_: Any) -> Any:
        raise OfThePlugin("no\x1b[31m such\npair", hint="try\nanother")

    with pytest.raises(NoData) as failed:
        proxy("source", serves=fails).serves(BTC)
    assert type(failed.value) is NoData
    assert (failed.value.message, failed.value.hint) == ("no such pair", "try another")
    assert isinstance(failed.value.__cause__, OfThePlugin), "its traceback is there for whoever wants it"


@pytest.mark.parametrize(
    ("method", "passing"),
    [
        ("source.candles", [NoData("x"), DataError("x"), NotConfigured("x")]),
        ("provider.ask", [ProviderFailed("x"), NotConfigured("x")]),
        ("provider.with_params", [UsageError("x"), UnknownName("parameter", "a", ["b"])]),
        ("strategy.combine", [ValueError("x")]),
        ("platform.portfolio", [PlatformError("x"), NotConfigured("x"), NoData("x")]),
        ("platform.submit", [Refused("x"), Unknown("x")]),
    ],
)
def test_what_a_port_may_raise_comes_through(method: str, passing: list[Exception]) -> None:
    wanted = next(each for each in METHODS if str(each) == method)
    able = frozenset([wanted.capability] if wanted.capability else [])
    for error in passing:

        def fails(*_: Any, error: Exception = error, **__: Any) -> Any:
            raise error

        with pytest.raises(type(error)) as failed:
            wanted.call(guarded(wanted.kind, bare(wanted, fails), Guard("bad", 5.0), "culprit", able))
        assert type(failed.value) is type(error)
        assert str(failed.value) == str(error)


@pytest.mark.parametrize("method", ["submit", "cancel", "close", "protect"])
@pytest.mark.parametrize("error", [PlatformError("500"), NotConfigured("no key"), SafetyRefusal("no"), ValueError("x")])
def test_an_order_of_unknown_outcome_is_never_a_failed_order(method: str, error: Exception) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise error

    wanted = next(each for each in METHODS if str(each) == f"platform.{method}")
    with pytest.raises(Unknown):
        wanted.call(proxy("platform", **{method: fails}))


# private copies


def test_a_private_copy_is_equal_and_shares_nothing_that_can_change() -> None:
    briefing = make_briefing(indicators={"a": 1.0})
    copy = private(briefing)
    assert copy == briefing
    assert copy is not briefing
    assert copy.pulse is not briefing.pulse
    assert copy.pulse.frames is not briefing.pulse.frames
    assert copy.indicators is not briefing.indicators


def test_a_private_copy_of_a_briefing_costs_little() -> None:
    briefing = make_briefing()
    began = time.perf_counter()
    for _ in range(20):
        private(briefing)
    assert (time.perf_counter() - began) / 20 < 0.005


def test_a_private_copy_of_candles_shares_the_columns_themselves() -> None:
    series = make_candles(bars=10)
    copy = private(series)
    assert copy is not series
    assert copy.close is series.close


def test_a_rule_cannot_write_to_an_indicator_that_others_read() -> None:
    series = CandleSeries(candles())
    seen: list[str] = []

    def writes(view: Any) -> Signals:
        import numpy as np

        try:
            view.indicator("sma", period=5)[:] = 0
        except ValueError as error:
            seen.append(str(error))
        return Signals(np.zeros(30, np.int8), np.zeros(30, np.int8))

    before = series.indicator("sma", period=5).copy()
    proxy("provider", "VectorProvider", ask_all=writes).ask_all(series)
    assert seen == ["assignment destination is read-only"]
    assert (series.indicator("sma", period=5)[4:] == before[4:]).all()


def test_a_rule_cannot_write_to_the_prospect_that_others_read() -> None:
    def writes(seen: Any) -> Clearance:
        seen.price[:] = 0
        return Clearance()

    with pytest.raises(PluginError, match="read-only"):
        proxy("rule", "VectorRule", clearance=writes).clearance(prospect())
    assert prospect().price.tolist() == [1.0, 1.0]


def test_what_a_rule_claims_is_checked_and_copied() -> None:
    import numpy as np

    where, kept = np.array([True, False]), np.array([1.0, 0.5])
    said = Clearance(where, kept=kept, exposure=1, drawdown=0.1)
    made = proxy("rule", "VectorRule", clearance=lambda _: said).clearance(prospect())
    where[:], kept[:] = True, 0.0
    assert (made.where.tolist(), made.kept.tolist(), float(made.exposure)) == ([True, False], [1.0, 0.5], 1.0)
    assert (made.drawdown, made.daily_loss) == (0.1, np.inf)
    for wrong in (
        Clearance(where=np.ones(3, np.bool_)),
        Clearance(where=1),
        Clearance(kept="x"),
        Clearance(drawdown="x"),
    ):
        with pytest.raises(PluginError, match="answered"):
            proxy("rule", "VectorRule", clearance=lambda _, wrong=wrong: wrong).clearance(prospect())


# answers


def test_accepted_candles_lie_in_memory_that_nobody_can_write_to() -> None:
    column = array("d", [1.0, 2.0])
    made = Candles.of(
        BTC, Timeframe.H1, "x", time=[0, 3_600_000], open=column, high=column, low=column, close=column, volume=column
    )
    accepted = accept_candles(made)
    column[0] = 99.0
    assert list(accepted.close) == [1.0, 2.0]
    assert isinstance(accepted.close.obj, bytes)
    assert accepted.fingerprint != made.fingerprint, "what the plugin kept has changed, what we have has not"


def test_many_bars_are_checked_by_whole_columns() -> None:
    sound = make_candles(bars=6000)
    assert accept_candles(sound).fingerprint == sound.fingerprint
    close = array("d", sound.close)
    close[3000] = float("nan")
    time_ = array("q", sound.time)
    time_[10] = time_[9]
    for changes in ({"close": memoryview(close)}, {"time": memoryview(time_)}, {"open": sound.open[1:]}):
        with pytest.raises(BadAnswer):
            accept_candles(replace(sound, **changes))


@pytest.mark.parametrize(
    "column",
    [[1.0], memoryview(b"12345678"), memoryview(array("f", [1.0])), memoryview(array("d", [1, 2, 3, 4]))[::2], None],
)
def test_a_column_that_is_no_plain_buffer_is_refused(column: Any) -> None:
    with pytest.raises(BadAnswer):
        accept_candles(replace(make_candles(bars=1), close=column))


def test_a_source_answers_what_it_was_asked() -> None:
    def at(hour: int) -> datetime:
        return NOON + timedelta(hours=hour)

    source = proxy("source", candles=lambda *_, **__: make_candles(bars=30))
    bars = source.candles(BTC, Timeframe.H1, start=at(-10), end=at(-2), limit=3)
    assert [len(bars), bars.time[0] >= 0] == [3, True]
    assert bars.close_time(-1) <= int(at(-2).timestamp() * 1000), "nothing after the end that was asked for"
    with pytest.raises(SourceFailed, match="asked for ETHUSD 1h, answered BTCUSD 1h"):
        source.candles(Asset.parse("ETHUSD"), Timeframe.H1, start=None, end=None, limit=None)
    with pytest.raises(SourceFailed, match="asked for BTCUSD 4h"):
        source.candles(BTC, Timeframe.H4, start=None, end=None, limit=None)
    with pytest.raises(NoData):
        source.candles(BTC, Timeframe.H1, start=at(100), end=None, limit=None)


def test_an_opinion_cannot_pass_for_another_providers() -> None:
    provider = proxy("provider", ask=lambda *_, **__: make_opinion("somebody else"))
    opinion = provider.ask(make_briefing(), timeout=5)
    assert (opinion.provider, opinion.local) == ("culprit", False)


def test_an_opinion_that_reports_an_error_is_a_failure() -> None:
    provider = proxy("provider", ask=lambda *_, **__: Opinion.failure("x", "m", "quota\nspent"))
    with pytest.raises(ProviderFailed, match="plugin bad: quota spent"):
        provider.ask(make_briefing(), timeout=5)


def _unchecked(kind: type, like: Any, **changes: Any) -> Any:
    made = object.__new__(kind)
    for name in kind.__dataclass_fields__:
        object.__setattr__(made, name, changes.get(name, getattr(like, name)))
    return made


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"confidence": 101}, "confidence 101 is not within 0-100"),
        ({"confidence": True}, "bool instead of int in confidence"),
        ({"confidence": 60.0}, "float instead of int in confidence"),
        ({"action": "BUY"}, "str instead of Action in action"),
        ({"reasoning": "  "}, "reasoning is blank"),
        ({"latency_ms": float("nan")}, "nan in latency_ms"),
        ({"amount": Decimal("NaN")}, "NaN in amount"),
        ({"reasoning": "x" * (TEXT_LIMIT + 1)}, f"more than {TEXT_LIMIT} characters in reasoning"),
    ],
)
def test_an_opinion_that_was_built_behind_its_own_checks_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(BadAnswer, match=why):
        accept(Opinion, _unchecked(Opinion, make_opinion(), **changes))


@pytest.mark.parametrize("confidence", [-1, 101])
def test_a_verdict_beyond_certainty_is_refused(confidence: int) -> None:
    strategy = proxy("strategy", combine=lambda _: Verdict(Action.BUY, confidence, 50, "x", None))
    with pytest.raises(PluginError, match="not within 0-100"):
        strategy.combine(next(each for each in METHODS if each.name == "combine"))


def test_a_rule_may_shrink_and_never_enlarge() -> None:
    proposal = make_proposal(quantity=Decimal("0.1"))
    for after, sound in (("0.05", True), ("0", True), ("0.2", False), ("-1", False)):
        ruling = Ruling("x", RulingOutcome.CLAMPED, "why", Decimal("0.2"), Decimal(after))
        rule = proxy("rule", check=lambda *_, ruling=ruling: ruling)
        if sound:
            assert rule.check(proposal, make_risk_context()).rule == "culprit"
        else:
            with pytest.raises(PluginError):
                rule.check(proposal, make_risk_context())


def test_a_report_about_another_order_leaves_the_order_unknown() -> None:
    report = next(each for each in METHODS if each.name == "submit").sound()
    venue = proxy("platform", submit=lambda _: replace(report, client_order_id="another"))
    with pytest.raises(Unknown, match="asked about order order-1, answered about another"):
        venue.submit(make_order())
    venue = proxy("platform", submit=lambda _: replace(report, filled_quantity=Decimal(-1)))
    with pytest.raises(Unknown):
        venue.submit(make_order())
    assert report.state is OrderState.FILLED


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (Note, Note("x", Trust.OWN, NOON, "y").text, "str instead of Note"),
        (tuple[Note, ...], {"a": 1}, "dict instead of a list"),
        (dict[str, float], {"a": "1"}, "str instead of float"),
        (dict[str, float], {1: 1.0}, "int instead of str"),
        (dict[str, float], {"a": True}, "bool instead of float"),
        (tuple[str, ...], ["x"] * (ITEM_LIMIT + 1), f"more than {ITEM_LIMIT} items"),
        (tuple[tuple[str, ...], str], (["a"],), "1 values instead of 2"),
        (datetime, datetime(2024, 1, 1), "an instant without a time zone"),
        (dict[str, Any], {"a": object()}, "object in a, which cannot be recorded"),
        (dict[str, Any], {"a": [1, float("inf")]}, "inf"),
        (bool, 1, "int instead of bool"),
    ],
)
def test_an_answer_of_another_shape_is_refused_with_the_place(kind: Any, value: Any, why: str) -> None:
    with pytest.raises(BadAnswer, match=why):
        accept(kind, value)


def test_an_answer_without_a_bottom_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(BadAnswer, match="nested deeper"):
        accept(dict[str, Any], endless)


def test_open_values_arrive_as_plain_ones() -> None:
    class Own(Enum):
        RED = "red"

    class Text(str):
        __slots__ = ()

    accepted = accept(dict[str, Any], {"own": Own.RED, "text": Text("x"), "action": Action.BUY, "list": [1, (2,)]})
    assert accepted == {"own": "red", "text": "x", "action": Action.BUY, "list": [1, (2,)]}
    assert (type(accepted["own"]), type(accepted["text"])) == (str, str)


def test_a_subclass_of_ours_arrives_as_ours() -> None:
    class Loud(Portfolio):
        @property
        def equity(self) -> Decimal | None:
            return Decimal("1e9")

    portfolio = make_portfolio()
    loud = Loud(portfolio.platform, portfolio.account, portfolio.currency, portfolio.cash)
    accepted = accept(Portfolio, loud)
    assert type(accepted) is Portfolio
    assert accepted.equity == portfolio.cash


def test_a_rule_with_other_parameters_is_behind_the_same_guard() -> None:
    from ffe_core.testing.fakes import FakeRuleProvider

    rule: Any = guarded("provider", FakeRuleProvider(), Guard("good", 5.0), "fake_rule", frozenset(["VectorProvider"]))
    varied = rule.with_params(window=3)
    assert repr(varied) == "<provider fake_rule of plugin good>"
    ours, bare_ = varied.ask_all(CandleSeries(candles())), FakeRuleProvider(window=3).ask_all(CandleSeries(candles()))
    assert (ours.action == bare_.action).all()
    with pytest.raises(UsageError, match="has no parameter speed"):
        rule.with_params(speed=3)


@pytest.mark.parametrize("wanted", [0, -3, 100_001, True, 2.0, "7", None])
def test_a_strategy_that_wants_no_number_of_outcomes_is_refused(wanted: Any) -> None:
    made = SimpleNamespace(name="odd", history=wanted, combine=lambda ballot: None)
    with pytest.raises(BadAnswer):
        guarded("strategy", made, Guard("test", 5.0), "odd", frozenset({"Learner"}))


def test_what_a_strategy_wants_to_remember_is_read_once() -> None:
    made = SimpleNamespace(name="odd", history=7, combine=lambda ballot: None)
    held = guarded("strategy", made, Guard("test", 5.0), "odd", frozenset({"Learner"}))
    made.history = 9
    assert isinstance(held, Learner)
    assert held.history == 7
    assert not isinstance(guarded("strategy", made, Guard("test", 5.0), "odd", frozenset()), Learner)
