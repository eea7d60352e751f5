"""The simulated workspace: its calls, their future transitions, and the webhooks they cause."""

import heapq
import random
import secrets
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from itertools import count
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from outdial.retell import signature
from outdial.retell.simulator.agents import DEFAULT_AGENT, AgentDirectory, weighted_agent
from outdial.retell.simulator.billing import BillingRecord
from outdial.retell.simulator.clock import epoch_ms, from_epoch_ms
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.endpoints.contacts import ContactDirectory
from outdial.retell.simulator.endpoints.phone_numbers import NumberDirectory
from outdial.retell.simulator.faults import FaultSet
from outdial.retell.simulator.ledger import RequestLedger
from outdial.retell.simulator.limits import StartLimit
from outdial.retell.simulator.objects import (
    FILES_URL,
    CreateCall,
    SimulatedCall,
    describe,
    describe_so_far,
    turns_by,
    turns_of,
)
from outdial.retell.simulator.recording import TURN_S
from outdial.retell.simulator.script import (
    EVENTS,
    MAGIC,
    TRANSCRIPT_UPDATED,
    MagicNumber,
    ScriptStep,
    WebhookHabit,
    choose,
    connects,
    ring_s,
    status_of,
    talk_s,
)

IDEMPOTENCY_MS = 3_600_000
# How long a batch waits before it checks again for a free slot, or for its hours.
_BATCH_PAUSE_MS = 1_000
_BATCH_CLOSED_MS = 60_000
# How long a web call waits for its user.
JOIN_MS = 60_000
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MAX_SCRIPTS = 100_000


@dataclass(frozen=True, slots=True)
class DueWebhook:
    """A webhook to send at `due`. Its body is from the time of the event; it is signed when sent.

    `url` is that of the agent, which replaces the workspace's. `has_cost` means that it says what the call cost.
    """

    call_id: str
    event: str
    body: bytes
    due: datetime
    url: str | None = None
    has_cost: bool = False

    def headers(self, key: str, sent_at: datetime) -> dict[str, str]:
        """Return the headers of a delivery at `sent_at`."""
        return {
            "content-type": "application/json",
            signature.HEADER: signature.sign(self.body, key, epoch_ms(sent_at)),
        }


class CallWindow(Struct):
    """Part of a day, in minutes from midnight; the end does not belong to it."""

    start: float
    end: float


class CallTimeWindow(Struct):
    """When the calls of a batch may start (Retell API, create-batch-call)."""

    windows: list[CallWindow]
    timezone: str = "America/Los_Angeles"
    day: list[str] | None = None

    def is_open(self, at_ms: int) -> bool:
        """Return whether calls may start at this time."""
        local = from_epoch_ms(at_ms).astimezone(ZoneInfo(self.timezone))
        minute = local.hour * 60 + local.minute
        is_day = self.day is None or _DAYS[local.weekday()] in self.day
        return is_day and any(window.start <= minute < window.end for window in self.windows)


@dataclass(slots=True, kw_only=True)
class SimulatedBatch:
    """A batch of calls that start one after another. It leaves `reserved` slots of the account free."""

    tasks: list[CreateCall]
    reserved: int
    window: CallTimeWindow | None
    batch_call_id: str = ""
    started: int = 0


class LimitReached(StrEnum):
    """The limit that a valid request exceeds."""

    concurrency = "concurrency"
    calls_per_second = "calls_per_second"


@dataclass(frozen=True, slots=True)
class CallCreated:
    """The call of a request; `new` is false if the idempotency key created it before."""

    call: SimulatedCall
    new: bool


