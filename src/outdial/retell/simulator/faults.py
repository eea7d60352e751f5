"""Faults on demand: refused requests, lost responses, and dropped, delayed, repeated or reordered webhooks."""

import random
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Final

from msgspec import Meta, Struct, structs

MAX_FAULTS: Final = 100


class FaultKind(StrEnum):
    """Kind of a fault. The first two occur before a call is created, the next four after."""

    refuse = "refuse"  # respond with `status`, and `retry_after_s` if set
    drop_request = "drop_request"  # drop the connection
    drop_reply = "drop_reply"  # drop the connection
    hang_reply = "hang_reply"  # never respond
    fail_reply = "fail_reply"  # respond 500
    garble_reply = "garble_reply"  # respond with the right status and an HTML page
    drop_webhook = "drop_webhook"
    delay_webhook = "delay_webhook"  # by `delay_s`
    repeat_webhook = "repeat_webhook"  # `copies` more, spread over `delay_s`
    reorder_webhook = "reorder_webhook"  # late by a random part of `delay_s`
    hide_cost = "hide_cost"  # send the webhook without `call_cost`


BEFORE: Final = frozenset({FaultKind.refuse, FaultKind.drop_request})
AFTER: Final = frozenset({FaultKind.drop_reply, FaultKind.hang_reply, FaultKind.fail_reply, FaultKind.garble_reply})
NOT_DELIVERY: Final = BEFORE | AFTER | {FaultKind.hide_cost}
Share = Annotated[float, Meta(ge=0, le=1)]


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault: its probability, the maximum number of occurrences, and the operation or event it affects.

    `operation` is one of create-phone-call, get-call, list-calls, get-concurrency, stop-call (None: any);
    `event` is the name of a webhook event (None: any). Times are simulated seconds.
    """

    kind: FaultKind
    probability: Share = 1.0
    times: Annotated[int, Meta(ge=0)] | None = None
    operation: str | None = "create-phone-call"
    event: str | None = None
    status: Annotated[int, Meta(ge=400, le=599)] = 503
    retry_after_s: Annotated[float, Meta(ge=0)] | None = None
    delay_s: Annotated[float, Meta(ge=0, le=86_400)] = 10.0
    copies: Annotated[int, Meta(ge=1, le=10)] = 1


class _ActiveFault:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.occurred = 0

    def occurs(self, chance: random.Random) -> bool:
        spent = self.fault.times is not None and self.occurred >= self.fault.times
        if spent or chance.random() >= self.fault.probability:
            return False
        self.occurred += 1
        return True


class FaultSet:
    """The active faults, checked in order. Random choices come from the seed."""

    def __init__(self, seed: int) -> None:
        self._requests = random.Random(f"{seed}/requests")
        self._webhooks = random.Random(f"{seed}/webhooks")
        self._active: list[_ActiveFault] = []

    def replace(self, faults: Iterable[Fault]) -> None:
        """Replace all active faults; an empty list makes the provider healthy."""
        active = [_ActiveFault(fault) for fault in faults]
        if len(active) > MAX_FAULTS:
            raise ValueError(f"more than {MAX_FAULTS} faults")
        self._active = active

    def on_request(self, operation: str, kinds: frozenset[FaultKind]) -> Fault | None:
        """Return the first fault of `kinds` that occurs on this request."""
        for active in self._active:
            fault = active.fault
            fits = fault.kind in kinds and fault.operation in (None, operation)
            if fits and active.occurs(self._requests):
                return fault
        return None

    def on_webhook(self, event: str) -> list[float]:
        """Return the delay in seconds of each delivery of this webhook; an empty list drops it."""
        late, delays = 0.0, [0.0]
        for active in self._active:
            fault = active.fault
            if fault.kind in NOT_DELIVERY or fault.event not in (None, event):
                continue
            if not active.occurs(self._webhooks):
                continue
            match fault.kind:
                case FaultKind.drop_webhook:
                    return []
                case FaultKind.repeat_webhook:
                    delays += [self._webhooks.uniform(0, fault.delay_s) for _ in range(fault.copies)]
                case FaultKind.reorder_webhook:
                    late += self._webhooks.uniform(0, fault.delay_s)
                case _:
                    late += fault.delay_s
        return [late + delay for delay in delays]

    def hides_cost(self, event: str) -> bool:
        """Return whether this webhook is sent without the cost of the call."""
        return any(
            active.fault.kind is FaultKind.hide_cost
            and active.fault.event in (None, event)
            and active.occurs(self._webhooks)
            for active in self._active
        )

    def report(self) -> list[dict[str, Any]]:
        """Return each active fault with the number of its occurrences."""
        return [{**structs.asdict(active.fault), "struck": active.occurred} for active in self._active]
