"""Test calls: requested by a member, sent at most once by a dialer, ended by events, and part of no campaign."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any
from uuid import UUID

import msgspec
import pytest

from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.operations.stop import stop_all_calls
from outdial.campaigns.operations.test_calls import (
    NoSuchRow,
    RejectedTestCall,
    RequestedTestCall,
    RequestResult,
    TooManyRequested,
    WantedTestCall,
    request_test_call,
)
from outdial.dialer.claim import AccountBlocked, Claimed
from outdial.dialer.starts import LOCK_WAIT
from outdial.dialer.test_calls.task import CallTester
from outdial.domain.policies.test_calls import ALL_STOPPED, ALREADY_LIVE, IS_CONTACT, MISSED_START
from outdial.retell.simulator.faults import Fault, FaultKind
from tests.support.dialing import Stage
from tests.support.factories import (
    NOW,
    Campaign,
    CampaignContact,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_provider_account,
    create_tenant,
    insert,
)

PHONE = "+14155550142"
EVENINGS = '{"every_day": [["20:00", "21:00"]]}'


async def prepare(stage: Stage, **columns: object) -> Campaign:
    """Create a campaign with one contact, whose variables a test call has."""
    tenant = await create_tenant(stage.look)
    settings = {"status": "draft", "dynamic_variables": '{"caller": "Acme"}'}
    campaign = await create_campaign(stage.look, tenant, **(settings | columns))
    contact = await create_contact(stage.look, tenant.organization_id, name="Grace", attributes='{"plan": "gold"}')
    await create_campaign_contact(stage.look, campaign, contact, variables='{"offer": "ten percent"}')
    return campaign


async def request(stage: Stage, campaign: Campaign, phone: str = PHONE, **wanted: object) -> RequestResult:
    """Request a test call as a holder of the service key does."""
    async with stage.as_service() as connection:
        return await request_test_call(
            connection,
            organization_id=campaign.tenant.organization_id,
            campaign_id=campaign.id,
            wanted=WantedTestCall(phone=phone, **wanted),  # type: ignore[arg-type]
            by="ada@example.com",
            actor=Actor(),
            now=stage.clock.now(),
        )


async def requested(stage: Stage, campaign: Campaign, **wanted: object) -> UUID:
    """Request a test call to PHONE and return its id."""
    result = await request(stage, campaign, **wanted)
    assert isinstance(result, RequestedTestCall), result
    return result.id


def make_task(stage: Stage) -> CallTester:
    """Return the task of a dialer."""
    return CallTester(stage.dialing, stage.provider, stage.clock, stage.settings, stage.rules)


async def untouched(stage: Stage) -> dict[str, list[dict[str, object]]]:
    """Return everything that a test call must leave as it is."""
    tables = ("calls", "campaign_contacts", "campaigns", "contacts", "do_not_call")
    return {table: await stage.rows(table) for table in tables}


async def test_a_test_call_has_the_variables_of_its_row_and_leaves_the_campaign_alone(stage: Stage) -> None:
    policy = '{"action": "leave_message", "message": "Hello {{name}}", "on_attempt": "last"}'
    campaign = await prepare(stage, voicemail_policy=policy, max_attempts=3)
    before = await untouched(stage)

    first = await requested(stage, campaign, row=1, is_own_phone=True)
    assert [await make_task(stage).run_once(), await make_task(stage).run_once()] == [1, 0]

    [entry] = stage.asked()
    assert (entry.to_number, entry.from_number) == (PHONE, "+12125550000")
    assert entry.idempotency_key == str(first)
    assert entry.metadata == {"test_call_id": str(first), "campaign_id": str(campaign.id)}
    row = await stage.row("test_calls", first)
    assert (row["status"], row["retell_call_id"], row["contact_row"]) == ("sent", entry.call_id, 1)
    sent = msgspec.json.decode(row["request"])
    variables = sent["retell_llm_dynamic_variables"]
    assert {"caller": "Acme", "name": "Grace", "plan": "gold", "offer": "ten percent"}.items() <= variables.items()
    action = {"type": "static_text", "text": "Hello Grace"}
    assert sent["agent_override"] == {"agent": {"voicemail_option": {"action": action}}}

    stage.clock.advance(timedelta(minutes=30))
    webhooks = await stage.deliver()
    assert {webhook.event for webhook in webhooks} == {"call_started", "call_ended", "call_analyzed"}
    ended = await stage.row("test_calls", first)
    assert (ended["status"], ended["outcome"], ended["next_check_at"]) == ("ended", "answered", None)
    assert ended["duration_ms"] > 0
    assert ended["transcript"]
    assert "call_summary" in ended["analysis"]
    assert {event["status"] for event in await stage.rows("webhook_events")} == {"applied"}
    assert {event["call_id"] for event in await stage.rows("webhook_events")} == {None}
    assert await untouched(stage) == before


async def test_it_takes_a_line_of_the_account_and_waits_for_one(stage: Stage) -> None:
    campaign = await prepare(stage, status="active")
    await stage.look.execute("update provider_accounts set concurrency_limit = 1")
    first = await requested(stage, campaign, is_own_phone=True)
    await make_task(stage).run_once()
    assert (await stage.row("test_calls", first))["status"] == "sent"

    dialer = stage.dialer()
    await dialer.run_once()
    await dialer.settled()
    assert await stage.rows("calls") == []
    second = await requested(stage, campaign, phone="+14155550143", is_own_phone=True)
    await make_task(stage).run_once()
    assert (await stage.row("test_calls", second))["status"] == "requested"

    stage.clock.advance(timedelta(minutes=6))
    await stage.deliver()
    await make_task(stage).run_once()
    late = await stage.row("test_calls", second)
    assert (late["status"], late["sent_at"]) == ("refused", None)
    assert "within 5 minutes" in late["reason"]
    await dialer.run_once()
    await dialer.settled()
    assert len(await stage.rows("calls")) == 1


@pytest.mark.parametrize("kind", [FaultKind.drop_reply, FaultKind.garble_reply, FaultKind.fail_reply])
async def test_after_a_lost_response_the_call_is_looked_up_and_never_sent_again(stage: Stage, kind: FaultKind) -> None:
    campaign, task = await prepare(stage), make_task(stage)
    stage.workspace.faults.replace([Fault(kind=kind, times=1), Fault(kind=FaultKind.drop_webhook)])
    test_id = await requested(stage, campaign, is_own_phone=True)
    await task.run_once()
    row = await stage.row("test_calls", test_id)
    assert (row["status"], row["retell_call_id"]) == ("sent", None)

    stage.clock.advance(timedelta(seconds=11))
    await task.run_once()
    assert (await stage.row("test_calls", test_id))["retell_call_id"] is not None
    # Every webhook is lost: the end comes from the reconciler.
    for _ in range(4):
        stage.clock.advance(timedelta(minutes=20))
        await stage.deliver()
        await task.run_once()
        await stage.applier().run_once()
    ended = await stage.row("test_calls", test_id)
    assert (ended["status"], ended["outcome"]) == ("ended", "answered")
    assert ended["next_check_at"] is None
    assert len(stage.asked()) == 1


async def test_a_request_that_never_arrived_fails_and_a_late_event_still_ends_it(stage: Stage) -> None:
    campaign, task = await prepare(stage), make_task(stage)
    stage.workspace.faults.replace([Fault(kind=FaultKind.drop_request, times=1)])
    test_id = await requested(stage, campaign, is_own_phone=True)
    for _ in range(12):
        await task.run_once()
        stage.clock.advance(timedelta(minutes=1))
    row = await stage.row("test_calls", test_id)
    assert (row["status"], row["next_check_at"]) == ("failed", None)
    assert "Retell has no such call" in row["reason"]
    assert len(stage.asked()) == 1

    body = {"call_id": "call_late", "metadata": {"test_call_id": str(test_id)}, "disconnection_reason": "dial_busy"}
    event = msgspec.json.encode({"event": "call_ended", "call": body})
    await stage.send(event, event)
    late = await stage.row("test_calls", test_id)
    assert (late["status"], late["outcome"], late["reason"]) == ("ended", "busy", None)
    other = msgspec.json.encode({"event": "call_ended", "call": body | {"call_id": "call_other"}})
    await stage.send(other)
    assert (await stage.row("test_calls", test_id))["retell_call_id"] == "call_late"
    assert [event["status"] for event in await stage.rows("webhook_events")] == ["applied", "unmatched"]


async def test_what_forbids_it_is_said_before_or_when_it_would_be_sent(stage: Stage) -> None:
    campaign, task = await prepare(stage, calling_hours=EVENINGS), make_task(stage)
    organization_id = campaign.tenant.organization_id
    with_row_2 = await request(stage, campaign, row=2)
    assert with_row_2 == NoSuchRow(2)
    await insert(stage.look, "do_not_call", organization_id=organization_id, phone="+14155550199", source="manual")
    listed = await request(stage, campaign, "+14155550199", is_own_phone=True)
    assert isinstance(listed, RejectedTestCall)
    assert "remove it from the list" in listed.reason

    # The phone of someone else is not called outside the hours.
    foreign = await requested(stage, campaign)
    await task.run_once()
    row = await stage.row("test_calls", foreign)
    assert row["status"] == "refused"
    assert "confirm that the phone is your own" in row["reason"]

    # That of a contact is called by campaigns only, which know where the contact is and count the calls.
    entry = await create_campaign_contact(stage.look, campaign)
    contacted = await requested(stage, campaign, phone=entry.contact.phone)
    await task.run_once()
    row = await stage.row("test_calls", contacted)
    assert (row["status"], row["reason"]) == ("refused", IS_CONTACT)

    # What comes between the request and the dialer counts, too.
    blocked = await requested(stage, campaign, is_own_phone=True)
    await insert(stage.look, "do_not_call", organization_id=organization_id, phone=PHONE, source="manual")
    await task.run_once()
    assert "on the do-not-call list" in (await stage.row("test_calls", blocked))["reason"]
    await stage.look.execute("delete from do_not_call")

    waiting = await requested(stage, campaign, is_own_phone=True)
    keys = dict(stage.clients)
    stage.clients.clear()
    await task.run_once()
    assert (await stage.row("test_calls", waiting))["status"] == "requested"
    stage.clients.update(keys)
    await stop(stage, campaign)
    await task.run_once()
    assert "are stopped" in (await stage.row("test_calls", waiting))["reason"]
    stopped = await request(stage, campaign, is_own_phone=True)
    assert isinstance(stopped, RejectedTestCall)
    assert "are stopped" in stopped.reason
    assert stage.asked() == []


async def stop(stage: Stage, campaign: Campaign) -> None:
    """Stop all calls of the organization."""
    async with stage.as_service() as connection:
        await stop_all_calls(
            connection,
            organization_id=campaign.tenant.organization_id,
            by="ada@example.com",
            reason=None,
            actor=Actor(),
            now=stage.clock.now(),
        )


async def test_an_organization_requests_ten_within_an_hour_however_many_ask_at_once(stage: Stage) -> None:
    campaign = await prepare(stage)
    results = await asyncio.gather(*(request(stage, campaign, is_own_phone=True) for _ in range(14)))
    assert sum(isinstance(result, RequestedTestCall) for result in results) == 10
    refused = [result for result in results if isinstance(result, TooManyRequested)]
    assert {result.next_at for result in refused} == {stage.clock.now() + timedelta(hours=1)}
    stage.clock.advance(timedelta(hours=1))
    assert isinstance(await request(stage, campaign, is_own_phone=True), RequestedTestCall)
    # Two dialers send none of them twice, and none while the phone is on another call.
    await asyncio.gather(make_task(stage).run_once(), make_task(stage).run_once())
    # Each may have found the rows of the other locked, and then sends one the next time.
    await make_task(stage).run_once()
    statuses = [row["status"] for row in await stage.rows("test_calls")]
    assert statuses.count("sent") == len(stage.asked()) == 1


async def test_a_planned_test_call_leaves_neither_after_a_stop_nor_late(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign, sleep_until = await prepare(stage), stage.clock.sleep_until

    async def planned_while(happens: Callable[[], Awaitable[object]]) -> dict[str, Any]:
        """Return a test call that is planned while something `happens`."""
        test_id = await requested(stage, campaign, is_own_phone=True)

        async def wait_for_start(start_at: datetime) -> None:
            await sleep_until(start_at)
            await happens()

        monkeypatch.setattr(stage.clock, "sleep_until", wait_for_start)
        await make_task(stage).run_once()
        return await stage.row("test_calls", test_id)

    late = await planned_while(lambda: sleep_until(stage.clock.now() + timedelta(seconds=2)))
    assert (late["status"], late["reason"]) == ("refused", MISSED_START)
    stopped = await planned_while(lambda: stop(stage, campaign))
    assert (stopped["status"], stopped["reason"], stopped["request_deadline"]) == ("refused", ALL_STOPPED, None)
    assert stage.asked() == []


async def beside(stage: Stage, campaign: Campaign) -> CampaignContact:
    """Create a campaign of the same organization on another account, with a contact that has PHONE."""
    account_id = await create_provider_account(stage.look, campaign.tenant.organization_id, credential="second")
    stage.clients["second"] = stage.clients["default"]
    other = await create_campaign(stage.look, replace(campaign.tenant, provider_account_id=account_id))
    contact = await create_contact(stage.look, campaign.tenant.organization_id, phone=PHONE)
    return await create_campaign_contact(stage.look, other, contact)


async def test_it_waits_for_a_claim_of_another_account_and_sees_its_call(stage: Stage) -> None:
    campaign, task = await prepare(stage), make_task(stage)
    entry = await beside(stage, campaign)
    test_id = await requested(stage, campaign, is_own_phone=True)
    async with stage.look.transaction():
        account_id = entry.campaign.tenant.provider_account_id
        await stage.look.execute("select from provider_accounts where id = $1 for no key update", account_id)
        # Meanwhile it holds the accounts before this one, for which claims wait. A busy machine delays some runs.
        async with asyncio.timeout(30):
            waited_s = LOCK_WAIT.total_seconds()
            while waited_s >= LOCK_WAIT.total_seconds():
                begun = perf_counter()
                await task.run_once()
                waited_s = perf_counter() - begun
        assert (await stage.row("test_calls", test_id))["status"] == "requested"
        # A call that was released and is still checked may ring as well.
        await create_call(stage.look, entry, status="released", next_check_at=NOW + timedelta(hours=1))
    await task.run_once()
    row = await stage.row("test_calls", test_id)
    assert (row["status"], row["reason"]) == ("refused", ALREADY_LIVE)
    assert stage.asked() == []


async def test_a_claim_of_another_account_waits_for_it_and_leaves_its_phone_alone(stage: Stage) -> None:
    campaign = await prepare(stage)
    other = (await beside(stage, campaign)).campaign
    test_id = await requested(stage, campaign, is_own_phone=True)
    await stage.look.execute("""
        create function hold() returns trigger language plpgsql as
        $$ begin while not pg_try_advisory_xact_lock(1) loop perform pg_sleep(0.01); end loop; return new; end $$;
        create trigger hold before update of status on test_calls for each row execute function hold();
        select pg_advisory_lock(1)
    """)
    sending = asyncio.create_task(make_task(stage).run_once())
    async with asyncio.timeout(30):
        while await stage.look.fetch("select from provider_accounts for no key update skip locked"):  # noqa: ASYNC110
            await asyncio.sleep(0)
    wait = timedelta(milliseconds=20)
    blocked = await stage.claimer().claim(other.tenant.organization_id, other.id, lock_wait=wait)
    assert isinstance(blocked, AccountBlocked)
    await stage.look.execute("select pg_advisory_unlock(1)")
    await sending
    assert (await stage.row("test_calls", test_id))["status"] == "sent"
    claim = await stage.claimer().claim(other.tenant.organization_id, other.id)
    assert isinstance(claim, Claimed)
    assert claim.calls == []
