"""A member hangs up a call, and the dialer ends it at Retell."""

from datetime import timedelta
from uuid import UUID

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound
from outdial.campaigns.operations.hang_up import HangingUp, NotLive, hang_up
from outdial.dialer.hang_ups.task import HangUps
from outdial.domain.ids import new_id
from tests.support.dialing import Stage
from tests.support.factories import Tenant, create_campaign, create_campaign_contact, create_tenant


async def ask(stage: Stage, tenant: Tenant, call_id: UUID) -> HangingUp | NotLive | NotFound | Forbidden:
    """Hang up a call as a holder of the service key does."""
    async with stage.as_service() as connection:
        return await hang_up(
            connection,
            organization_id=tenant.organization_id,
            call_id=call_id,
            reason="wrong person",
            actor=Actor(),
            now=stage.clock.now(),
        )


async def test_a_live_call_is_hung_up_once_and_others_are_refused(stage: Stage) -> None:
    tenant, dialer = await create_tenant(stage.look), stage.dialer()
    campaign = await create_campaign(stage.look, tenant, batch_size=20)
    for _ in range(2):
        await create_campaign_contact(stage.look, campaign)
    task = HangUps(stage.dialing, stage.provider, stage.clock)
    stage.gate.shut()
    await dialer.run_once()
    await stage.gate.arrived.wait()
    first, second = await stage.look.fetch("select id from calls order by id")

    # Its request is in flight: it is hung up as soon as Retell has named it.
    assert await ask(stage, tenant, first["id"]) == HangingUp()
    assert await task.run_once() == 1
    assert stage.asked("stop-call") == []
    stage.gate.opened.set()
    await dialer.settled()
    assert await ask(stage, tenant, first["id"]) == HangingUp()
    stage.clock.advance(timedelta(seconds=6))
    assert [await task.run_once(), await task.run_once()] == [1, 0]

    ended = await stage.row("calls", first["id"])
    assert [entry.call_id for entry in stage.asked("stop-call")] == [ended["retell_call_id"]]
    await stage.deliver()
    await stage.applier().run_once()
    assert (await stage.row("calls", first["id"]))["disconnection_reason"] == "manual_stopped"
    assert (await stage.row("calls", second["id"]))["disconnection_reason"] != "manual_stopped"
    assert await ask(stage, tenant, first["id"]) == NotLive("ended")
    assert await ask(stage, tenant, new_id(stage.clock.now())) == NotFound()
    actions = await stage.look.fetch("select action, details ->> 'reason' as reason from audit_log")
    assert {tuple(row) for row in actions} == {("hang_up_call", "wrong person")}
