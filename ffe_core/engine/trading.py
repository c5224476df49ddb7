"""From a stored decision to a filled, protected position, and out of it again. The only place that sends orders.

Every order takes the same way: prepared, committed to the journal, marked as sent, sent once, and what came back is
booked. A lost answer is asked for, never repeated. What the user sees as done is what the venue said.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from ffe_core.domain.assets import Asset, AssetKind
from ffe_core.domain.decisions import Decision, Proposal, Ruling, Verdict
from ffe_core.domain.events import Alert, Severity
from ffe_core.domain.ledger import LedgerKey
from ffe_core.domain.market import Quote
from ffe_core.domain.trading import (
    Effect,
    Mode,
    Order,
    OrderReport,
    OrderState,
    OrderType,
    Portfolio,
    Position,
    Side,
)
from ffe_core.engine.decide import DecisionInputs, risk_context
from ffe_core.engine.marking import mark_at_quote, marked_if_possible, price_now, show_bars
from ffe_core.engine.permission import Permission
from ffe_core.engine.plans import Change, Executed, Plan, changed, levels, side_of
from ffe_core.engine.refusals import refuse_late_entry, refuse_what_cannot_be_acted_on
from ffe_core.engine.venues import Venue, answering, held_at
from ffe_core.errors import FfeError, PlatformError, Refused, SafetyRefusal, SettingsError, UsageError
from ffe_core.execution.clearing import PATIENCE, clear, standing, take_back, without_stop
from ffe_core.execution.journal import DOUBTFUL, Journal, client_order_id
from ffe_core.execution.reconcile import Reconciled, Reconciler
from ffe_core.execution.router import where_held
from ffe_core.execution.trades import round_trips
from ffe_core.learning.scoring import trade_outcome
from ffe_core.ports import Platform
from ffe_core.risk.exposure import Account
from ffe_core.risk.gate import is_tradable, judge, shrink
from ffe_core.risk.sizing import propose
from ffe_core.store.orders import FINAL, JournalEntry

if TYPE_CHECKING:
    from ffe_core.engine import Engine

PROTECT = "protect"


@dataclass(slots=True)
class Trading:
    """Orders of one engine. ``sleep`` takes seconds; ``live`` is the user's word on this command."""

    engine: Engine
    live: bool = False
    sleep: Callable[[float], None] = time.sleep
    _armed: set[str] = field(default_factory=set)

    @property
    def journal(self) -> Journal:
        return Journal(self.engine.store.database)

    # entering and leaving by a decision

    def plan(self, decision_id: str, *, below_threshold: bool = False, change: Change | None = None) -> Plan:
        """What ``execute`` would send. Raises ``SafetyRefusal`` with the reason where it would send nothing."""
        return self._plan(decision_id, below_threshold=below_threshold, change=change)[0]

    def execute(self, decision_id: str, *, below_threshold: bool = False, change: Change | None = None) -> Executed:
        """Sends what the decision means, by the account and the price of now, and protects what it opens.

        Raises ``SafetyRefusal``, ``Refused`` where the venue said no, ``PlatformError`` where it cannot be asked. An
        order whose answer was lost is a result: its state is UNKNOWN until the venue says.
        """
        plan, venue, account = self._plan(decision_id, below_threshold=below_threshold, change=change)
        if plan.order.reduce_only:
            position = venue.portfolio.position(plan.order.asset)
            assert position is not None  # noqa: S101 - an exit is planned on a position
            return self._leave(venue, position, plan.decision.id, "exit")
        entry = self._permission(venue).entry(plan.order, account, lambda: self._enter(venue, plan.order))
        fills = tuple(self.journal.fills(plan.order.client_order_id))
        if entry.state is OrderState.REJECTED:
            raise Refused(f"{venue.platform.name} refused the order: {entry.events[-1].reason}")
        if not entry.filled:
            return Executed(entry, fills)
        protection, remarks = self._protect(venue, plan, entry)
        return Executed(entry, fills, protection, remarks)

    def _enter(self, venue: Venue, order: Order) -> JournalEntry:
        """Sent, and what is not filled in time taken back: filled behind our back it would have no stop."""
        entry = self._send(venue, order, venue.platform.submit, decided=True)
        return entry if entry.state in FINAL else take_back(venue.reconciler, entry)

    def _permission(self, venue: Venue) -> Permission:
        return Permission(self.engine.store, venue.key, self.engine.clock)

    def _plan(self, decision_id: str, *, below_threshold: bool, change: Change | None) -> tuple[Plan, Venue, Account]:
        stored = self.engine.store.get(decision_id)
        decision = stored.decision
        executed = stored.executed or bool(self.journal.of_decision(decision.id))
        refuse_what_cannot_be_acted_on(decision, self.engine.settings.mode, executed=executed)
        asked_at = self.engine.clock.now()
        inputs, quote = self._inputs_now(decision)
        venue = self.venue(decision.market.synthetic, inputs.portfolio)
        self._reconcile_asset(venue, inputs.briefing.asset)
        price = price_now(self.engine, venue.platform, inputs, quote)
        proposal = self._proposal(decision, inputs, change)
        self._permission(venue).require(proposal.effect, proposal.asset)
        if proposal.is_entry:
            self._require_reconciled(venue)
            self._require_no_crash_loop(venue)
            is_short = proposal.effect is Effect.OPEN_SHORT
            sure = below_threshold or change is not None
            refuse_late_entry(
                decision,
                price,
                self.engine.clock.now(),
                self.engine.settings.decision,
                is_short=is_short,
                below_threshold=sure,
            )
        judgement = judge(proposal, risk_context(inputs, proposal), self.engine.registry.rules_by_name().values())
        if judgement.vetoed:
            raise SafetyRefusal(f"vetoed now: {'; '.join(judgement.veto_reasons)}")
        judged = judgement.proposal
        if change is None:
            judged = self._no_larger(judged, decision, inputs)
        if change is not None and change.quantity is not None and judged.quantity != change.quantity:
            raise SafetyRefusal(f"vetoed: the limits allow {judged.quantity}, and {change.quantity} was approved")
        if judged.is_entry and not is_tradable(judged.quantity, judged.entry_price, inputs.instrument):
            raise SafetyRefusal("nothing that the venue would take is left of the size")
        order = self._order(decision, judged)
        plan = self._priced(decision, order, judged, inputs, venue, judgement.rulings, change)
        held = inputs.portfolio or venue.portfolio
        return plan, venue, Account(held, asked_at, inputs.instrument, judged.entry_price, inputs.sizing)

    def _require_reconciled(self, venue: Venue) -> None:
        """Nothing is opened at a venue that does not say what became of what was sent before; paper always does."""
        unanswered = () if self.engine.settings.mode is Mode.PAPER else self.settle(venue).unanswered
        if unanswered:
            told = f"{venue.platform.name} does not say what became of earlier orders: {'; '.join(unanswered)}"
            raise SafetyRefusal(told, hint="`ffe orders` asks again")

    def _require_no_crash_loop(self, venue: Venue) -> None:
        told = self._permission(venue).stop_crash_loop(self.journal)
        if told:
            self._alert("crash_loop", told)
            raise SafetyRefusal(told, hint="`ffe orders` shows them; `ffe arm` lets orders through again")

    def _alert(self, kind: str, told: str) -> None:
        alert = Alert(kind, Severity.CRITICAL, told, self.engine.clock.now())
        self.engine.registry.emit("ffe_alert_raised", alert=alert)

    def _inputs_now(self, decision: Decision) -> tuple[DecisionInputs, Quote | None]:
        """The market and the account as they are now, gathered the way the decision's were."""
        asset = Asset.parse(decision.asset_pair, kind=AssetKind(decision.asset_type))
        source = decision.market.source if decision.market.source in self.engine.registry.sources else None
        inputs, quote = self.engine.inputs_now(asset, source)
        if inputs.briefing.market.synthetic is not decision.market.synthetic:
            raise SafetyRefusal("the decision was made on other prices than there are now (synthetic and real)")
        return inputs, quote

    def _proposal(self, decision: Decision, inputs: DecisionInputs, change: Change | None) -> Proposal:
        """What the decision means to the account of now."""
        verdict = Verdict(
            decision.action,
            decision.confidence,
            decision.raw_confidence,
            decision.reasoning,
            None,
            dict(decision.ensemble_metadata),
        )
        proposal = propose(
            inputs.briefing.asset,
            verdict,
            entry=inputs.entry_price,
            pulse=inputs.briefing.pulse,
            portfolio=inputs.portfolio,
            instrument=inputs.instrument,
            rules=inputs.sizing,
            reservations=inputs.reservations,
        )
        if proposal.effect is Effect.NONE:
            raise SafetyRefusal(f"there is nothing to do any more ({proposal.effect_reason})")
        if proposal.is_entry is not decision.effect.is_entry:
            raise SafetyRefusal(
                f"the account has changed: {decision.action} would now {proposal.effect.value.replace('_', ' ')}"
            )
        if not proposal.is_entry:
            return proposal
        if proposal.signal_only or proposal.quantity is None:
            raise SafetyRefusal(proposal.sizing.unavailable or "there is no known balance to size by")
        return proposal if change is None else changed(proposal, change, inputs.instrument)

    def _no_larger(self, judged: Proposal, decision: Decision, inputs: DecisionInputs) -> Proposal:
        """What the rules leave of the size of now, and never more than was decided.

        The rules judge the size of now before it is cut to the decision's: one that halves an unsure entry would
        otherwise halve what it had halved already.
        """
        size = decision.position_size
        if not judged.is_entry or judged.quantity is None or size is None or judged.quantity <= size:
            return judged
        return shrink(judged, size, risk_context(inputs, judged))

    def _order(self, decision: Decision, proposal: Proposal) -> Order:
        leg = "exit" if proposal.is_exit else "entry"
        assert proposal.quantity is not None  # noqa: S101 - refused before where there is none
        return Order(
            client_order_id=client_order_id(decision.id, leg),
            decision_id=decision.id,
            leg=leg,
            asset=proposal.asset,
            side=side_of(proposal),
            quantity=proposal.quantity,
            effect=proposal.effect,
            stop_price=proposal.stop_price,
            target_price=proposal.target_price,
            reduce_only=proposal.is_exit,
            created_at=self.engine.clock.now(),
        )

    def _priced(
        self,
        decision: Decision,
        order: Order,
        proposal: Proposal,
        inputs: DecisionInputs,
        venue: Venue,
        rulings: tuple[Ruling, ...],
        change: Change | None,
    ) -> Plan:
        fees, price = inputs.instrument.fees, proposal.entry_price
        fee = order.quantity * price * fees.taker + fees.commission
        stop = proposal.stop_fraction
        lost = None if stop is None else order.quantity * price * stop + 2 * fee
        target = None
        if proposal.target_price is not None:
            # Not read back from the price, which was rounded to the venue's steps.
            asked = None if change is None else change.target_fraction
            target = inputs.sizing.exits.target if asked is None else asked
        return Plan(decision, order, venue.platform.name, price, fee, lost, stop, target, rulings)

    # leaving

    def close(self, asset: Asset, *, synthetic: bool = False) -> Executed:
        """Leaves the whole position, whatever risk rules say of entries. Raises ``UsageError`` where none is held."""
        venue = self.venue(synthetic)
        position = venue.portfolio.position(asset)
        if position is None:
            if not venue.portfolio.positions_known:
                raise PlatformError(f"{venue.platform.name} does not say what is held")
            if not standing(venue.reconciler, asset):
                raise UsageError(f"no position in {asset}", hint="`ffe positions` lists them")
            remarks = clear(venue.reconciler, asset)
            # An order that was taken back may have been filled first: then there is something to leave after all.
            position = held_at(venue.platform, asset)
            if position is None:
                self._keep_outcomes(venue)
                return Executed(None, (), None, (*remarks, f"no position in {asset}; its open orders were taken back"))
        mark_at_quote(self.engine, venue.platform, asset, synthetic=synthetic)
        return self._leave(venue, position, self.engine.new_id(), "close")

    def _leave(self, venue: Venue, position: Position, decision_id: str, leg: str) -> Executed:
        """Open orders taken back and that confirmed, fills read again, then what is left is sold."""
        asset = position.asset
        remarks = clear(venue.reconciler, asset)
        now = held_at(venue.platform, asset, position.venue)
        if now is None:
            self._keep_outcomes(venue)
            return Executed(None, (), None, (*remarks, "the position was gone before it had to be closed"))
        order = Order(
            client_order_id=client_order_id(decision_id, leg),
            decision_id=decision_id,
            leg=leg,
            asset=asset,
            side=Side.SELL if now.is_long else Side.BUY,
            quantity=abs(now.quantity),
            effect=Effect.CLOSE,
            reduce_only=True,
            created_at=self.engine.clock.now(),
            prepared=where_held(now),
        )
        entry = self._send(
            venue,
            order,
            lambda order: venue.platform.close(now, client_order_id=order.client_order_id),
            decided=leg == "exit",
        )
        if entry.state is OrderState.REJECTED:
            raise Refused(f"{venue.platform.name} refused to close {asset}: {entry.events[-1].reason}")
        self._keep_outcomes(venue)
        left = order.quantity - entry.filled
        if entry.state in FINAL and left:
            remarks += (f"{left:f} {asset} are still held, without a stop; `ffe close {asset}` tries again",)
        return Executed(entry, tuple(self.journal.fills(order.client_order_id)), None, remarks)

    def _asked(self, venue: Venue, entry: JournalEntry) -> JournalEntry:
        try:
            return venue.reconciler.one(entry)
        except FfeError:
            return entry

    def cancel(self, entry: JournalEntry, venue: Venue) -> JournalEntry:
        """Takes an order back; it is over only when the venue says so. Cancels pass in every trading state.

        Raises ``SettingsError`` for an order of another account: the venue that is asked knows nothing of it.
        """
        if entry.key != venue.key:
            raise SettingsError(
                f"order {entry.order.client_order_id} is one of {entry.key.platform}/{entry.key.account} "
                f"({entry.key.mode}), and settings name {venue.key.platform}/{venue.key.account} ({venue.key.mode})",
                hint=f"ffe config set execution.platform {entry.key.platform}",
            )
        return take_back(venue.reconciler, entry)

    # protection

    def _protect(self, venue: Venue, plan: Plan, entry: JournalEntry) -> tuple[JournalEntry | None, tuple[str, ...]]:
        """Stop and target around the average fill price, confirmed; where they cannot be had, out again."""
        if plan.stop_fraction is None:
            return None, ()
        remarks: list[str] = []
        for leg in (PROTECT, f"{PROTECT}-2"):
            try:
                placed = self._place_protection(venue, plan, entry, leg)
            except FfeError as error:
                remarks.append(f"the stop of {plan.order.asset} was not sent: {error.message}")
                continue
            if placed.state in (OrderState.ACCEPTED, OrderState.PARTIAL, OrderState.FILLED):
                return placed, tuple(remarks)
            remarks.append(f"the stop of {plan.order.asset} was {placed.state}: {placed.events[-1].reason}")
            if placed.state not in FINAL:
                # It may stand: another beside it would be one too many.
                break
        remarks.append(self._flee(venue, plan))
        return None, tuple(remarks)

    def _place_protection(self, venue: Venue, plan: Plan, entry: JournalEntry, leg: str) -> JournalEntry:
        """Sent and confirmed; where the answer was lost the venue is asked until it says whether it has it."""
        asset, price = plan.order.asset, entry.events[-1].price or plan.price
        position = self._to_protect(venue, plan, entry.filled, price)
        stop, target = levels(plan, price, venue.platform.instrument(asset))
        order = Order(
            client_order_id=client_order_id(plan.decision.id, leg),
            decision_id=plan.decision.id,
            leg=leg,
            asset=asset,
            side=Side.SELL if position.is_long else Side.BUY,
            quantity=abs(position.quantity),
            effect=Effect.CLOSE,
            type=OrderType.STOP if target is None else OrderType.BRACKET,
            stop_price=stop,
            target_price=target,
            reduce_only=True,
            created_at=self.engine.clock.now(),
            prepared=where_held(position),
        )
        placed = self._send(
            venue,
            order,
            lambda order: venue.platform.protect(position, stop, target, client_order_id=order.client_order_id),
        )
        return self._asked(venue, placed) if placed.state in DOUBTFUL else placed

    def _to_protect(self, venue: Venue, plan: Plan, filled: Decimal, price: Decimal) -> Position:
        """What is held by the venue's word, and what was filled where it does not say so yet."""
        try:
            held = held_at(venue.platform, plan.order.asset)
        except FfeError:
            held = None
        return held or Position(plan.order.asset, plan.order.side.sign * filled, price, price)

    def _flee(self, venue: Venue, plan: Plan) -> str:
        """A position that cannot be protected is not kept."""
        asset = plan.order.asset
        told = f"{asset} has no stop: it is closed again, and no entry is made until it is armed"
        self._permission(venue).states.reduce("a stop could not be placed", asset)
        self._alert("protection", told)
        try:
            position = held_at(venue.platform, asset)
            if position is not None:
                self._leave(venue, position, plan.decision.id, "protect-close")
        except FfeError as error:
            return f"{asset} has no stop that is known of, and could not be closed: {error.message}"
        return told

    # the one way of every order

    def _send(
        self, venue: Venue, order: Order, send: Callable[[Order], OrderReport], *, decided: bool = False
    ) -> JournalEntry:
        """Prepared, committed, marked, sent once, booked, waited for. Never raises after the send."""
        self._require_armed(answering(venue.platform, order), leaving=order.reduce_only)
        order = replace(order, prepared=dict(venue.platform.prepare(order)), sent_at=self.engine.clock.now())
        if order.effect.is_entry:
            # To prepare may have taken a while: the last look is right before the order is written down and sent.
            self._permission(venue).require(order.effect, order.asset)
        journal, order_id = self.journal, order.client_order_id
        journal.intend(order, venue.key)
        if decided:
            self.engine.store.add_event(order.decision_id, "executed", {"client_order_id": order_id})
        journal.sent(order_id)
        try:
            report = send(order)
        except Refused as error:
            journal.refused(order_id, error.message)
        except FfeError as error:
            journal.doubt(order_id, error.message)
        else:
            self._book(order_id, report)
        entry = venue.reconciler.settle(order_id, within=PATIENCE)
        self._tell(entry)
        return entry

    def _book(self, order_id: str, report: OrderReport) -> None:
        """The answer, written down; one that cannot be is as good as lost, and asked for again."""
        try:
            self.journal.heard(report)
        except FfeError as error:
            self.journal.doubt(order_id, error.message)

    def _require_armed(self, platform: Platform, *, leaving: bool) -> None:
        """Real money needs the settings, the word on the command, and credentials that the venue accepts.

        On the way out the venue itself says what it does not accept: a balance that cannot be read bars nobody.
        """
        if self.engine.settings.mode is not Mode.LIVE:
            if self.live:
                raise SafetyRefusal("--live in paper mode", hint="ffe config set mode live")
            return
        if not self.live:
            raise SafetyRefusal("real money needs --live on the command")
        if platform.name in self._armed:
            return
        if not leaving:
            missing = [name for name, fine in platform.check().items() if not fine]
            if missing:
                raise SafetyRefusal(f"{platform.name} is not ready to trade: {', '.join(missing)}")
            self._armed.add(platform.name)

    # venues

    def venue(self, synthetic: bool, portfolio: Portfolio | None = None) -> Venue:
        """Where orders go: paper's own ledgers in paper mode, the configured venue in live mode."""
        platform = self.engine.trading_platform(synthetic=synthetic, insists=True)
        untold = () if portfolio else show_bars(self.engine, platform, synthetic=synthetic)
        held = portfolio or marked_if_possible(self.engine, platform, synthetic=synthetic)
        key = LedgerKey(self.engine.settings.mode, platform.name, held.account, synthetic)
        reconciler = Reconciler(self.journal, platform, key, self.engine.clock, self.sleep)
        return Venue(platform, key, reconciler, held, untold)

    def reconcile(self, synthetic: bool = False) -> Reconciled:
        """Asks the venue about every open order and for every new fill; keeps what came of positions that are gone."""
        venue = self.venue(synthetic)
        found = self.settle(venue)
        self._keep_outcomes(venue)
        bare = without_stop(venue.reconciler, venue.portfolio)
        return replace(found, problems=(*venue.untold, *found.problems, *bare))

    def settle(self, venue: Venue) -> Reconciled:
        """As ``reconcile``, for a venue that is at hand; says what changed to whoever listens."""
        found = venue.reconciler.all()
        for entry in found.changed:
            self._tell(entry)
        if found.changed or found.fills:
            self._keep_outcomes(venue)
        return found

    def _tell(self, entry: JournalEntry) -> None:
        order = replace(entry.order, state=entry.state, venue_order_id=entry.events[-1].venue_order_id)
        self.engine.registry.emit("ffe_order_changed", order=order)

    def _keep_outcomes(self, venue: Venue) -> None:
        """What came of decisions whose position has come and gone, once each, and told to who listens."""
        entries = self.journal.of_account(venue.key)
        ids = {entry.order.client_order_id for entry in entries}
        fills = [fill for fill in self.journal.fills() if fill.client_order_id in ids]
        outcomes = []
        for trip in round_trips(entries, fills):
            try:
                outcomes.append(trade_outcome(self.engine.store.get(trip.decision_id).decision, trip))
            except UsageError:
                # Its decision was pruned: there is nobody left to learn from it.
                continue
        for outcome in self.engine.store.record_outcomes(outcomes):
            self.engine.registry.emit("ffe_trade_closed", outcome=outcome)

    def _reconcile_asset(self, venue: Venue, asset: Asset) -> None:
        """What is not known of the asset's orders is asked for before another one is thought of."""
        for entry in self.journal.open(venue.key):
            if entry.order.asset.symbol == asset.symbol:
                self._asked(venue, entry)
