"""The simulated workspace: its calls, what is still to happen to them, and the webhooks that come of it."""

import heapq
import random
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from itertools import count
from typing import Any

import msgspec

from outdial.retell import signature
from outdial.retell.simulator.clock import epoch_ms, from_epoch_ms
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.faults import Faults
from outdial.retell.simulator.ledger import Ledger
from outdial.retell.simulator.limits import StartLimit
from outdial.retell.simulator.objects import CreateCall, SimulatedCall, describe
from outdial.retell.simulator.script import (
    EVENTS,
    MAGIC,
    Habit,
    Magic,
    Step,
    choose,
    connects,
    ring_s,
    status_of,
    talk_s,
)

IDEMPOTENCY_MS = 3_600_000
MAX_SCRIPTS = 100_000


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook that is due: its body is fixed when the event happens, its signature when it is sent."""

    call_id: str
    event: str
    body: bytes
    due: datetime

    def headers(self, key: str, sent_at: datetime) -> dict[str, str]:
        """Return the headers of a delivery at `sent_at`."""
        return {
            "content-type": "application/json",
            signature.HEADER: signature.sign(self.body, key, epoch_ms(sent_at)),
        }


class Refusal(StrEnum):
    """Why a call that is well asked for is not made."""

    concurrency = "concurrency"
    calls_per_second = "calls_per_second"


@dataclass(frozen=True, slots=True)
class Made:
    """The call of this request; `new` is False when the idempotency key had made it before."""

    call: SimulatedCall
    new: bool


class World:
    """One workspace. It reads no clock: every method that needs the time is given it.

    The same configuration, calls and moments lead to the same call ids, bodies and webhooks. How a call goes
    and what its id is depends on the seed, the number and how often it was called, not on the order of calls.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.reset(config.seed)

    def reset(self, seed: int) -> None:
        """Forget everything, and begin again with this seed."""
        self.seed = seed
        self.calls: dict[str, SimulatedCall] = {}
        self.faults = Faults(seed)
        self.ledger = Ledger(self.config.keep_requests)
        self.starts = StartLimit(self.config.calls_per_second, self.config.rate_tolerance_s)
        self.live = 0
        self.peak_live = 0
        self.webhook_counts: Counter[str] = Counter()
        self.struck_numbers: set[str] = set()
        self._scripts: dict[str, tuple[int, tuple[Step, ...]]] = {}  # attempts made before the script
        self._attempts: Counter[str] = Counter()
        self._keys: dict[str, tuple[int, str]] = {}
        self._finished: deque[str] = deque()
        self._order = count()
        self._happenings: list[tuple[int, int, str, SimulatedCall]] = []
        self._outbox: list[tuple[int, int, Webhook]] = []

    def script(self, to_number: str, steps: Iterable[Step]) -> None:
        """Make the next calls to this number go by `steps`, the last one repeating; no steps removes it."""
        steps = tuple(steps)
        if not steps:
            self._scripts.pop(to_number, None)
        elif to_number in self._scripts or len(self._scripts) < MAX_SCRIPTS:
            self._scripts[to_number] = (self._attempts[to_number], steps)
        else:
            raise ValueError(f"more than {MAX_SCRIPTS} scripts")

    def magic(self, to_number: str) -> Magic | None:
        """Return what the last four digits force, unless the number has a script or magic is off."""
        if not self.config.magic_numbers or to_number in self._scripts:
            return None
        return MAGIC.get(to_number[-4:])

    def replay(self, key: str | None, arrived: datetime) -> SimulatedCall | None:
        """Return the call that this idempotency key made within the last hour."""
        made = self._keys.get(key) if key is not None else None
        if made is None or epoch_ms(arrived) - made[0] >= IDEMPOTENCY_MS:
            return None
        return self.calls.get(made[1])

    def create_call(self, now: datetime, request: CreateCall, arrived: datetime | None = None) -> Made | Refusal:
        """Make the call, or say which limit forbids it.

        `now` is simulated time, for what will happen; `arrived` the caller's, for its rate and its keys.
        """
        arrived = arrived or now
        earlier = self.replay(request.idempotency_key, arrived)
        if earlier is not None:
            return Made(earlier, new=False)
        full = self.live >= self.config.concurrency_limit
        if full and self.config.over_concurrency == "reject":
            return Refusal.concurrency
        if not self.starts.admit(epoch_ms(arrived)):
            return Refusal.calls_per_second
        call = self._new_call(epoch_ms(now), request, crowded=full)
        self._remember(call, epoch_ms(arrived))
        return Made(call, new=True)

    def stop_call(self, now: datetime, call_id: str) -> bool:
        """End a live call as `manual_stopped`; False when there is no such live call."""
        call = self.calls.get(call_id)
        if call is None or not call.live:
            return False
        self._end(call, epoch_ms(now), "manual_stopped")
        return True

    def advance(self, now: datetime) -> list[Webhook]:
        """Let everything happen that is due by `now`; return the webhooks due by then, faults applied, in order."""
        limit = epoch_ms(now)
        while self._happenings and self._happenings[0][0] <= limit:
            due_ms, _, what, call = heapq.heappop(self._happenings)
            self._happen(what, call, due_ms)
        ready: list[Webhook] = []
        while self._outbox and self._outbox[0][0] <= limit:
            ready.append(heapq.heappop(self._outbox)[2])
        self.webhook_counts["due"] += len(ready)
        return ready

    def next_due(self) -> datetime | None:
        """Return when `advance` will next have something to do, None if nothing is to come."""
        heads = [heap[0][0] for heap in (self._happenings, self._outbox) if heap]
        return from_epoch_ms(min(heads)) if heads else None

    def state(self) -> dict[str, Any]:
        """Return counts and peaks, for `GET /_sim/state`."""
        return {
            "seed": self.seed,
            "calls": dict(Counter(call.status for call in self.calls.values())),
            "live": self.live,
            "peak_live": self.peak_live,
            "concurrency_limit": self.config.concurrency_limit,
            "calls_per_second": self.config.calls_per_second,
            "peak_starts_in_a_second": self.starts.peak,
            "requests": self.ledger.totals(),
            "webhooks": dict(self.webhook_counts),
            "still_to_happen": len(self._happenings) + len(self._outbox),
            "scripts": len(self._scripts),
        }

    def _new_call(self, now_ms: int, request: CreateCall, *, crowded: bool) -> SimulatedCall:
        if self.config.silent:
            return self._silent_call(now_ms, request)
        number = request.to_number
        self._attempts[number] += 1
        name = f"{self.seed}/{number}/{self._attempts[number]}"
        chance = random.Random(name)
        step, habit = self._choose(number, chance)
        if crowded:
            step = Step("concurrency_limit_reached", ring_s=0.0)
        call = SimulatedCall(
            call_id=_call_id(name),
            request=request,
            created_ms=now_ms,
            step=step,
            talk_ms=int(talk_s(step, self.config.mean_talk_s, chance) * 1000),
            habit=habit,
            takes_place=not crowded,
        )
        answered_ms = now_ms + int(ring_s(step, self.config.ring_s, chance) * 1000)
        self._schedule(answered_ms, "connect" if connects(step.reason) else "give_up", call)
        self._count_live(call, 1)
        return call

    def _choose(self, number: str, chance: random.Random) -> tuple[Step, Habit]:
        before, steps = self._scripts.get(number, (0, ()))
        habit = Habit()
        magic = self.magic(number)
        if magic is not None:
            steps, habit = magic.steps, magic.habit
        return choose(self._attempts[number] - before, steps, self.config.outcome_mix, chance), habit

    def _silent_call(self, now_ms: int, request: CreateCall) -> SimulatedCall:
        call = SimulatedCall(_call_id(f"{self.seed}/{next(self._order)}"), request, now_ms, Step("user_hangup"))
        if self.config.hold_s == 0:
            call.status, call.reason, call.end_ms = "ended", "user_hangup", now_ms
            self._finish(call)
            return call
        self._count_live(call, 1)
        if self.config.hold_s is not None:
            self._schedule(now_ms + int(self.config.hold_s * 1000), "give_up", call)
        return call

    def _count_live(self, call: SimulatedCall, change: int) -> None:
        self.live += change * call.takes_place
        self.peak_live = max(self.peak_live, self.live)

    def _remember(self, call: SimulatedCall, arrived_ms: int) -> None:
        self.calls[call.call_id] = call
        key = call.request.idempotency_key
        if key is None:
            return
        self._keys.pop(key, None)
        self._keys[key] = (arrived_ms, call.call_id)
        oldest = next(iter(self._keys))
        if len(self._keys) > self.config.keep_calls or arrived_ms - self._keys[oldest][0] >= IDEMPOTENCY_MS:
            del self._keys[oldest]

    def _finish(self, call: SimulatedCall) -> None:
        self._finished.append(call.call_id)
        if len(self._finished) > self.config.keep_calls:
            self.calls.pop(self._finished.popleft(), None)

    def _schedule(self, due_ms: int, what: str, call: SimulatedCall) -> None:
        heapq.heappush(self._happenings, (due_ms, next(self._order), what, call))

    def _happen(self, what: str, call: SimulatedCall, at_ms: int) -> None:
        if what == "analyze":
            call.analyzed = True
            self._emit(call, "call_analyzed", at_ms)
            for place, (event, body) in enumerate(reversed(call.held_back), start=1):
                self._send(call, event, body, at_ms + 1000 * place)
            call.held_back.clear()
        elif call.live and what == "connect":
            call.status, call.start_ms = "ongoing", at_ms
            self._emit(call, "call_started", at_ms)
            self._schedule(at_ms + call.talk_ms, "hang_up", call)
        elif call.live:
            self._end(call, at_ms, call.step.reason)

    def _end(self, call: SimulatedCall, at_ms: int, reason: str) -> None:
        call.status, call.reason, call.end_ms = status_of(reason), reason, at_ms
        self._count_live(call, -1)
        self._finish(call)
        if not self.config.silent:
            self._emit(call, "call_ended", at_ms)
            self._schedule(at_ms + int(self.config.analysis_s * 1000), "analyze", call)

    def _emit(self, call: SimulatedCall, event: str, at_ms: int) -> None:
        self.webhook_counts[event] += 1
        body = msgspec.json.encode({"event": event, "call": describe(call)})
        if call.habit.reversed and event != EVENTS[-1]:
            call.held_back.append((event, body))
        else:
            self._send(call, event, body, at_ms)

    def _send(self, call: SimulatedCall, event: str, body: bytes, at_ms: int) -> None:
        if event in call.habit.withheld:
            delays: list[float] = []
        else:
            delays = self.faults.on_webhook(event) * call.habit.copies
        if not delays:
            self.webhook_counts["dropped"] += 1
        self.webhook_counts["repeated"] += max(0, len(delays) - 1)
        for delay in delays:
            due_ms = at_ms + int((delay + call.habit.late_s) * 1000)
            webhook = Webhook(call.call_id, event, body, from_epoch_ms(due_ms))
            heapq.heappush(self._outbox, (due_ms, next(self._order), webhook))


def _call_id(name: str) -> str:
    return "call_" + blake2b(name.encode(), digest_size=14).hexdigest()
