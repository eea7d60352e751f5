"""Removes transcripts, links to recordings, event bodies and calls past their organization's retention."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries import audit, retention
from outdial.db.queries.dialing import test_call_requests
from outdial.db.session import Connection, Database, encode_json

EVERY: Final = timedelta(minutes=10)
PORTION: Final = 500
"""Rows per transaction. An event of one of these calls waits for it."""
CALL_KINDS: Final = ("transcripts", "recordings", "calls")


class DataRetention:
    """A background task; any number of workers may run it."""

    def __init__(self, database: Database, clock: Clock, *, portion: int = PORTION) -> None:
        self._database = database
        self._clock = clock
        self._portion = portion

    async def run_once(self) -> int:
        """Remove everything that is too old; return how many calls and events were read for it."""
        async with self._database.transaction() as connection:
            organizations = await retention.retaining_organizations(connection)
        return sum([await self._clear(organization) for organization in organizations])

    async def _clear(self, organization: retention.RetainingOrganization) -> int:
        organization_id = organization.organization_id
        removed: dict[str, int] = {}
        for kind in CALL_KINDS:
            removed[kind] = await self._in_portions(organization_id, self._expire_calls(organization_id, kind))
        removed["test_calls"] = await self._in_portions(organization_id, self._expire_test_calls(organization_id))
        events = 0
        for credential in (None, *organization.credentials):
            events += await self._in_portions(organization_id, self._expire_events(organization_id, credential))
        removed["events"] = events
        done = {kind: number for kind, number in removed.items() if number}
        if done:
            async with self._database.for_organization(organization_id) as connection:
                await audit.record_audit(
                    connection,
                    organization_id=organization_id,
                    actor="jobs",
                    action="remove_old_data",
                    subject_type="organization",
                    subject_id=str(organization_id),
                    details=encode_json(done),
                )
        return sum(done.values())

    async def _in_portions(self, organization_id: UUID, expire: Callable[[Connection], Awaitable[int]]) -> int:
        total = 0
        while True:
            async with self._database.for_organization(organization_id) as connection:
                done = await expire(connection)
            total += done
            if done < self._portion:
                return total

    def _expire_calls(self, organization_id: UUID, kind: str) -> Callable[[Connection], Awaitable[int]]:
        return lambda connection: retention.expire_calls(
            connection, organization_id=organization_id, kind=kind, limit=self._portion, now=self._clock.now()
        )

    def _expire_test_calls(self, organization_id: UUID) -> Callable[[Connection], Awaitable[int]]:
        return lambda connection: test_call_requests.expire_test_calls(
            connection, organization_id=organization_id, now=self._clock.now()
        )

    def _expire_events(self, organization_id: UUID, credential: str | None) -> Callable[[Connection], Awaitable[int]]:
        return lambda connection: retention.expire_events(
            connection,
            organization_id=organization_id,
            credential=credential,
            limit=self._portion,
            now=self._clock.now(),
        )
