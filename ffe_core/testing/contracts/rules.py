"""What a risk rule must do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

from ffe_core.domain.decisions import Proposal, RiskContext, Ruling, RulingOutcome
from ffe_core.domain.market import Freshness
from ffe_core.domain.trading import Effect, Mode, TradingState
from ffe_core.ports import RiskRule
from ffe_core.testing.contracts.base import Contract, ContractBroken, broken, not_applicable, require, spelled
from ffe_core.testing.samples import make_proposal, make_risk_context

OPTIONAL = ("before", "after", "instrument", "daily_returns", "peak_equity", "day_start_equity", "closed_trades")
OBJECTIONS = (RulingOutcome.VETOED, RulingOutcome.CLAMPED)
UNJUDGED = (RulingOutcome.UNAVAILABLE, RulingOutcome.NOT_APPLICABLE)


class RiskRuleContract(Contract):
    """A rule is pure, makes sizes smaller or vetoes, lets exits pass, and says so where it cannot judge.

    ``breach``, where given, returns a proposal and a context that the rule must object to. ``needs`` names the fields
    of ``RiskContext`` without which it cannot judge an entry. ``guards_data`` marks a rule that checks whether the
    data are sane, the only kind that may stop an exit.
    """

    port = RiskRule
    factory: ClassVar[Callable[[], RiskRule]]
    breach: ClassVar[Callable[[], tuple[Proposal, RiskContext]] | None] = None
    needs: ClassVar[tuple[str, ...]] = ()
    guards_data: ClassVar[bool] = False

    def check(self, proposal: Proposal, context: RiskContext, rule: RiskRule | None = None) -> Ruling:
        """The ruling, checked for being legal."""
        asked = rule or self.make()
        try:
            made: Any = asked.check(proposal, context)
        except Exception as error:
            raise ContractBroken(f"raised {type(error).__name__}: {error}; a ruling is meant to say it") from error
        if not isinstance(made, Ruling):
            broken(f"check() returned {type(made).__name__}, not a Ruling")
        require(made.rule == asked.name, f"the ruling is signed {made.rule!r}, the rule is {asked.name!r}")
        require(isinstance(made.outcome, RulingOutcome), f"outcome {made.outcome!r} is none that there is")
        if made.outcome in OBJECTIONS:
            require(made.reason.strip(), f"{made.outcome} without a reason")
        return made

    def test_a_calm_entry_gets_a_legal_ruling(self) -> None:
        proposal = make_proposal()
        self.check(proposal, make_risk_context(proposal))

    def test_the_same_question_gets_the_same_ruling(self) -> None:
        proposal = make_proposal()
        context, made = make_risk_context(proposal), self.make()
        first = self.check(proposal, context, made)
        for again in (self.check(proposal, context, made), self.check(proposal, context)):
            require(spelled(first) == spelled(again), f"one question got {first.outcome} and then {again.outcome}")

    def test_proposal_and_context_stay_as_they_were(self) -> None:
        proposal = make_proposal()
        context = make_risk_context(proposal)
        before = spelled([proposal, context])
        self.check(proposal, context)
        require(spelled([proposal, context]) == before, "the rule changed what the next rule will read")

    def test_no_size_is_ever_made_larger(self) -> None:
        for quantity in ("0.0001", "0.01", "0.1", "0.4", "2", "50"):
            proposal = make_proposal(quantity=Decimal(quantity))
            for context in (make_risk_context(proposal), breached(make_risk_context(proposal))):
                ruling = self.check(proposal, context)
                if ruling.outcome is not RulingOutcome.CLAMPED:
                    continue
                require(ruling.after is not None and ruling.after >= 0, f"clamped to {ruling.after}")
                require(
                    ruling.after is not None and ruling.after <= Decimal(quantity),
                    f"{quantity} units went in and {ruling.after} came out",
                )
                require(ruling.before == Decimal(quantity), f"says it cut from {ruling.before}, it was {quantity}")

    def test_an_exit_passes_while_every_limit_is_breached(self) -> None:
        if self.guards_data:
            not_applicable("a rule on the sanity of data may stop an exit")
        for effect in (Effect.CLOSE, Effect.REDUCE):
            proposal = make_proposal(effect)
            ruling = self.check(proposal, breached(make_risk_context(proposal)))
            require(ruling.outcome not in OBJECTIONS, f"{effect} was {ruling.outcome}: {ruling.reason}")

    def test_absent_inputs_are_no_crash(self) -> None:
        proposal = make_proposal()
        context = make_risk_context(proposal)
        for name in OPTIONAL:
            self.check(proposal, without(context, name))
        nothing = without(context, *OPTIONAL)
        self.check(proposal, nothing)
        self.check(make_proposal(Effect.CLOSE), nothing)
        self.check(make_proposal(quantity=None), context)

    def test_what_it_needs_and_lacks_is_unavailable(self) -> None:
        if not self.needs:
            not_applicable("`needs` names no input")
        proposal = make_proposal()
        for name in self.needs:
            ruling = self.check(proposal, without(make_risk_context(proposal), name))
            require(ruling.outcome in UNJUDGED, f"without {name} it said {ruling.outcome}")

    def test_it_objects_to_a_breach(self) -> None:
        proposal, context = self.make_by("breach")
        ruling = self.check(proposal, context)
        require(ruling.outcome in OBJECTIONS, f"the breach was {ruling.outcome}")


def without(context: RiskContext, *names: str) -> RiskContext:
    absent: dict[str, Any] = dict.fromkeys(names)
    return replace(context, **absent)


def breached(context: RiskContext) -> RiskContext:
    """``context`` on the worst of days: live, halted, deep in drawdown, with stale data and a closed market."""
    stale = Freshness(False, "critical", 1e6, "11 days", "the newest bar is 11 days overdue")
    crash = {
        symbol: [(day, -abs(value) * 10) for day, value in series]
        for symbol, series in (context.daily_returns or {}).items()
    }
    return replace(
        context,
        mode=Mode.LIVE,
        state=TradingState.HALTED,
        freshness=stale,
        market=replace(context.market, freshness=stale, volatility=0.5),
        status=replace(context.status, is_open=False, entries_allowed=False),
        daily_returns=crash,
        peak_equity=Decimal(1_000_000),
        day_start_equity=Decimal(1_000_000),
    )
