"""Test calls of a simulated run: members request some, two dialers send them, and the witness counts the requests."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.operations.test_calls import WantedTestCall, request_test_call
from outdial.clock import Clock
from outdial.db.session import Database
from outdial.dialer.test_calls.task import CallTester
from outdial.retell.dispositions import outcome_of
from outdial.retell.simulator import SimulatedWorkspace

MOST: Final = 6
"""Test calls of a run."""


@dataclass(slots=True)
class OwnPhones:
    """The members and the dialers' tasks. `phones` are those of contacts, which a campaign may be calling."""

    seed: int
    clock: Clock
    api: Database
    observer: asyncpg.Connection
    tasks: Sequence[CallTester]
    campaigns: Sequence[UUID]
    phones: Sequence[tuple[UUID, str]]
    requested: int = 0
    is_open: bool = False
    sent: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        # Of its own, so that the rest of a seed's run does not depend on it.
        self.chance = random.Random(self.seed * 1000)

    async def step(self) -> None:
        """Request a test call now and then, and have a dialer work on those that are not at an end."""
        if self.requested < MOST and self.chance.random() < 0.05:
            await self._request()
        if not self.is_open:
            return
        with suppress(BaseException):  # a crash
            await self.chance.choice(self.tasks).run_once()
        self.is_open = await self.observer.fetchval(
            "select exists (select from test_calls where next_check_at is not null)"
        )

    async def _request(self) -> None:
        campaign_id, own = self.chance.choice(self.campaigns), self.chance.random() < 0.7
        phone = f"+1415555{self.chance.randint(1000, 9999)}" if own else self.chance.choice(self.phones)[1]
        organization_id = await self.observer.fetchval(
            "select organization_id from campaigns where id = $1", campaign_id
        )
        async with self.api.as_service() as connection:
            await request_test_call(
                connection,
                organization_id=organization_id,
                campaign_id=campaign_id,
                wanted=WantedTestCall(phone=phone, is_own_phone=own or self.chance.random() < 0.5),
                by="the service",
                actor=Actor(),
                now=self.clock.now(),
            )
        self.requested, self.is_open = self.requested + 1, True

    def on_leaving(self, body: bytes, *, was_stopped: bool) -> None:
        """Note a test call whose request leaves although all calls had been stopped before it took its start."""
        if was_stopped and (key := msgspec.json.decode(body)["metadata"].get("test_call_id")) is not None:
            self.broken.append(f"test call {key} left after all calls had been stopped")

    async def on_create(self, request: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with a request for a test call that leaves now."""
        key = str(request["metadata"]["test_call_id"])
        self.sent[key] += 1
        row = await self.observer.fetchrow("select status, phone from test_calls where id = $1", UUID(key))
        problems = [f"test call {key} was requested {self.sent[key]} times"] if self.sent[key] > 1 else []
        if row is None or (row["status"], row["phone"]) != ("sent", request["to_number"]):
            problems.append(f"a request left for test call {key}, which is {row and dict(row)}")
        if request["idempotency_key"] != key or "call_id" in request["metadata"]:
            problems.append(f"the request for test call {key} has the ids of another call")
        return problems

    async def at_the_end(self, workspaces: Mapping[str, SimulatedWorkspace]) -> list[str]:
        """Return where test calls and the simulator's records of them differ."""
        rows = {str(row["id"]): row for row in await self.observer.fetch("select * from test_calls")}
        problems = [f"test call {id_} is left {row['status']}" for id_, row in rows.items() if row["next_check_at"]]
        placed: Counter[str] = Counter()
        for workspace in workspaces.values():
            for call_id, call in workspace.calls.items():
                if (test_id := (call.request.metadata or {}).get("test_call_id")) is None:
                    continue
                placed[test_id] += 1
                row = rows[test_id]
                if (row["status"], row["retell_call_id"], row["outcome"]) != (
                    "ended",
                    call_id,
                    outcome_of(call.reason or ""),
                ):
                    problems.append(f"{call_id} ended with {call.reason} at Retell, its test call is {dict(row)}")
        problems += [f"test call {id_} was placed {times} times" for id_, times in placed.items() if times > 1]
        ended = {id_ for id_, row in rows.items() if row["status"] == "ended"}
        return problems + [f"test call {id_} is not at Retell" for id_ in ended - placed.keys()]
