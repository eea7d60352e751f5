"""Stops of a simulated run: members stop and resume all calls, and the witness compares with the simulator's ledger."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.operations.stop import StopState, StopStatus, read_stop, resume_all_calls, stop_all_calls
from outdial.clock import Clock
from outdial.db.session import Database
from outdial.retell.simulator import SimulatedWorkspace

MOST = 8
"""Stops of a run."""


@dataclass(slots=True)
class CallStops:
    """The members who stop calls. `workspaces` are those of the organizations, which have one each."""

    seed: int
    clock: Clock
    api: Database
    workspaces: Mapping[UUID, SimulatedWorkspace]
    made: int = 0
    stopped: set[UUID] = field(default_factory=set)
    # How many create-call requests the simulator had when the organization was seen to read stopped.
    read: dict[UUID, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        # Of its own, so that the rest of a seed's run does not depend on it.
        self.chance = random.Random(self.seed * 2000)

    def is_stopped(self, workspace: SimulatedWorkspace) -> bool:
        """Return whether the stop of a workspace's organization is committed."""
        return any(self.workspaces[organization_id] is workspace for organization_id in self.stopped)

    async def meanwhile(self) -> None:
        """Stop all calls now and then while a request is under way, and look whether they read stopped."""
        if self.chance.random() < 0.02:
            await self._stop()

    async def step(self) -> None:
        """Stop, read or resume between two steps of the run."""
        if self.chance.random() < 0.03:
            await self._stop()
        for organization_id in sorted(self.stopped):
            await self._look(organization_id)
            if self.chance.random() < 0.2:
                await self._resume(organization_id)

    async def end(self) -> None:
        """Resume all calls; no more stops follow."""
        self.made = MOST
        for organization_id in sorted(self.stopped):
            await self._look(organization_id)
            await self._resume(organization_id)

    async def _stop(self) -> None:
        organization_id = self.chance.choice(sorted(self.workspaces))
        if self.made >= MOST or organization_id in self.stopped:
            return
        self.made += 1
        async with self.api.as_service() as connection:
            state = await stop_all_calls(
                connection,
                organization_id=organization_id,
                by="the service",
                reason="wrong prompt",
                actor=Actor(),
                now=self.clock.now(),
            )
        self.stopped.add(organization_id)
        self._compare(organization_id, state)

    async def _look(self, organization_id: UUID) -> None:
        async with self.api.as_service() as connection:
            self._compare(organization_id, await read_stop(connection, organization_id, self.clock.now()))

    def _compare(self, organization_id: UUID, state: object) -> None:
        if not isinstance(state, StopState) or state.status is not StopStatus.STOPPED:
            if organization_id in self.read:
                self.broken.append(f"calls read {state} after they had read stopped")
            return
        requests = self._requests(organization_id)
        before = self.read.setdefault(organization_id, requests)
        if requests != before:
            self.broken.append(f"{requests - before} requests arrived after all calls read stopped")
            self.read[organization_id] = requests

    async def _resume(self, organization_id: UUID) -> None:
        async with self.api.as_service() as connection:
            await resume_all_calls(
                connection, organization_id=organization_id, reason=None, actor=Actor(), now=self.clock.now()
            )
        self.stopped.discard(organization_id)
        self.read.pop(organization_id, None)

    def _requests(self, organization_id: UUID) -> int:
        totals = self.workspaces[organization_id].ledger.totals()
        return sum(totals.get("create-phone-call", {}).values())
