"""`paused` and `cancelled` are said only when no request can leave any more, and the witness agrees."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from outdial.campaigns import lifecycle
from outdial.campaigns.lifecycle import Actor, Changed
from outdial.db.queries import campaign_status
from outdial.dialer.claim import DEADLINE_MARGIN, Claimed
from outdial.dialer.place import CallResponse, PlacementResponse
from outdial.dialer.plan import PlannedCall
from outdial.dialer.settle import Settler
from outdial.dialer.worker import Dialer
from outdial.domain.campaign import CampaignStatus
from outdial.provider import CallPlaced, CallRefused, CallUncertain, RefusalKind
from outdial.retell.simulator.faults import Fault, FaultKind
from tests.support.dialing import ANY_TIME, Stage, event_body
from tests.support.factories import (
    NOW,
    Campaign,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_tenant,
)


async def act(stage: Stage, action: str, campaign: Campaign, **arguments: bool) -> object:
    """Change the campaign as a holder of the service key does."""
    change = {"pause": lifecycle.pause, "resume": lifecycle.resume, "cancel": lifecycle.cancel}[action]
    async with stage.as_service() as connection:
        return await change(connection, campaign.id, Actor(), stage.clock.now(), **arguments)


async def running(stage: Stage, size: int) -> Campaign:
    """Create an active campaign with due contacts."""
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), batch_size=20)
    for _ in range(size):
        await create_campaign_contact(stage.look, campaign)
    return campaign


async def status(stage: Stage, campaign: Campaign) -> str:
    """Return the status of the campaign."""
    return str((await stage.row("campaigns", campaign.id))["status"])


async def go_on(stage: Stage, dialer: Dialer, rounds: int = 10) -> None:
    """Let a dialer work on for some minutes."""
    for _ in range(rounds):
        await dialer.run_once()
        await dialer.settled()
        await dialer.rescuer.run_once()
        await stage.deliver()
        await stage.applier().run_once()
        stage.clock.advance(timedelta(seconds=20))


async def test_a_campaign_at_rest_is_paused_at_once(stage: Stage) -> None:
    campaign = await running(stage, 3)
    assert await act(stage, "pause", campaign) == Changed(CampaignStatus.PAUSED)


async def test_a_pause_waits_for_the_request_in_flight_and_nothing_leaves_after_it(stage: Stage) -> None:
    campaign, dialer = await running(stage, 3), stage.dialer()
    stage.gate.shut()
    await dialer.run_once()
    await stage.gate.arrived.wait()
    assert await act(stage, "pause", campaign) == Changed(CampaignStatus.PAUSING)
    await dialer.run_once()
    assert await status(stage, campaign) == "pausing"
    stage.gate.opened.set()
    await dialer.settled()
    stage.clock.advance(timedelta(seconds=1))
    await dialer.run_once()
    assert await status(stage, campaign) == "paused"
    before = len(stage.asked())
    assert before == 3
    for _ in range(3):
        await create_campaign_contact(stage.look, campaign)
    await go_on(stage, dialer)
    assert (await status(stage, campaign), len(stage.asked())) == ("paused", before)


@pytest.mark.parametrize("kind", [FaultKind.drop_reply, FaultKind.drop_request])
async def test_a_request_whose_answer_was_lost_holds_no_pause_up_and_is_not_repeated(
    stage: Stage, kind: FaultKind
) -> None:
    campaign, dialer = await running(stage, 1), stage.dialer()
    stage.workspace.faults.replace([Fault(kind=kind, times=1)])
    await dialer.run_once()
    await dialer.settled()
    assert await act(stage, "pause", campaign) == Changed(CampaignStatus.PAUSED)
    await go_on(stage, dialer)
    assert len(stage.asked()) == 1


async def test_a_pause_waits_for_a_dead_dialers_request_until_its_deadline_and_no_longer(stage: Stage) -> None:
    campaign, dialer = await running(stage, 1), stage.dialer()
    claim = await stage.claimer().claim(campaign.tenant.organization_id, campaign.id)
    assert isinstance(claim, Claimed)
    assert await act(stage, "pause", campaign) == Changed(CampaignStatus.PAUSING)
    stage.clock.set(claim.calls[0].deadline - timedelta(milliseconds=1))
    await dialer.run_once()
    assert await status(stage, campaign) == "pausing"
    stage.clock.advance(timedelta(seconds=1))
    await dialer.run_once()
    assert await status(stage, campaign) == "paused"
    await go_on(stage, dialer)
    assert stage.asked() == []


async def test_a_pause_that_comes_during_a_claim_waits_for_it_and_sees_its_calls(stage: Stage) -> None:
    for _ in range(10):
        await stage.look.execute("delete from organizations")
        campaign = await running(stage, 5)
        claim, paused = await asyncio.gather(
            stage.claimer().claim(campaign.tenant.organization_id, campaign.id), act(stage, "pause", campaign)
        )
        claimed = isinstance(claim, Claimed) and bool(claim.calls)
        assert paused == Changed(CampaignStatus.PAUSING if claimed else CampaignStatus.PAUSED)
        await stage.look.execute("delete from calls")


async def test_a_repeated_request_that_is_admitted_leaves_before_the_campaign_reads_paused(stage: Stage) -> None:
    campaign, dialer = await running(stage, 1), stage.dialer()
    stage.workspace.faults.replace([Fault(kind=FaultKind.drop_request, times=1)])
    await dialer.run_once()
    await dialer.settled()
    stage.gate.shut()
    stage.clock.advance(timedelta(seconds=10))
    rescuing = asyncio.create_task(dialer.rescuer.run_once())
    await stage.gate.arrived.wait()
    assert await act(stage, "pause", campaign) == Changed(CampaignStatus.PAUSING)
    stage.gate.opened.set()
    await rescuing
    await dialer.run_once()
    assert await status(stage, campaign) == "paused"


async def test_a_resumed_campaign_calls_the_rest(stage: Stage) -> None:
    campaign, dialer = await running(stage, 2), stage.dialer()
    await act(stage, "pause", campaign)
    await dialer.run_once()
    assert stage.asked() == []
    assert await act(stage, "resume", campaign) == Changed(CampaignStatus.ACTIVE)
    await go_on(stage, dialer, rounds=30)
    assert len(stage.asked()) == 2
    assert await status(stage, campaign) == "completed"


async def test_a_cancelled_campaign_cancels_who_waits_and_lets_who_talks_come_home(stage: Stage) -> None:
    campaign, dialer = await running(stage, 2), stage.dialer()
    await dialer.run_once()
    await dialer.settled()
    waiting = await create_campaign_contact(stage.look, campaign)
    assert await act(stage, "cancel", campaign) == Changed(CampaignStatus.CANCELLING)
    await dialer.run_once()
    assert (await stage.row("campaign_contacts", waiting.id))["status"] == "cancelled"
    assert await status(stage, campaign) == "cancelling"
    adding = await asyncpg.connect(stage.scratch.dsn)
    async with adding.transaction():
        # As a request does that began before the campaign was cancelled: what it has added is cancelled too.
        await campaign_status.lock_campaign_for_import(adding, campaign_id=campaign.id)
        await go_on(stage, dialer, rounds=30)
        assert await status(stage, campaign) == "cancelling"
    await adding.close()
    await go_on(stage, dialer, rounds=3)
    row = await stage.row("campaigns", campaign.id)
    assert (row["status"], bool(row["finished_at"]), row["next_batch_at"]) == ("cancelled", True, None)
    assert sorted(row["status"] for row in await stage.rows("campaign_contacts")) == [
        "cancelled",
        "completed",
        "completed",
    ]
    assert len(stage.asked()) == 2
    assert stage.asked("stop-call") == []


async def test_hanging_up_ends_the_calls_under_way(stage: Stage) -> None:
    campaign, dialer = await running(stage, 3), stage.dialer()
    await dialer.run_once()
    await dialer.settled()
    await act(stage, "cancel", campaign, hang_up=True)
    await dialer.run_once()
    await dialer.settled()
    assert len(stage.asked("stop-call")) == 3
    await go_on(stage, dialer, rounds=3)
    assert {row["disconnection_reason"] for row in await stage.rows("calls")} == {"manual_stopped"}
    assert await status(stage, campaign) == "cancelled"


async def test_a_cancelled_draft_is_cancelled_with_all_its_contacts(stage: Stage) -> None:
    campaign = await running(stage, 3)
    await stage.change("campaigns", campaign.id, status="draft", next_batch_at=None)
    await act(stage, "cancel", campaign)
    await stage.dialer().run_once()
    assert await status(stage, campaign) == "cancelled"
    assert {row["status"] for row in await stage.rows("campaign_contacts")} == {"cancelled"}


@pytest.mark.parametrize("call_status", ["placing", "placed", "ongoing", "unknown"])
async def test_cancelled_is_not_said_while_somebody_is_on_the_phone(stage: Stage, call_status: str) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), status="active")
    await create_calling(stage.look, campaign, status=call_status, request_deadline=NOW - timedelta(hours=1))
    await act(stage, "cancel", campaign)
    await stage.dialer().run_once()
    assert await status(stage, campaign) == "cancelling"


async def stalled(stage: Stage) -> tuple[Campaign, Dialer, asyncio.Task[int]]:
    """Let a request stand still beyond its deadline while another dialer repeats it; both are in flight."""
    campaign, dialer = await running(stage, 1), stage.dialer()
    stage.gate.shut()
    await dialer.run_once()
    await stage.gate.arrived.wait()
    stage.gate.arrived.clear()
    stage.clock.advance(timedelta(seconds=30))
    repeating = asyncio.create_task(stage.dialer().rescuer.run_once())
    await stage.gate.arrived.wait()
    return campaign, dialer, repeating


async def test_an_event_does_not_end_the_pausing_of_a_request_that_is_still_in_flight(stage: Stage) -> None:
    campaign, dialer, repeating = await stalled(stage)
    [call] = await stage.rows("calls")
    await stage.send(event_body("call_started", "call_x", call["id"]))
    assert await act(stage, "pause", campaign) == Changed(CampaignStatus.PAUSING)
    stage.gate.opened.set()
    await repeating
    await dialer.settled()
    await dialer.run_once()
    assert await status(stage, campaign) == "paused"


@pytest.mark.parametrize(
    "late", [CallRefused(RefusalKind.capacity, 429, "slow"), CallUncertain("HTTP 500"), CallPlaced("call_x", None)]
)
async def test_the_late_answer_of_a_stalled_sender_does_not_speak_for_the_repeated_request(
    stage: Stage, late: PlacementResponse
) -> None:
    campaign, dialer, repeating = await stalled(stage)
    [call] = await stage.rows("calls")
    first = PlannedCall(
        id=call["id"],
        organization_id=campaign.tenant.organization_id,
        campaign_id=campaign.id,
        campaign_status=CampaignStatus.ACTIVE,
        provider_account_id=campaign.tenant.provider_account_id,
        credential="default",
        phone=call["phone"],
        start_at=call["created_at"],
        deadline=call["created_at"] + stage.settings.request_timeout + DEADLINE_MARGIN,
        spacing=timedelta(milliseconds=10),
        body=b"",
        window=ANY_TIME,
        limits_at=NOW,
    )
    await Settler(stage.dialing, stage.clock, stage.settings).settle([CallResponse(first, late)])
    [call] = await stage.rows("calls")
    assert call["status"] == ("placed" if isinstance(late, CallPlaced) else "unknown")
    assert call["request_deadline"] > stage.clock.now()
    assert (await stage.rows("campaign_contacts"))[0]["status"] == "calling"
    assert await act(stage, "pause", campaign) == Changed(CampaignStatus.PAUSING)
    stage.gate.opened.set()
    await repeating
    await dialer.settled()
    await dialer.run_once()
    assert await status(stage, campaign) == "paused"
    assert len(stage.workspace.calls) == 1
