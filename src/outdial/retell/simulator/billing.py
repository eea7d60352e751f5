"""What each simulated call costs, and since when the other side may know it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outdial.retell.simulator.objects import SimulatedCall, describe


@dataclass(slots=True)
class CallBill:
    """When the cost of a call left for the other side first, and when a webhook with it was accepted first.

    Both are real time in Unix milliseconds. A call that was never connected costs nothing: its end is its bill.
    """

    sent_ms: int | None = None
    accepted_ms: int | None = None


class BillingRecord:
    """The bills of all calls, by call id."""

    def __init__(self) -> None:
        self._bills: dict[str, CallBill] = {}

    def sent(self, call_id: str, at_ms: int) -> None:
        """Note that a webhook or a response with the cost of a call is on its way."""
        bill = self._bills.setdefault(call_id, CallBill())
        if bill.sent_ms is None:
            bill.sent_ms = at_ms

    def accepted(self, call_id: str, at_ms: int) -> None:
        """Note that the other side has accepted the cost of a call."""
        bill = self._bills.setdefault(call_id, CallBill())
        if bill.accepted_ms is None:
            bill.accepted_ms = at_ms

    def accepted_all(self, at_ms: int) -> None:
        """Note that the other side has accepted every cost that was sent."""
        for bill in self._bills.values():
            if bill.sent_ms is not None and bill.accepted_ms is None:
                bill.accepted_ms = at_ms

    def bill_of(self, call: SimulatedCall) -> Mapping[str, Any]:
        """Return the cost of a call in cents with its bill; the cost is None while the call is live."""
        bill = self._bills.get(call.call_id, CallBill())
        cost = describe(call, with_transcript=False).call_cost or {}
        return {
            "call_id": call.call_id,
            "cost_cents": None if call.live else float(cost.get("combined_cost", 0)),
            "sent_ms": bill.sent_ms,
            "accepted_ms": bill.accepted_ms,
        }
