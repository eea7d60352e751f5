"""Stopping all calls of an organization: once it reads stopped, no create-call request leaves."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound
from outdial.campaigns.operations.stop import StopState, StopStatus, read_stop, resume_all_calls, stop_all_calls
from outdial.db.session import Connection
from outdial.dialer.claim import Claimed
from outdial.dialer.place import Placer
from outdial.dialer.settle import Settler
from outdial.domain.ids import new_id
from outdial.retell.simulator.faults import Fault, FaultKind
from tests.support.dialing import Stage
from tests.support.factories import Campaign, Tenant, create_campaign, create_campaign_contact, create_tenant

Work = Callable[[Connection], Awaitable[StopState | NotFound | Forbidden]]


async def as_service(stage: Stage, work: Work) -> StopState:
    """Do `work` as a holder of the service key."""
    async with stage.as_service() as connection:
        state = await work(connection)
    assert isinstance(state, StopState)
    return state


async def stop(stage: Stage, tenant: Tenant) -> StopState:
    """Stop all calls of the tenant."""
    return await as_service(
        stage,
        lambda c: stop_all_calls(
            c,
            organization_id=tenant.organization_id,
            by="the service",
            reason="wrong prompt",
            actor=Actor(),
            now=stage.clock.now(),
        ),
    )


async def resume(stage: Stage, tenant: Tenant) -> StopState:
    """Allow the calls of the tenant again."""
    return await as_service(
        stage,
        lambda c: resume_all_calls(
            c, organization_id=tenant.organization_id, reason=None, actor=Actor(), now=stage.clock.now()
        ),
    )


async def status(stage: Stage, tenant: Tenant) -> StopStatus:
    """Return what the organization reads now."""
    state = await as_service(stage, lambda c: read_stop(c, tenant.organization_id, stage.clock.now()))
    return state.status


async def running(stage: Stage, tenant: Tenant, size: int) -> Campaign:
    """Create an active campaign with due contacts."""
    campaign = await create_campaign(stage.look, tenant, batch_size=20)
    for _ in range(size):
        await create_campaign_contact(stage.look, campaign)
    return campaign


async def test_a_stop_waits_for_requests_in_flight_and_nothing_leaves_after_it(stage: Stage) -> None:
    tenant, dialer = await create_tenant(stage.look), stage.dialer()
    campaigns = [await running(stage, tenant, 3), await running(stage, tenant, 3)]
    stage.gate.shut()
    await dialer.run_once()
    await stage.gate.arrived.wait()
    stopping = await stop(stage, tenant)
    assert (stopping.status, stopping.requests_in_flight > 0) == (StopStatus.STOPPING, True)
    stage.gate.opened.set()
    await dialer.settled()
    assert await status(stage, tenant) is StopStatus.STOPPED
    before = len(stage.asked())
    for campaign in campaigns:
        await create_campaign_contact(stage.look, campaign)
    for _ in range(5):
        stage.clock.advance(timedelta(seconds=30))
        await dialer.run_once()
        await dialer.settled()
        await dialer.rescuer.run_once()
    assert len(stage.asked()) == before
    waiting = await stage.look.fetch("select distinct status, waiting_for from campaigns")
    assert [tuple(row) for row in waiting] == [("active", "stopped")]

    assert (await resume(stage, tenant)).status is StopStatus.RUNNING
    await dialer.run_once()
    await dialer.settled()
    assert len(stage.asked()) > before
    audited = await stage.look.fetch("select action, details::text from audit_log order by id")
    assert [row["action"] for row in audited] == ["stop_all_calls", "resume_all_calls"]
    assert "wrong prompt" in audited[0]["details"]


async def test_a_claimed_call_that_waits_for_its_start_is_not_sent_after_a_stop(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    campaign = await running(stage, tenant, 3)
    claim = await stage.claimer().claim(tenant.organization_id, campaign.id)
    assert isinstance(claim, Claimed)
    assert claim.calls
    assert (await stop(stage, tenant)).status is StopStatus.STOPPING
    placer = Placer(stage.dialing, stage.provider, stage.clock, stage.settings)
    placer.recheck(tenant.provider_account_id)  # as the notification of the stop has it
    await Settler(stage.dialing, stage.clock, stage.settings).settle(await placer.place(claim.calls))
    assert (stage.asked(), await status(stage, tenant)) == ([], StopStatus.STOPPED)
    assert await stage.look.fetchval("select sum(attempts) from campaign_contacts") == 0


async def test_a_lost_request_is_not_repeated_while_calls_are_stopped(stage: Stage) -> None:
    tenant, dialer = await create_tenant(stage.look), stage.dialer()
    await running(stage, tenant, 1)
    stage.workspace.faults.replace([Fault(kind=FaultKind.drop_request, times=1)])
    await dialer.run_once()
    await dialer.settled()
    assert (await stop(stage, tenant)).status is StopStatus.STOPPED
    for _ in range(5):
        stage.clock.advance(timedelta(minutes=1))
        await dialer.rescuer.run_once()
    assert len(stage.asked()) == 1
    await resume(stage, tenant)
    stage.clock.advance(timedelta(minutes=5))
    await dialer.rescuer.run_once()
    assert len(stage.asked()) == 2


@pytest.mark.parametrize("seed", range(6))
async def test_no_request_leaves_after_an_organization_reads_stopped_with_any_schedule(stage: Stage, seed: int) -> None:
    """Two dialers and a rescuer work beside the stop, with lost responses and requests."""
    rng = random.Random(seed)
    tenant = await create_tenant(stage.look)
    for _ in range(2):
        await running(stage, tenant, 4)
    kinds = [FaultKind.drop_reply, FaultKind.drop_request]
    stage.workspace.faults.replace([Fault(kind=rng.choice(kinds), times=rng.randint(1, 3))])
    dialers = [stage.dialer(), stage.dialer()]

    async def work() -> None:
        for _ in range(rng.randint(0, 3)):
            await asyncio.sleep(0)
        await asyncio.gather(*(dialer.run_once() for dialer in dialers))

    await asyncio.gather(work(), stop(stage, tenant))
    # All calls may have been placed before the stop: these contacts wait for its end.
    await running(stage, tenant, 2)
    at_stop = None
    for _ in range(6):
        if at_stop is None and await status(stage, tenant) is StopStatus.STOPPED:
            at_stop = len(stage.asked())
        for dialer in dialers:
            await dialer.run_once()
            await dialer.rescuer.run_once()
        stage.clock.advance(timedelta(seconds=rng.randint(1, 90)))
        for dialer in dialers:
            await dialer.settled()
    assert at_stop is not None
    assert len(stage.asked()) == at_stop
    await resume(stage, tenant)
    await dialers[0].run_once()
    await dialers[0].settled()
    assert len(stage.asked()) > at_stop


async def test_an_unknown_organization_is_not_stopped(stage: Stage) -> None:
    async with stage.as_service() as connection:
        result = await read_stop(connection, new_id(stage.clock.now()), stage.clock.now())
    assert result == NotFound()
