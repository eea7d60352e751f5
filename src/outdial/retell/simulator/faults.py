"""Faults on demand: requests refused, replies lost, webhooks dropped, delayed, repeated and reordered."""

import random
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Final

from msgspec import Meta, Struct, structs

MAX_FAULTS: Final = 100


class FaultKind(StrEnum):
    """What goes wrong. The first two strike before a call is made, the next four after."""

    refuse = "refuse"  # answered with `status`, and `retry_after_s` if set
    drop_request = "drop_request"  # the connection ends
    drop_reply = "drop_reply"  # the connection ends
    hang_reply = "hang_reply"  # no answer comes
    fail_reply = "fail_reply"  # answered 500
    garble_reply = "garble_reply"  # answered with the right status and a page of HTML
    drop_webhook = "drop_webhook"
    delay_webhook = "delay_webhook"  # by `delay_s`
    repeat_webhook = "repeat_webhook"  # `copies` more, spread over `delay_s`
    reorder_webhook = "reorder_webhook"  # late by a random part of `delay_s`


BEFORE: Final = frozenset({FaultKind.refuse, FaultKind.drop_request})
AFTER: Final = frozenset({FaultKind.drop_reply, FaultKind.hang_reply, FaultKind.fail_reply, FaultKind.garble_reply})
Share = Annotated[float, Meta(ge=0, le=1)]


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault: how likely at each chance, how many times at most, and at which operation or event.

    `operation` is one of create-phone-call, get-call, list-calls, get-concurrency, stop-call (None: any);
    `event` the name of a webhook event (None: any). Times are seconds of simulated time.
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


class _Armed:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.struck = 0

    def strikes(self, chance: random.Random) -> bool:
        spent = self.fault.times is not None and self.struck >= self.fault.times
        if spent or chance.random() >= self.fault.probability:
            return False
        self.struck += 1
        return True


class Faults:
    """The faults in force, asked in the order they were given; random ones come from the seed."""

    def __init__(self, seed: int) -> None:
        self._requests = random.Random(f"{seed}/requests")
        self._webhooks = random.Random(f"{seed}/webhooks")
        self._armed: list[_Armed] = []

    def replace(self, faults: Iterable[Fault]) -> None:
        """Put these in force in place of all others; none at all is a healthy provider."""
        armed = [_Armed(fault) for fault in faults]
        if len(armed) > MAX_FAULTS:
            raise ValueError(f"more than {MAX_FAULTS} faults")
        self._armed = armed

    def on_request(self, operation: str, kinds: frozenset[FaultKind]) -> Fault | None:
        """Return the first fault of `kinds` that strikes this request."""
        for armed in self._armed:
            fault = armed.fault
            fits = fault.kind in kinds and fault.operation in (None, operation)
            if fits and armed.strikes(self._requests):
                return fault
        return None

    def on_webhook(self, event: str) -> list[float]:
        """Return the delay in seconds of each delivery of this webhook; an empty list drops it."""
        late, delays = 0.0, [0.0]
        for armed in self._armed:
            fault = armed.fault
            if fault.kind in BEFORE or fault.kind in AFTER or fault.event not in (None, event):
                continue
            if not armed.strikes(self._webhooks):
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

    def report(self) -> list[dict[str, Any]]:
        """Return each fault in force with the number of times it struck."""
        return [{**structs.asdict(armed.fault), "struck": armed.struck} for armed in self._armed]