class SimulatedWorkspace:
    """One workspace. It reads no clock: methods that need the time take it as an argument.

    With a seed, the same configuration, calls and times give the same call ids, bodies and webhooks. The course and the
    id of a call depend on the seed, the number and the number of its earlier calls, not on the order of calls to other
    numbers. Without a seed, ids also depend on a random value, and no two workspaces create the same id.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        # Base URL of recordings and logs.
        self.files_url = FILES_URL
        self.reset(config.seed)

    def reset(self, seed: int | None) -> None:
        """Start again from an empty workspace with this seed; None makes new call ids."""
        self._id_prefix = "" if seed is not None else f"{secrets.token_hex(8)}/"
        self.seed = seed = seed or 0
        self.calls: dict[str, SimulatedCall] = {}
        self.agents = AgentDirectory(f"{self._id_prefix}{seed}/")
        self.phone_numbers = NumberDirectory()
        self.spam_numbers = frozenset(self.config.spam_numbers)
        self.contacts = ContactDirectory(f"{self._id_prefix}{seed}/")
        self.faults = FaultSet(seed)
        self.bills = BillingRecord()
        self.ledger = RequestLedger(self.config.keep_requests)
        self.starts = StartLimit(self.config.calls_per_second, self.config.rate_tolerance_s)
        self.live = 0
        self.peak_live = 0
        self.webhook_counts: Counter[str] = Counter()
        self.struck_numbers: set[str] = set()
        self._scripts: dict[str, tuple[int, tuple[ScriptStep, ...]]] = {}  # attempts made before the script
        self._attempts: Counter[str] = Counter()
        self._keys: dict[str, tuple[int, str]] = {}
        self._finished: deque[str] = deque()
        self._order = count()
        self._batches = 0
        self._transitions: list[tuple[int, int, str, SimulatedCall | SimulatedBatch]] = []
        self._outbox: list[tuple[int, int, DueWebhook]] = []

    def script(self, to_number: str, steps: Iterable[ScriptStep]) -> None:
        """Use `steps` for the next calls to this number, repeating the last one. No steps removes the script."""
        steps = tuple(steps)
        if not steps:
            self._scripts.pop(to_number, None)
        elif to_number in self._scripts or len(self._scripts) < MAX_SCRIPTS:
            self._scripts[to_number] = (self._attempts[to_number], steps)
        else:
            raise ValueError(f"more than {MAX_SCRIPTS} scripts")

    def magic(self, to_number: str) -> MagicNumber | None:
        """Return the magic number of the last four digits, unless the number has a script or magic is off."""
        if not self.config.magic_numbers or to_number in self._scripts:
            return None
        return MAGIC.get(to_number[-4:])

    def replay(self, key: str | None, arrived: datetime) -> SimulatedCall | None:
        """Return the call that this idempotency key created within the last hour."""
        made = self._keys.get(key) if key is not None else None
        if made is None or epoch_ms(arrived) - made[0] >= IDEMPOTENCY_MS:
            return None
        return self.calls.get(made[1])

    def create_call(
        self, now: datetime, request: CreateCall, arrived: datetime | None = None
    ) -> CallCreated | LimitReached:
        """Create the call, or return the limit it exceeds.

        `now` is simulated time, for the course of the call; `arrived` is real time, for the rate and idempotency keys.
        """
        arrived = arrived or now
        earlier = self.replay(request.idempotency_key, arrived)
        if earlier is not None:
            return CallCreated(earlier, new=False)
        full = self.live >= self.config.concurrency_limit
        if full and self.config.over_concurrency == "reject":
            return LimitReached.concurrency
        if not self.starts.admit(epoch_ms(arrived)):
            return LimitReached.calls_per_second
        call = self._new_call(epoch_ms(now), request, crowded=full)
        self.calls[call.call_id] = call
        key, arrived_ms = request.idempotency_key, epoch_ms(arrived)
        call.ahead_ms = epoch_ms(now) - arrived_ms
        if key is not None:
            self._keys.pop(key, None)
            self._keys[key] = (arrived_ms, call.call_id)
            oldest = next(iter(self._keys))
            if len(self._keys) > self.config.keep_calls or arrived_ms - self._keys[oldest][0] >= IDEMPOTENCY_MS:
                del self._keys[oldest]
        return CallCreated(call, new=True)

    def register_call(
        self, now: datetime, request: CreateCall, *, kind: Literal["web_call", "registered_call"], direction: str
    ) -> SimulatedCall | LimitReached:
        """Create a call that its user has to join or dial, or return the limit it exceeds.

        The script or the magic number of `to_number` decides whether that happens; without one, it does not.
        """
        if self.live >= self.config.concurrency_limit:
            return LimitReached.concurrency
        step: ScriptStep | None = ScriptStep("error_user_not_joined", ring_s=JOIN_MS / 1000)
        if kind == "registered_call":
            number = request.to_number
            is_scripted = number in self._scripts or (self.magic(number) is not None)
            step = None if is_scripted else ScriptStep("registered_call_timeout")
        call = self._new_call(epoch_ms(now), request, crowded=False, step=step)
        call.call_type = "web_call" if kind == "web_call" else "phone_call"
        call.direction = direction
        self.calls[call.call_id] = call
        return call

    def add_batch(self, batch: SimulatedBatch, starts_ms: int) -> None:
        """Start the calls of a batch from this time on, as fast as the limits allow. Sets the batch's id."""
        self._batches += 1
        digest = blake2b(f"{self._id_prefix}{self.seed}/batch/{self._batches}".encode(), digest_size=12).hexdigest()
        batch.batch_call_id = f"batch_call_{digest}"
        self._schedule(starts_ms, "dial", batch)

    def analyze_again(self, call: SimulatedCall, now: datetime) -> None:
        """Analyze a finished call once more."""
        self._schedule(epoch_ms(now) + int(self.config.analysis_s * 1000), "analyze", call)

    def stop_call(self, now: datetime, call_id: str) -> bool:
        """End a live call with `manual_stopped`; return false if there is no such live call."""
        call = self.calls.get(call_id)
        if call is None or not call.live:
            return False
        self._end(call, epoch_ms(now), "manual_stopped")
        return True

    def advance(self, now: datetime) -> list[DueWebhook]:
        """Perform all transitions due by `now`, and return the webhooks due by then in order, with faults applied."""
        limit = epoch_ms(now)
        while self._transitions and self._transitions[0][0] <= limit:
            due_ms, _, what, subject = heapq.heappop(self._transitions)
            if isinstance(subject, SimulatedBatch):
                self._dial_next(subject, due_ms)
            else:
                self._perform(what, subject, due_ms)
        ready: list[DueWebhook] = []
        while self._outbox and self._outbox[0][0] <= limit:
            ready.append(heapq.heappop(self._outbox)[2])
        self.webhook_counts["due"] += len(ready)
        return ready

    def next_due(self) -> datetime | None:
        """Return the time of the next transition or webhook; None if there is none."""
        heads = [heap[0][0] for heap in (self._transitions, self._outbox) if heap]
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
            "still_to_happen": len(self._transitions) + len(self._outbox),
            "scripts": len(self._scripts),
        }

    def _new_call(
        self, now_ms: int, request: CreateCall, *, crowded: bool, step: ScriptStep | None = None
    ) -> SimulatedCall:
        """Create a call that takes the course of `step`, or else of its number's script, magic or chance."""
        if self.config.silent:
            return self._silent_call(now_ms, request)
        number = request.to_number
        self._attempts[number] += 1
        name = f"{self.seed}/{number}/{self._attempts[number]}"
        chance = random.Random(name)
        magic = self.magic(number)
        before, steps = self._scripts.get(number, (0, ()))
        if magic is not None:
            steps = magic.steps
        if request.from_number in self.spam_numbers:
            step = ScriptStep("marked_as_spam")
        step = step or choose(self._attempts[number] - before, steps, self.config.outcome_mix, chance)
        if crowded:
            step = ScriptStep("concurrency_limit_reached", ring_s=0.0)
        call = SimulatedCall(
            call_id=self._call_id(name),
            request=request,
            created_ms=now_ms,
            step=step,
            talk_ms=int(talk_s(step, self.config.mean_talk_s, chance) * 1000),
            habit=magic.habit if magic is not None else WebhookHabit(),
            counts_as_live=not crowded,
            agent=self._agent_of(request, name, now_ms),
            files_url=self.files_url,
        )
        answered_ms = now_ms + int(ring_s(step, self.config.ring_s, chance) * 1000)
        self._schedule(answered_ms, "connect" if connects(step.reason) else "give_up", call)
        self._count_live(call, 1)
        return call

    def _agent_of(self, request: CreateCall, name: str, now_ms: int) -> Mapping[str, Any]:
        """Return the agent of a call: the one that it names, or one of its caller number's."""
        number = request.from_number
        caller = self.phone_numbers.find(number)
        if caller is None and number:
            caller = self.phone_numbers.add(number, "custom", {}, now_ms)
        agent_id = request.override_agent_id
        if agent_id is None and caller is not None and caller.get("outbound_agents"):
            agent_id = weighted_agent(caller["outbound_agents"], random.Random(f"{name}/agent"))
        return self.agents.named(agent_id or DEFAULT_AGENT, now_ms)

    def _dial_next(self, batch: SimulatedBatch, at_ms: int) -> None:
        if batch.window is not None and not batch.window.is_open(at_ms):
            self._schedule(at_ms + _BATCH_CLOSED_MS, "dial", batch)
            return
        if self.live >= self.config.concurrency_limit - batch.reserved:
            self._schedule(at_ms + _BATCH_PAUSE_MS, "dial", batch)
            return
        request = batch.tasks[batch.started]
        request.batch_call_id = batch.batch_call_id
        batch.started += 1
        call = self._new_call(at_ms, request, crowded=False)
        self.calls[call.call_id] = call
        if batch.started < len(batch.tasks):
            per_second = self.config.calls_per_second
            self._schedule(at_ms + (0 if per_second is None else int(1000 / per_second)), "dial", batch)

    def _call_id(self, name: str) -> str:
        return "call_" + blake2b((self._id_prefix + name).encode(), digest_size=14).hexdigest()

    def _silent_call(self, now_ms: int, request: CreateCall) -> SimulatedCall:
        call = SimulatedCall(
            call_id=self._call_id(f"{self.seed}/{next(self._order)}"),
            request=request,
            created_ms=now_ms,
            step=ScriptStep("user_hangup"),
            files_url=self.files_url,
        )
        if self.config.hold_s == 0:
            call.status, call.reason, call.end_ms = "ended", "user_hangup", now_ms
            self._finish(call)
            return call
        self._count_live(call, 1)
        if self.config.hold_s is not None:
            self._schedule(now_ms + int(self.config.hold_s * 1000), "give_up", call)
        return call

    def _count_live(self, call: SimulatedCall, change: int) -> None:
        self.live += change * call.counts_as_live
        self.peak_live = max(self.peak_live, self.live)

    def _finish(self, call: SimulatedCall) -> None:
        self._finished.append(call.call_id)
        if len(self._finished) > self.config.keep_calls:
            self.calls.pop(self._finished.popleft(), None)

    def _schedule(self, due_ms: int, what: str, subject: SimulatedCall | SimulatedBatch) -> None:
        heapq.heappush(self._transitions, (due_ms, next(self._order), what, subject))

    def _perform(self, what: str, call: SimulatedCall, at_ms: int) -> None:
        if what == "analyze":
            call.analyzed = True
            self._emit(call, "call_analyzed", at_ms)
            for index, (event, body, has_cost) in enumerate(reversed(call.held_back), start=1):
                self._send(call, event, body, at_ms + 1000 * index, has_cost=has_cost)
            call.held_back.clear()
        elif call.live and what == "connect":
            call.status, call.start_ms = "ongoing", at_ms
            self._emit(call, "call_started", at_ms)
            self._schedule(at_ms + call.talk_ms, "hang_up", call)
            if self._is_wanted(call, TRANSCRIPT_UPDATED):
                self._say(call, at_ms)
        elif call.live and what == "say":
            self._say(call, at_ms)
        elif call.live:
            self._end(call, at_ms, call.step.reason)

    def _end(self, call: SimulatedCall, at_ms: int, reason: str) -> None:
        call.status, call.reason, call.end_ms = status_of(reason), reason, at_ms
        if reason == "user_requested_dnc":
            self.contacts.opt_out(call.request.to_number, at_ms)
        self._count_live(call, -1)
        self._finish(call)
        if not self.config.silent:
            self._emit(call, "call_ended", at_ms)
            if call.start_ms is not None and self._is_wanted(call, TRANSCRIPT_UPDATED):
                self._emit(call, TRANSCRIPT_UPDATED, at_ms)
            self._schedule(at_ms + int(self.config.analysis_s * 1000), "analyze", call)

    def _say(self, call: SimulatedCall, at_ms: int) -> None:
        """Send the turns so far, and go on with the next one."""
        self._emit(call, TRANSCRIPT_UPDATED, at_ms)
        if turns_by(call, at_ms) < turns_of(call):
            self._schedule(at_ms + int(TURN_S * 1000), "say", call)

    def _emit(self, call: SimulatedCall, event: str, at_ms: int) -> None:
        self.webhook_counts[event] += 1
        described = describe_so_far(call, at_ms) if event == TRANSCRIPT_UPDATED else describe(call)
        if self.faults.hides_cost(event):
            described.call_cost = None
        # Retell sends no cost for a call that was never connected.
        has_cost = not call.live and (described.call_cost is not None or call.start_ms is None)
        body = msgspec.json.encode({"event": event, "call": described})
        if call.habit.reversed and event in EVENTS[:-1]:
            call.held_back.append((event, body, has_cost))
        else:
            self._send(call, event, body, at_ms, has_cost=has_cost)

    def _is_wanted(self, call: SimulatedCall, event: str) -> bool:
        """Return whether the agent of a call receives this event."""
        wanted = call.agent.get("webhook_events")
        if wanted:
            return event in wanted
        return event in EVENTS or (event == TRANSCRIPT_UPDATED and self.config.live_transcripts)

    def _send(self, call: SimulatedCall, event: str, body: bytes, at_ms: int, *, has_cost: bool) -> None:
        if event in call.habit.withheld or not self._is_wanted(call, event):
            delays: list[float] = []
        elif event == TRANSCRIPT_UPDATED:
            # Without faults: these would change which of the other webhooks are lost, and no promise is about this one.
            delays = [0.0]
        else:
            delays = self.faults.on_webhook(event) * call.habit.copies
        if not delays:
            self.webhook_counts["dropped"] += 1
        self.webhook_counts["repeated"] += max(0, len(delays) - 1)
        for delay in delays:
            due_ms = at_ms + int((delay + call.habit.late_s) * 1000)
            url = call.agent.get("webhook_url")
            webhook = DueWebhook(
                call_id=call.call_id,
                event=event,
                body=body,
                due=from_epoch_ms(due_ms),
                url=url or None,
                has_cost=has_cost,
            )
            heapq.heappush(self._outbox, (due_ms, next(self._order), webhook))
