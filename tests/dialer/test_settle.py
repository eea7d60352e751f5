"""Requests leave outside transactions and in time; each answer has its effect, and none more than it says."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from outdial.dialer.claim import Claimed
from outdial.dialer.place import CallResponse, Placer, TooLate
from outdial.dialer.plan import PlannedCall
from outdial.dialer.settle import BREAKER, CAPACITY_REFUSALS, ClaimTally, Settler
from outdial.dialer.starts import StartRenewer
from outdial.domain.campaign import CampaignStatus
from outdial.domain.pacing import LATENESS
from outdial.provider import BeforeSending, CallPlaced, CallRefused, CallUncertain, RefusalKind
from outdial.retell.client import RetellClient
from outdial.retell.errors import NotSent
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.faults import Fault, FaultKind
from outdial.retell.simulator.in_process import SimulatorTransport
from outdial.retell.simulator.workspace import SimulatedWorkspace
from outdial.retell.wire import RetellResponse
from tests.support.dialing import ANSWERED, KEY, Stage, life_of_call
from tests.support.factories import (
    NOW,
    Campaign,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_tenant,
)
from tests.support.postgres import until_one_waits

UNLUCKY = "+12125559999"


async def claimed(stage: Stage, size: int = 1, **columns: Any) -> tuple[Campaign, list[PlannedCall]]:
    """Claim `size` calls of a new campaign."""
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), batch_size=20, **columns)
    for _ in range(size):
        await create_campaign_contact(stage.look, campaign)
    claim = await stage.claimer().claim(campaign.tenant.organization_id, campaign.id)
    assert isinstance(claim, Claimed)
    assert len(claim.calls) == size
    return campaign, claim.calls


def placer(stage: Stage) -> Placer:
    """Return a placer over the simulator."""
    return Placer(stage.dialing, stage.provider, stage.clock, stage.settings)


async def settle(stage: Stage, *answered: CallResponse) -> None:
    """Settle the answers."""
    await Settler(stage.dialing, stage.clock, stage.settings).settle(answered)


async def settle_groups(stage: Stage, *groups: list[CallResponse]) -> None:
    """Settle the responses of one claim in groups, as they come."""
    settler, tally = Settler(stage.dialing, stage.clock, stage.settings), ClaimTally()
    for group in groups:
        await settler.settle_group(group, tally)
    await settler.end_claim(groups[0][0].call, tally)


async def contact_of(stage: Stage, call_id: UUID) -> dict[str, Any]:
    """Return the campaign contact of a call."""
    return await stage.row("campaign_contacts", (await stage.row("calls", call_id))["campaign_contact_id"])


async def test_no_request_leaves_while_a_transaction_is_open(stage: Stage) -> None:
    _, calls = await claimed(stage)
    async with stage.dialing.transaction():
        with pytest.raises(RuntimeError, match="transaction is open"):
            await placer(stage).place(calls)
    assert stage.asked() == []


async def test_a_request_that_comes_too_late_is_not_sent_and_its_contact_goes_back(stage: Stage) -> None:
    _, calls = await claimed(stage)
    stage.clock.advance(timedelta(seconds=6))
    [answered] = await placer(stage).place(calls)
    assert answered.response == TooLate()
    assert stage.asked() == []
    await settle(stage, answered)
    contact = await contact_of(stage, calls[0].id)
    assert (await stage.row("calls", calls[0].id))["status"] == "released"
    assert (contact["status"], contact["attempts"], contact["next_attempt_at"]) == ("pending", 0, stage.clock.now())


async def test_each_request_leaves_at_its_start_and_the_answers_keep_the_order(stage: Stage) -> None:
    _, calls = await claimed(stage, 5)
    answered = await placer(stage).place(calls)
    assert [item.call for item in answered] == calls
    assert all(isinstance(item.response, CallPlaced) for item in answered)
    assert len({entry.idempotency_key for entry in stage.asked()}) == 5
    assert all(stage.clock.now() >= call.start_at for call in calls)


async def test_a_call_that_breaks_a_promise_is_not_sent_and_the_others_are(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    _, calls = await claimed(stage, 2)
    broken = replace(calls[0], campaign_status=CampaignStatus.PAUSED)

    [response] = await placer(stage).place([broken, calls[1]])

    assert response.call == calls[1]
    assert [entry.idempotency_key for entry in stage.asked()] == [str(calls[1].id)]
    assert "dialer.invariant_broken" in caplog.text


class Reconnecting(SimulatorTransport):
    """A provider whose connection closes while the request waits; it breaks down for one phone."""

    broken_phone = b"none"

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        timeout_s: float,
        before_sending: BeforeSending | None = None,
    ) -> RetellResponse:
        if self.broken_phone in (body or b""):
            raise ValueError("broken")
        if before_sending is not None:
            await before_sending()
        return await super().send(method, path, body, timeout_s, before_sending)


async def test_a_request_may_leave_on_another_connection_than_the_one_it_waited_on(stage: Stage) -> None:
    _, calls = await claimed(stage, 2)
    stage.clients["default"] = RetellClient(Reconnecting(stage.workspace, stage.clock.now, KEY))
    answered = await placer(stage).place(calls)
    assert [type(item.response) for item in answered] == [CallPlaced] * 2


async def test_groups_have_every_response_but_that_of_a_call_whose_placing_raises(
    stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outdial.dialer.place.GROUP_S", 0.0)
    _, calls = await claimed(stage, 4)
    transport = Reconnecting(stage.workspace, stage.clock.now, KEY)
    transport.broken_phone = calls[1].phone.encode()
    stage.clients["default"] = RetellClient(transport)

    groups = [group async for group in placer(stage).place_in_groups(calls)]

    assert {response.call.id for group in groups for response in group} == {
        call.id for call in (calls[0], calls[2], calls[3])
    }
    assert caplog.text.count("dialer.place_failed") == 1


async def starts_of(stage: Stage, calls: list[PlannedCall]) -> list[datetime]:
    """Return the start times in the rows of `calls`, in order."""
    return sorted([(await stage.row("calls", call.id))["requested_at"] for call in calls])


async def test_calls_that_missed_their_start_get_new_ones_under_the_lock_of_the_account(stage: Stage) -> None:
    campaign, calls = await claimed(stage, 4)
    stage.clock.set(calls[-1].start_at + timedelta(seconds=2))
    woken = stage.clock.now()
    # Another dialer has reserved the next half second meanwhile.
    free_at = woken + timedelta(milliseconds=500)
    await stage.change("provider_accounts", campaign.tenant.provider_account_id, next_start_at=free_at)

    answered = await placer(stage).place(calls)

    assert [type(item.response) for item in answered] == [CallPlaced] * 4
    starts = await starts_of(stage, calls)
    assert starts[0] == free_at
    # No other call starts within the slack of a renewed start.
    apart = calls[0].spacing + 2 * LATENESS
    assert [later - earlier for earlier, later in pairwise(starts)] == [apart] * 3
    [account] = await stage.rows("provider_accounts")
    assert account["next_start_at"] == starts[-1] + apart


async def test_a_new_start_is_reserved_under_the_lock_of_the_account(stage: Stage) -> None:
    campaign, calls = await claimed(stage)
    account_id = campaign.tenant.provider_account_id
    stage.clock.set(calls[0].start_at + timedelta(seconds=1))
    free_at = stage.clock.now() + timedelta(seconds=2)
    holder = await asyncpg.connect(stage.scratch.dsn)
    try:
        async with holder.transaction():
            # A claim reserves the next two seconds, and has not committed yet.
            await holder.execute("update provider_accounts set next_start_at = $2 where id = $1", account_id, free_at)
            renewing = asyncio.create_task(StartRenewer(stage.dialing, stage.clock, stage.settings).renew(calls[0]))
            waiting = asyncio.create_task(until_one_waits(stage.look))
            await asyncio.wait({renewing, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
    finally:
        await holder.close()
    renewed = await renewing
    # On a slow machine the wait takes too long, and the call is given up.
    assert renewed is None or renewed.start_at >= free_at


async def test_a_call_that_starts_on_time_keeps_its_start(stage: Stage) -> None:
    _, calls = await claimed(stage, 4)
    before = await stage.rows("provider_accounts")
    await placer(stage).place(calls)
    assert await starts_of(stage, calls) == [call.start_at for call in calls]
    assert await stage.rows("provider_accounts") == before


async def test_calls_that_wait_for_their_start_follow_a_lowered_rate(stage: Stage) -> None:
    campaign, calls = await claimed(stage, 4)
    await stage.change("provider_accounts", campaign.tenant.provider_account_id, calls_per_second=1.0)
    sender = placer(stage)
    sender.recheck(campaign.tenant.provider_account_id)

    answered = await sender.place(calls)

    starts = await starts_of(stage, calls)
    assert all(later - earlier >= timedelta(seconds=1) for earlier, later in pairwise(starts))
    placed = sum(isinstance(item.response, CallPlaced) for item in answered)
    assert placed == len(stage.asked()) >= 3


@pytest.mark.parametrize("is_named", [True, False])
async def test_calls_above_a_lowered_concurrency_limit_are_not_sent(stage: Stage, is_named: bool) -> None:
    campaign, calls = await claimed(stage, 4)
    await stage.change("provider_accounts", campaign.tenant.provider_account_id, provider_limit=3)
    sender = placer(stage)
    if is_named:
        sender.recheck(campaign.tenant.provider_account_id)
    else:
        sender.recheck_all()

    answered = await sender.place(calls)

    assert all(item.response == TooLate() for item in answered)
    assert stage.asked() == []


async def test_a_late_call_of_a_pausing_campaign_is_given_up(stage: Stage) -> None:
    campaign, calls = await claimed(stage)
    stage.clock.set(calls[0].start_at + timedelta(seconds=2))
    await stage.change("campaigns", campaign.id, status="pausing")
    [answered] = await placer(stage).place(calls)
    assert answered.response == TooLate()
    assert stage.asked() == []


async def test_a_call_whose_account_loses_its_key_is_not_sent_and_uses_no_attempt(stage: Stage) -> None:
    campaign, calls = await claimed(stage)
    stage.clients.clear()
    await settle(stage, *await placer(stage).place(calls))
    assert (await stage.row("campaigns", campaign.id))["status"] == "active"
    contact = await contact_of(stage, calls[0].id)
    assert (contact["status"], contact["attempts"]) == ("pending", 0)
    assert stage.asked() == []


async def test_a_placed_call_has_its_id_and_is_asked_about_when_it_stays_silent(stage: Stage) -> None:
    _, calls = await claimed(stage)
    await settle(stage, *await placer(stage).place(calls))
    call = await stage.row("calls", calls[0].id)
    assert (call["status"], call["retell_call_id"]) == ("placed", stage.asked()[0].call_id)
    assert (call["request_deadline"], call["placed_at"]) == (None, NOW)
    assert call["next_check_at"] == NOW + stage.settings.reconcile_after


@pytest.mark.parametrize(
    ("kind", "contact", "campaign_status", "wait"),
    [
        (RefusalKind.contact, "failed", "active", 0),
        (RefusalKind.do_not_call, "skipped", "active", 0),
        (RefusalKind.configuration, "pending", "pausing", 0),
        (RefusalKind.account, "pending", "pausing", 0),
        (RefusalKind.capacity, "pending", "active", 10),
        (RefusalKind.unreachable, "pending", "active", 10),
    ],
)
async def test_each_refusal_has_its_effect_and_uses_up_no_attempt(
    stage: Stage, kind: RefusalKind, contact: str, campaign_status: str, wait: int
) -> None:
    campaign, calls = await claimed(stage)
    await settle(stage, CallResponse(calls[0], CallRefused(kind, 418, "no tea")))
    call, row = await stage.row("calls", calls[0].id), await contact_of(stage, calls[0].id)
    assert (call["status"], call["error"], call["next_check_at"]) == ("refused", f"{kind}: no tea", None)
    assert (row["status"], row["attempts"], row["faults"]) == (contact, 0, 0)
    assert row["next_attempt_at"] == NOW + timedelta(seconds=wait)
    after = await stage.row("campaigns", campaign.id)
    assert after["status"] == campaign_status
    assert ("no tea" in (after["paused_reason"] or "")) == (campaign_status == "pausing")
    assert after["paused_automatically"] == (campaign_status == "pausing")


async def test_account_trouble_pauses_the_other_campaigns_of_the_account_too(stage: Stage) -> None:
    campaign, calls = await claimed(stage)
    same = await create_campaign(stage.look, campaign.tenant)
    other = await create_campaign(stage.look, await create_tenant(stage.look, credential="other"))
    await settle(stage, CallResponse(calls[0], CallRefused(RefusalKind.account, 402, "pay")))
    statuses = {row["id"]: row["status"] for row in await stage.rows("campaigns")}
    assert statuses == {campaign.id: "pausing", same.id: "pausing", other.id: "active"}


async def test_a_batch_that_meets_capacity_halves_the_rate_once_for_a_while(stage: Stage) -> None:
    campaign, calls = await claimed(stage, 6)
    await settle(stage, *(CallResponse(call, CallRefused(RefusalKind.capacity, 429, "slow")) for call in calls))
    account = await stage.row("provider_accounts", campaign.tenant.provider_account_id)
    assert (account["rate_factor"], account["backoff_until"]) == (0.5, NOW + stage.settings.capacity_hold)


async def test_a_claim_that_meets_capacity_in_several_groups_halves_the_rate_once(stage: Stage) -> None:
    campaign, calls = await claimed(stage, 6)
    refused = [CallResponse(call, CallRefused(RefusalKind.capacity, 429, "slow")) for call in calls]
    await settle_groups(stage, refused[:2], refused[2:3], refused[3:])
    account = await stage.row("provider_accounts", campaign.tenant.provider_account_id)
    assert account["rate_factor"] == 0.5


async def refused_again(stage: Stage, campaign: Campaign) -> dict[str, Any]:
    """Claim the due contacts, let one phone be refused and the others placed, and return the contact of that phone."""
    claim = await stage.claimer().claim(campaign.tenant.organization_id, campaign.id)
    assert isinstance(claim, Claimed)
    [unlucky] = [call for call in claim.calls if call.phone == UNLUCKY]
    await settle(
        stage,
        CallResponse(unlucky, CallRefused(RefusalKind.capacity, 429, "busy")),
        *(CallResponse(call, CallPlaced(call.id.hex)) for call in claim.calls if call is not unlucky),
    )
    return await contact_of(stage, unlucky.id)


async def test_a_number_that_alone_is_refused_for_capacity_does_not_slow_the_account_and_ends_in_review(
    stage: Stage,
) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    contact = await create_contact(stage.look, campaign.tenant.organization_id, phone=UNLUCKY)
    await create_campaign_contact(stage.look, campaign, contact)
    delays = []
    for _ in range(CAPACITY_REFUSALS):
        await create_campaign_contact(stage.look, campaign)
        row = await refused_again(stage, campaign)
        delays.append((row["next_attempt_at"] - stage.clock.now()).total_seconds())
        [account] = await stage.rows("provider_accounts")
        if len(delays) > 1:
            assert account["rate_factor"] == 1.0
        stage.clock.set(max(row["next_attempt_at"], stage.clock.now() + stage.settings.capacity_hold))

    assert delays == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 0]
    assert (row["status"], row["attempts"]) == ("review", 0)

    # Refusals from before a member's decision do not count.
    await create_campaign_contact(stage.look, campaign)
    decided = {"decision": "call_again", "decided_by": "anna", "decided_at": NOW, "decided_calls": row["call_count"]}
    await stage.change("campaign_contacts", row["id"], status="pending", next_attempt_at=stage.clock.now(), **decided)
    row = await refused_again(stage, campaign)
    assert (row["status"], row["next_attempt_at"]) == ("pending", stage.clock.now() + timedelta(seconds=10))


async def test_an_account_at_its_limit_is_slowed_down_however_often_it_refuses(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    contact = await create_contact(stage.look, campaign.tenant.organization_id, phone=UNLUCKY)
    await create_campaign_contact(stage.look, campaign, contact)
    factors = []
    for _ in range(3):
        row = await refused_again(stage, campaign)
        assert row["next_attempt_at"] == stage.clock.now() + timedelta(seconds=10)
        factors.append((await stage.rows("provider_accounts"))[0]["rate_factor"])
        stage.clock.set(row["next_attempt_at"])
    assert factors == [0.5, 0.25, 0.125]


async def test_a_request_that_never_left_slows_down_and_places_nothing(stage: Stage) -> None:
    class Unplugged(SimulatorTransport):
        async def send(
            self,
            method: str,
            path: str,
            body: bytes | None,
            timeout_s: float,
            before_sending: BeforeSending | None = None,
        ) -> RetellResponse:
            raise NotSent("no route")

    _, calls = await claimed(stage)
    stage.clients["default"] = RetellClient(Unplugged(stage.workspace, stage.clock.now, "key"))
    await settle(stage, *await placer(stage).place(calls))
    assert (await contact_of(stage, calls[0].id))["status"] == "pending"
    assert (await stage.rows("provider_accounts"))[0]["rate_factor"] == 0.5


@pytest.mark.parametrize(
    ("refused", "placed", "status"), [(BREAKER, 0, "pausing"), (BREAKER - 1, 0, "active"), (BREAKER, 1, "active")]
)
async def test_a_batch_of_refused_numbers_and_nothing_else_pauses_the_campaign(
    stage: Stage, refused: int, placed: int, status: str
) -> None:
    campaign, calls = await claimed(stage, refused + placed)
    answers = [CallResponse(call, CallRefused(RefusalKind.contact, 400, "bad")) for call in calls[:refused]]
    await settle(stage, *answers, *(CallResponse(call, CallPlaced(call.id.hex, None)) for call in calls[refused:]))
    assert (await stage.row("campaigns", campaign.id))["status"] == status


@pytest.mark.parametrize("order", [("refused", "placed"), ("placed", "refused")])
async def test_a_group_of_refused_numbers_pauses_nothing_if_another_group_was_placed(
    stage: Stage, order: tuple[str, str]
) -> None:
    campaign, calls = await claimed(stage, BREAKER + 1)
    groups = {
        "refused": [CallResponse(call, CallRefused(RefusalKind.contact, 400, "bad")) for call in calls[1:]],
        "placed": [CallResponse(calls[0], CallPlaced("call_1"))],
    }
    await settle_groups(stage, *(groups[name] for name in order))
    assert (await stage.row("campaigns", campaign.id))["status"] == "active"


async def test_refused_numbers_in_several_groups_of_one_claim_pause_the_campaign(stage: Stage) -> None:
    campaign, calls = await claimed(stage, BREAKER + 1)
    refused = [CallResponse(call, CallRefused(RefusalKind.contact, 400, "bad")) for call in calls[1:]]
    # The last group has no refused number.
    await settle_groups(stage, refused[:2], refused[2:], [CallResponse(calls[0], CallUncertain("HTTP 500"))])
    row = await stage.row("campaigns", campaign.id)
    assert (row["status"], row["paused_reason"]) == ("pausing", f"Retell refused {BREAKER} numbers in a row: bad")


@pytest.mark.parametrize(
    "kind", [FaultKind.drop_reply, FaultKind.hang_reply, FaultKind.fail_reply, FaultKind.garble_reply]
)
async def test_an_answer_that_says_nothing_certain_makes_the_call_unknown_and_the_request_over(
    stage: Stage, kind: FaultKind
) -> None:
    _, calls = await claimed(stage)
    stage.workspace.faults.replace([Fault(kind=kind)])
    await settle(stage, *await placer(stage).place(calls))
    call = await stage.row("calls", calls[0].id)
    assert (call["status"], bool(call["error"])) == ("unknown", True)
    assert call["next_check_at"] == NOW + stage.settings.rescue_after
    assert (await contact_of(stage, calls[0].id))["status"] == "calling"


@pytest.mark.parametrize(
    "answer", [CallPlaced("call_1", None), CallRefused(RefusalKind.contact, 400, "bad"), CallUncertain("HTTP 500")]
)
async def test_a_webhook_that_came_before_the_answer_is_not_overwritten(
    stage: Stage, answer: CallPlaced | CallRefused | CallUncertain
) -> None:
    _, calls = await claimed(stage)
    await stage.send(*life_of_call("call_1", calls[0].id).values())
    before = await stage.row("calls", calls[0].id), await contact_of(stage, calls[0].id)
    assert before[0]["status"] == "ended"
    stage.clock.advance(timedelta(seconds=3))
    await settle(stage, CallResponse(calls[0], answer))
    after = await stage.row("calls", calls[0].id), await contact_of(stage, calls[0].id)
    assert after == (before[0] | {"request_deadline": None}, before[1])


async def test_events_without_metadata_that_came_before_the_answer_are_applied_after_it(stage: Stage) -> None:
    _, calls = await claimed(stage)
    await stage.send(*life_of_call("call_1", None).values())
    assert {row["status"] for row in await stage.rows("webhook_events")} == {"unmatched"}
    await settle(stage, CallResponse(calls[0], CallPlaced("call_1", None)))
    await stage.applier().run_once()
    assert (await stage.row("calls", calls[0].id))["status"] == "ended"
    assert {row["status"] for row in await stage.rows("webhook_events")} == {"applied"}


async def test_a_taken_provider_id_makes_one_call_unknown_and_settles_the_rest_of_the_batch(stage: Stage) -> None:
    _, calls = await claimed(stage, 4)
    # A call of another organization has the id, which the dialer cannot see.
    other = await create_campaign(stage.look, await create_tenant(stage.look, credential="other"))
    await create_calling(stage.look, other, status="ended", retell_call_id="call_taken")
    answers: list[CallPlaced | CallRefused] = [CallPlaced("call_1"), CallPlaced("call_taken"), CallPlaced("call_3")]
    answers.append(CallRefused(RefusalKind.contact, 400, "bad"))

    await settle(stage, *(CallResponse(call, answer) for call, answer in zip(calls, answers, strict=True)))

    rows = [await stage.row("calls", call.id) for call in calls]
    assert [row["status"] for row in rows] == ["placed", "unknown", "placed", "refused"]
    assert [row["request_deadline"] for row in rows] == [None] * 4
    assert rows[1]["error"] == "another call already has Retell's id of this call: call_taken"
    assert rows[1]["next_check_at"] == NOW + stage.settings.rescue_after


async def test_a_batch_that_uses_one_provider_id_twice_keeps_it_for_the_first_call(stage: Stage) -> None:
    _, calls = await claimed(stage, 2)
    await settle(stage, *(CallResponse(call, CallPlaced("call_1")) for call in calls))
    assert [(await stage.row("calls", call.id))["status"] for call in calls] == ["placed", "unknown"]


async def test_a_number_is_called_again_after_the_simulator_restarts(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    contact = await create_contact(stage.look, tenant.organization_id)
    for _ in range(2):
        stage.workspace = SimulatedWorkspace(SimulatorConfig(calls_per_second=None, outcome_mix=ANSWERED))
        transport = SimulatorTransport(stage.workspace, stage.clock.now, KEY)
        stage.clients["default"] = RetellClient(transport)
        campaign = await create_campaign(stage.look, tenant)
        await create_campaign_contact(stage.look, campaign, contact)
        dialer = stage.dialer()
        await dialer.run_once()
        await dialer.settled()
        stage.clock.advance(timedelta(minutes=30))
        await stage.deliver()

    calls = await stage.rows("calls")
    assert [(call["status"], call["outcome"]) for call in calls] == [("ended", "answered")] * 2
    assert len({call["retell_call_id"] for call in calls}) == 2


async def test_a_refused_contact_of_a_cancelled_campaign_is_cancelled(stage: Stage) -> None:
    campaign, calls = await claimed(stage)
    await stage.change("campaigns", campaign.id, status="cancelling")
    await settle(stage, CallResponse(calls[0], CallRefused(RefusalKind.capacity, 429, "slow")))
    assert (await contact_of(stage, calls[0].id))["status"] == "cancelled"


async def test_settling_and_webhooks_of_the_same_calls_at_once_lose_nothing(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), batch_size=20)
    for number in range(20):
        people = [await create_contact(stage.look, campaign.tenant.organization_id) for _ in range(10)]
        for contact in people:
            await create_campaign_contact(stage.look, campaign, contact)
        claim = await stage.claimer().claim(campaign.tenant.organization_id, campaign.id)
        assert isinstance(claim, Claimed)
        answers = [CallResponse(call, CallPlaced(f"r{number}_{call.id.hex}", None)) for call in claim.calls]
        events = [life_of_call(f"r{number}_{call.id.hex}", call.id)["call_started"] for call in claim.calls]
        await asyncio.gather(settle(stage, *reversed(answers)), stage.send(*events), stage.send(*events))
        stage.clock.advance(timedelta(seconds=2))
        await stage.applier().run_once()
        assert {row["status"] for row in await stage.rows("calls")} == {"ongoing"}
        await stage.look.execute("update calls set status = 'ended'")
        await stage.look.execute("update campaign_contacts set status = 'completed'")
        await stage.look.execute("delete from webhook_events")
        await stage.look.execute("delete from calls")
