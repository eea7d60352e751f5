"""A stage for the dial and the webhook path: the real roles on a clone, virtual time, and the simulator in process."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from outdial.clock import VirtualClock
from outdial.db.session import DIALER_TIMEOUTS, WEBHOOK_TIMEOUTS, Connection, Database, assert_no_transaction
from outdial.dialer.claim import Claimer
from outdial.dialer.worker import Dialer
from outdial.domain.calling_hours import ALWAYS_OPEN, parse_calling_hours
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from outdial.domain.rules import UNRESTRICTED, RuleBook
from outdial.inbox.applier import EventApplier
from outdial.inbox.held_contacts import HeldContacts
from outdial.inbox.live_transcripts import TranscriptReceived
from outdial.inbox.receive import RejectedEvent, StoredEvent, WebhookReceiver
from outdial.pre_dial.client import HookClient
from outdial.provider import BeforeSending
from outdial.retell import signature
from outdial.retell.client import RetellClient
from outdial.retell.events import RetellEventReader
from outdial.retell.provider import RetellProvider
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.in_process import SimulatorTransport
from outdial.retell.simulator.ledger import LedgerEntry
from outdial.retell.simulator.workspace import DueWebhook, SimulatedWorkspace
from outdial.retell.webhooks import RetellWebhooks
from outdial.retell.wire import RetellResponse
from outdial.settings import DialerSettings
from tests.support.factories import NOW
from tests.support.postgres import Scratch

KEY = "key_simulator"
CHECK_AFTER = timedelta(seconds=60)
ANY_TIME = UNRESTRICTED.window(parse_calling_hours(ALWAYS_OPEN), Place("UTC", ""), Purpose.SALES)
"""The window of a planned call that may start at any time."""
ANSWERED: Mapping[str, float] = {"user_hangup": 1}


def epoch_ms(moment: datetime) -> int:
    """Return `moment` as Retell writes it."""
    return round(moment.timestamp() * 1000)


def event_body(event: str, retell_call_id: str, call_id: UUID | None = None, **call: Any) -> bytes:
    """Return the body of one event; `call_id` goes into its metadata, as create-call had put it there."""
    metadata = {} if call_id is None else {"metadata": {"call_id": str(call_id)}}
    return json.dumps({"event": event, "call": {"call_id": retell_call_id, **metadata, **call}}).encode()


async def refuse_poison(connection: asyncpg.Connection) -> None:
    """Make Postgres refuse calls whose transcript is "poison", as a fault that no check of ours has foreseen."""
    await connection.execute("alter table calls add constraint poison check (transcript is distinct from 'poison')")


def life_of_call(retell_call_id: str, call_id: UUID | None, reason: str = "user_hangup") -> dict[str, bytes]:
    """Return the three events of a call of one minute, as Retell fills them."""
    started = {"start_timestamp": epoch_ms(NOW)}
    ended = started | {
        "end_timestamp": epoch_ms(NOW + timedelta(minutes=1)),
        "duration_ms": 60_000,
        "disconnection_reason": reason,
        "transcript": "Agent: Hello.\n",
        "recording_url": "https://example.invalid/recording.wav",
    }
    analyzed = ended | {
        "call_cost": {"combined_cost": 7.25},
        "public_log_url": "https://example.invalid/log",
        "call_analysis": {"call_summary": "Fine.", "in_voicemail": False},
    }
    return {
        "call_started": event_body("call_started", retell_call_id, call_id, **started),
        "call_ended": event_body("call_ended", retell_call_id, call_id, **ended),
        "call_analyzed": event_body("call_analyzed", retell_call_id, call_id, **analyzed),
    }


class Gate(SimulatorTransport):
    """A transport that can hold create-call requests between the wire and the simulator."""

    def __init__(self, workspace: SimulatedWorkspace, clock: VirtualClock) -> None:
        super().__init__(workspace, clock.now, KEY)
        self.held = 0
        self.arrived = asyncio.Event()
        self.opened = asyncio.Event()
        self.opened.set()

    def shut(self) -> None:
        """Hold what comes from now on."""
        self.opened.clear()
        self.arrived.clear()

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        timeout_s: float,
        before_sending: BeforeSending | None = None,
    ) -> RetellResponse:
        """Answer when the gate is open."""
        if before_sending is not None:
            await before_sending()
        if path.endswith("/create-phone-call"):
            self.held += 1
            self.arrived.set()
            await self.opened.wait()
            self.held -= 1
        return await super().send(method, path, body, timeout_s)


@dataclass
class Stage:
    """Everything between Retell and the tables, as it is in production but for the clock and the wire."""

    scratch: Scratch
    look: asyncpg.Connection
    clock: VirtualClock
    workspace: SimulatedWorkspace
    gate: Gate
    webhook: Database
    dialing: Database
    settings: DialerSettings
    clients: dict[str, RetellClient] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=lambda: {"default": [KEY]})
    rules: RuleBook = UNRESTRICTED
    hook: HookClient = field(default_factory=lambda: HookClient(allow_private=True, guard=assert_no_transaction))

    @property
    def provider(self) -> RetellProvider:
        """The provider over the clients of this stage."""
        return RetellProvider(self.clients)

    def receiver(self, *, accept_plain: bool = False) -> WebhookReceiver:
        """Return a receiver as the webhook function builds it."""
        webhooks = RetellWebhooks(self.keys, accept_plain=accept_plain)
        return WebhookReceiver(self.webhook, webhooks, RetellEventReader(), self.clock, check_after=CHECK_AFTER)

    def applier(self) -> EventApplier:
        """Return an applier."""
        return EventApplier(self.webhook, RetellEventReader(), self.clock, check_after=CHECK_AFTER)

    def held_contacts(self) -> HeldContacts:
        """Return the task that decides about contacts whose calls get no analysis."""
        return HeldContacts(self.webhook, RetellEventReader(), self.clock)

    def dialer(self) -> Dialer:
        """Return a dialer that calls through the simulator."""
        return Dialer(self.dialing, self.provider, self.clock, self.settings, rules=self.rules, hook=self.hook)

    def claimer(self, database: Database | None = None) -> Claimer:
        """Return a claimer, by default on the connections of the dialer."""
        return Claimer(database or self.dialing, self.provider, self.clock, self.settings, rules=self.rules)

    @asynccontextmanager
    async def as_service(self) -> AsyncIterator[Connection]:
        """Open a transaction as a holder of the service key does."""
        dsn = self.scratch.dsn_for("outdial_api")
        async with await Database.connect(dsn, application_name="tests:api") as api, api.as_service() as connection:
            yield connection

    async def send(self, *bodies: bytes, key: str = KEY) -> list[StoredEvent | TranscriptReceived | RejectedEvent]:
        """Receive the bodies one after the other, each signed now with `key`."""
        receiver = self.receiver()
        return [await receiver.receive(body, signature.sign(body, key, epoch_ms(self.clock.now()))) for body in bodies]

    async def deliver(self) -> list[DueWebhook]:
        """Let the simulator's calls go on until now, and receive the webhooks that come of it."""
        webhooks = self.workspace.advance(self.clock.now())
        await self.send(*(webhook.body for webhook in webhooks))
        return webhooks

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """Return all rows of a table, whole, in the order of their ids."""
        key = "organization_id, phone" if table == "do_not_call" else "id"
        return [dict(row) for row in await self.look.fetch(f"select * from {table} order by {key}")]  # noqa: S608

    async def row(self, table: str, id: UUID) -> dict[str, Any]:
        """Return one row of a table."""
        found = await self.look.fetchrow(f"select * from {table} where id = $1", id)  # noqa: S608
        assert found is not None
        return dict(found)

    async def change(self, table: str, id: UUID, **columns: object) -> None:
        """Arrange one row, past triggers and policies."""
        names = ", ".join(f"{name} = ${number}" for number, name in enumerate(columns, start=2))
        async with self.look.transaction():
            await self.look.execute("set local session_replication_role = replica")
            await self.look.execute(f"update {table} set {names} where id = $1", id, *columns.values())  # noqa: S608

    def asked(self, operation: str = "create-phone-call") -> list[LedgerEntry]:
        """Return the simulator's entries of an operation: the witness."""
        return [entry for entry in self.workspace.ledger.read() if entry.operation == operation]


@asynccontextmanager
async def open_stage(
    scratch: Scratch, look: asyncpg.Connection, *, settings: DialerSettings | None = None, **config: Any
) -> AsyncIterator[Stage]:
    """Open the pools of a stage; every call is answered, and the simulator has no limits, unless `config` says so."""
    defaults = {"concurrency_limit": 1000, "calls_per_second": None, "outcome_mix": ANSWERED}
    workspace, clock = SimulatedWorkspace(SimulatorConfig(**(defaults | config))), VirtualClock(NOW)
    gate = Gate(workspace, clock)
    async with AsyncExitStack() as stack:
        webhook, dialing = [
            await stack.enter_async_context(
                await Database.connect(scratch.dsn_for(role), application_name=f"tests:{role}", timeouts=timeouts)
            )
            for role, timeouts in (("outdial_webhook", WEBHOOK_TIMEOUTS), ("outdial_dialer", DIALER_TIMEOUTS))
        ]
        stage = Stage(scratch, look, clock, workspace, gate, webhook, dialing, settings or DialerSettings())
        stage.clients["default"] = RetellClient(gate)
        stack.push_async_callback(stage.hook.close)
        yield stage
