"""Reading the account's log: after a transaction, or back to an instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ffe_core import BadData, Order, Unknown
from ffe_oanda.api import Api
from ffe_oanda.parse import text
from ffe_oanda.transactions import Transaction, first_time, last_id, report_of, transactions_of

#: transactions that one range of ids may hold
PAGE = 1000
#: ranges that are read back for an order of which nobody noted where the log stood
PAGES_BACK = 20


@dataclass(frozen=True, slots=True)
class History:
    """Oldest first. Raises ``HttpError``, and ``BadData`` for a log that cannot be read."""

    api: Api

    def after(self, number: int) -> list[Transaction]:
        """All transactions after that one. What one answer does not hold is read by ranges of ids."""
        # From the very beginning it may be long, and ranges have an end.
        body = self.api.of_account(*(("/transactions/sinceid", {"id": number}) if number else ("/summary",)))
        log = transactions_of(body) if number else []
        last = int(text(body, "lastTransactionID"))
        while (seen := last_id(log, number)) < last:
            more = self._range(seen + 1, min(seen + PAGE, last))
            if not more:
                raise BadData(f"oanda: its log has a hole after transaction {seen}")
            log += more
        return log

    def back_to(self, order: Order) -> list[Transaction]:
        """The log back to when ``order`` was made, for one of which nobody noted where the log stood."""
        began = order.created_at or order.sent_at
        first = int(text(self.api.of_account("/summary"), "lastTransactionID")) + 1
        log: list[Transaction] = []
        for _ in range(PAGES_BACK if began else 1):
            if first <= 1:
                break
            log = self._range(max(1, first - PAGE), first - 1) + log
            first = max(1, first - PAGE)
            earliest = first_time(log)
            if began is not None and earliest is not None and earliest < began - timedelta(minutes=1):
                return log
        if first > 1 and report_of(order.client_order_id, log, "") is None:
            raise Unknown(f"oanda: the log is too long to say whether {order.client_order_id} is in it")
        return log

    def _range(self, first: int, last: int) -> list[Transaction]:
        return transactions_of(self.api.of_account("/transactions/idrange", {"from": first, "to": last}))
