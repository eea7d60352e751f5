"""The evidence of a good run shows no breach; changing the ledger or the database does."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import aiohttp
import asyncpg
import msgspec
import pytest

from outdial.db.session import Database
from outdial.promises.checks import audit, resolved
from outdial.promises.errors import LedgerIncomplete
from outdial.promises.evidence import SimulatorClient, gather_evidence
from outdial.promises.spending import gather_budgets
from outdial.retell.simulator import SimulatorConfig
from outdial.retell.simulator.server import running
from outdial.stack.local import SIMULATOR_KEY
from tests.support.factories import create_calling, create_campaign, create_contact, create_tenant
from tests.support.postgres import Scratch

# Answers, and its webhooks go nowhere.
PHONE = "+12127009901"


@dataclass(frozen=True)
class Run:
    """One finished call, in the database exactly as in the simulator."""

    call_id: UUID
    url: str
    simulator_client: SimulatorClient
    database: Database

    async def ask(self, key: UUID) -> int:
        """Request the call; return the status of the response."""
        body = {
            "from_number": "+12125550100",
            "to_number": PHONE,
            "idempotency_key": str(key),
            "metadata": {"call_id": str(self.call_id)},
        }
        headers = {"authorization": f"Bearer {SIMULATOR_KEY}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{self.url}/v2/create-phone-call", json=body) as response,
        ):
            return response.status

    async def broken(self) -> list[int]:
        """Return the promises with breaches."""
        return [
            check.promise
            for check in audit(await gather_evidence(self.simulator_client, self.database))
            if not check.holds
        ]


@pytest.fixture
async def run(database: Scratch, connection: asyncpg.Connection) -> AsyncIterator[Run]:
    config = SimulatorConfig(
        api_keys=(SIMULATOR_KEY,), speed=100_000, calls_per_second=None, concurrency_limit=5, keep_requests=50
    )
    async with (
        running(config) as (url, simulator),
        SimulatorClient(url, SIMULATOR_KEY) as simulator_client,
        await Database.connect(database.dsn_for("outdial_api"), application_name="test") as api,
    ):
        tenant = await create_tenant(connection)
        campaign = await create_campaign(connection, tenant, name="Spring", status="paused", budget_cents=5000)
        contact = await create_contact(connection, tenant.organization_id, phone=PHONE)
        now = datetime.now(UTC)
        _, call_id = await create_calling(connection, campaign, contact, requested_at=now)
        made = Run(call_id, url, simulator_client, api)
        await simulator_client.set_faults([{"kind": "garble_reply", "times": 1}])
        await made.ask(call_id)
        assert await made.ask(call_id) == 201
        while simulator.workspace.next_due() is not None:  # noqa: ASYNC110 - a few milliseconds at this speed
            await asyncio.sleep(0)
        [retell_call_id] = simulator.workspace.calls
        told = await simulator_client.call(retell_call_id)
        await connection.execute(
            "update calls set status = 'ended', retell_call_id = $2, outcome = 'answered', transcript = $3,"
            " disconnection_reason = 'user_hangup', analysis = $4::text::jsonb where id = $1",
            call_id,
            retell_call_id,
            told["transcript"],
            msgspec.json.encode(told["call_analysis"]).decode(),
        )
        await connection.execute("update campaign_contacts set status = 'completed', attempts = 1")
        yield made


async def test_a_good_run_agrees(run: Run) -> None:
    evidence = await gather_evidence(run.simulator_client, run.database)

    checks = audit(evidence)
    assert [check.promise for check in checks] == [1, 3, 5, 6, 7, 14]
    assert not any(check.breaches for check in checks)
    assert len(evidence.provider_calls) == 1
    [budget] = await gather_budgets(run.database, await run.simulator_client.costs())
    [billed] = budget.calls
    assert (budget.name, billed.limit_cents, billed.id) == ("campaign Spring", 5000, str(run.call_id))
    # No webhook was sent: the cost was known when the call was asked for.
    assert billed.cost_cents > 0
    assert billed.sent_at is not None
    assert billed.accepted_at is None
    assert (resolved(evidence).ambiguous, resolved(evidence).resolved) == (1, 1)


async def test_a_second_call_for_the_same_attempt_is_found(run: Run) -> None:
    await run.ask(UUID(int=7))
    assert {1, 6} <= set(await run.broken())


@pytest.mark.parametrize(
    "change",
    ["transcript = 'Agent: Something else'", "analysis = null", "outcome = 'busy'", "retell_call_id = 'call_9'"],
)
async def test_a_row_that_differs_is_found(run: Run, connection: asyncpg.Connection, change: str) -> None:
    await connection.execute(f"update calls set {change}")  # noqa: S608
    assert await run.broken() == [6]


async def test_counts_that_differ_are_found(run: Run, connection: asyncpg.Connection) -> None:
    await connection.execute("update campaign_contacts set attempts = 0")
    assert await run.broken() == [5]


async def test_a_ledger_with_gaps_is_refused(run: Run) -> None:
    [call] = (await gather_evidence(run.simulator_client, run.database)).provider_calls
    for _ in range(60):
        await run.simulator_client.call(call.call_id)
    with pytest.raises(LedgerIncomplete, match="has dropped"):
        await gather_evidence(run.simulator_client, run.database)
