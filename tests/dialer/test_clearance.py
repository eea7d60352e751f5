"""No call of an organization with a pre-dial hook is requested unless the hook has allowed that very call."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from outdial.campaigns import lifecycle
from outdial.campaigns.lifecycle import Actor
from outdial.db.queries import settlements
from outdial.db.queries.compliance import pre_dial_hooks
from outdial.dialer.claim import Claimed
from outdial.dialer.clearance import ABANDONED, FIRST_PAUSE, HOOK_REMOVED, LONGEST_PAUSE
from outdial.dialer.doctor import examine
from outdial.dialer.place import Placer
from outdial.dialer.plan import PlannedCall
from outdial.dialer.starts import StartRenewer
from outdial.domain.rules import UNRESTRICTED
from outdial.pre_dial.client import HookClient
from outdial.retell.simulator.faults import Fault, FaultKind
from tests.support.dialing import Stage
from tests.support.factories import (
    CLAIM_DECISION,
    NOW,
    Campaign,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_tenant,
)
from tests.support.hooks import HookServer, allow_all, deny_all, hook_server, use_hook


@pytest.fixture
async def hook() -> AsyncIterator[HookServer]:
    async with hook_server() as server:
        yield server


async def hooked(stage: Stage, hook: HookServer, size: int = 3, **columns: Any) -> Campaign:
    """Create an active campaign of an organization with a hook."""
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), batch_size=20, **columns)
    await use_hook(stage.look, campaign.tenant, hook.url)
    for _ in range(size):
        await create_campaign_contact(stage.look, campaign)
    return campaign


async def run(stage: Stage) -> None:
    """Let a dialer claim and place what is due."""
    dialer = stage.dialer()
    await dialer.run_once()
    await dialer.settled()


def requested(stage: Stage) -> set[str]:
    """Return our ids of the calls that were requested, by the simulator's own record."""
    return {entry.metadata["call_id"] for entry in stage.asked() if entry.metadata}


async def statuses(stage: Stage, table: str = "campaign_contacts") -> list[str]:
    return sorted(row["status"] for row in await stage.rows(table))


async def results(stage: Stage) -> list[Mapping[str, Any]]:
    return [json.loads(row["hook_result"]) for row in await stage.rows("calls")]


async def why(stage: Stage, campaign: Campaign) -> tuple[str, str]:
    """Return the code and the sentence of the doctor."""
    diagnosis = (await examine(stage.look, [campaign.id], stage.clock.now(), UNRESTRICTED))[campaign.id]
    assert diagnosis is not None
    return diagnosis.reason.value, diagnosis.sentence(lambda moment: f"at {moment:%H:%M:%S}")


async def test_a_call_is_placed_after_the_hook_has_allowed_it(stage: Stage, hook: HookServer) -> None:
    campaign = await hooked(stage, hook, size=3, purpose="survey")
    hook.respond = lambda request: {
        "results": [{"phone": call["phone"], "allow": True, "reason": "asked"} for call in request["calls"]]
    }
    await run(stage)
    assert await statuses(stage, "calls") == ["placed"] * 3
    calls = await stage.rows("calls")
    assert all(call["needs_clearance"] and call["cleared_at"] is not None for call in calls)
    assert requested(stage) == hook.allowed == {str(call["id"]) for call in calls}
    [request] = hook.requests
    assert hook.unsigned == 0
    assert request["organization_id"] == str(campaign.tenant.organization_id)
    assert (request["campaign_id"], request["purpose"]) == (str(campaign.id), "survey")
    for stored in await results(stage):
        assert (stored["host"], stored["result"], stored["reason"]) == ("127.0.0.1", "allowed", "asked")
        assert stored["asked_at"] <= stored["responded_at"]


async def test_an_organization_without_a_hook_needs_no_clearance(stage: Stage, hook: HookServer) -> None:
    await hooked(stage, hook, size=1)
    other = await create_campaign(stage.look, await create_tenant(stage.look, credential="other"), batch_size=20)
    await create_campaign_contact(stage.look, other)
    stage.clients["other"] = stage.clients["default"]
    hook.respond = deny_all
    await run(stage)
    [request] = hook.requests
    assert len(request["calls"]) == 1
    [placed] = [call for call in await stage.rows("calls") if call["status"] == "placed"]
    assert (placed["campaign_id"], placed["needs_clearance"], placed["cleared_at"]) == (other.id, False, None)


async def test_a_denied_contact_is_skipped_with_the_hooks_reason(stage: Stage, hook: HookServer) -> None:
    campaign = await hooked(stage, hook, size=3)
    [first, *_] = await stage.rows("campaign_contacts")

    def respond(request: Mapping[str, Any]) -> object:
        return {
            "results": [
                {"phone": call["phone"], "allow": call["phone"] != first["phone"], "reason": "moved\nto France"}
                for call in request["calls"]
            ]
        }

    hook.respond = respond
    await run(stage)
    contact = await stage.row("campaign_contacts", first["id"])
    assert (contact["status"], contact["attempts"]) == ("skipped", 0)
    assert contact["status_reason"] == "denied by the pre-dial hook: moved to France"
    assert await statuses(stage) == ["calling", "calling", "skipped"]
    [denied] = [call for call in await stage.rows("calls") if call["phone"] == first["phone"]]
    assert (denied["status"], denied["cleared_at"], denied["request_deadline"]) == ("released", None, None)
    assert json.loads(denied["hook_result"])["result"] == "denied"
    assert str(denied["id"]) not in requested(stage)
    assert await status(stage, campaign) == "active"


async def status(stage: Stage, campaign: Campaign) -> str:
    return str((await stage.row("campaigns", campaign.id))["status"])


async def test_a_campaign_whose_last_contacts_are_denied_completes_at_once(stage: Stage, hook: HookServer) -> None:
    campaign = await hooked(stage, hook, size=2)
    hook.respond = deny_all
    await run(stage)
    await run(stage)
    assert (await status(stage, campaign), requested(stage)) == ("completed", set())


BROKEN: Mapping[str, object] = {
    "HTTP 500": web.Response(status=500),
    "the response has no result for 1 of 3 phones": "half",
    "no response within 0.3 s": "hangs",
    "the response is not as documented": web.Response(text="sure, go ahead"),
}


@pytest.mark.parametrize("cause", BROKEN)
async def test_a_hook_that_fails_holds_the_whole_batch(stage: Stage, hook: HookServer, cause: str) -> None:
    campaign, broken = await hooked(stage, hook, size=3), BROKEN[cause]
    await stage.hook.close()
    stage.hook = HookClient(allow_private=True, timeout_s=0.3)
    if broken == "hangs":
        hook.opened.clear()
    elif broken == "half":
        hook.respond = lambda request: {"results": allow_all(request)["results"][1:]}
    else:
        hook.respond = lambda _: broken
    await run(stage)
    await stage.hook.close()
    assert requested(stage) == set()
    assert await statuses(stage, "calls") == ["released"] * 3
    retry_at = await stage.look.fetchval("select retry_at from pre_dial_hooks")
    assert NOW + FIRST_PAUSE <= retry_at <= stage.clock.now() + FIRST_PAUSE
    for contact in await stage.rows("campaign_contacts"):
        assert (contact["status"], contact["attempts"], contact["next_attempt_at"]) == ("pending", 0, retry_at)
        assert contact["status_reason"].startswith(f"the pre-dial hook failed: {cause}")
    code, sentence = await why(stage, campaign)
    assert code == "pre_dial_hook"
    assert sentence.startswith(f"The pre-dial hook failed ({cause}")
    assert "so no calls start; the next request is due at 17:00:1" in sentence


async def test_the_pauses_grow_and_a_single_call_is_tried_after_each(stage: Stage, hook: HookServer) -> None:
    campaign = await hooked(stage, hook, size=5)
    hook.respond = lambda _: web.Response(status=503)
    asked = list[tuple[float, int]]()
    for _ in range(90):
        before = len(hook.requests)
        await run(stage)
        if len(hook.requests) > before:
            asked.append(((stage.clock.now() - NOW).total_seconds(), len(hook.requests[-1]["calls"])))
        stage.clock.advance(timedelta(seconds=10))
    pauses = [round(later - earlier) for (earlier, _), (later, _) in pairwise(asked)]
    assert [calls for _, calls in asked][:4] == [5, 1, 1, 1]
    assert all(abs(pause - expected) <= 20 for pause, expected in zip(pauses, [10, 20, 40, 80, 160], strict=False))
    assert pauses == sorted(pauses)
    assert max(pauses) <= LONGEST_PAUSE.total_seconds() + 20
    assert requested(stage) == set()
    row = await stage.row("campaigns", campaign.id)
    assert (row["status"], row["waiting_for"]) == ("active", "pre_dial_hook")
    code, sentence = await why(stage, campaign)
    assert code == "pre_dial_hook"
    assert f"failed {len(asked)} times in a row (HTTP 503)" in sentence

    hook.respond = allow_all
    stage.clock.advance(LONGEST_PAUSE)
    await run(stage)
    stage.clock.advance(timedelta(seconds=5))
    await run(stage)
    assert len(requested(stage)) == 5
    hook_row = await stage.look.fetchrow("select failures, retry_at, failing_reason from pre_dial_hooks")
    assert hook_row is not None
    assert tuple(hook_row) == (0, None, None)


async def test_calls_meet_their_starts_although_the_hook_takes_nearly_all_its_time(
    stage: Stage, hook: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hooked(stage, hook, size=4)

    async def renew(_: object, call: PlannedCall) -> None:
        pytest.fail(f"call {call.id} missed its start")

    monkeypatch.setattr(StartRenewer, "renew", renew)

    def slow(request: Mapping[str, Any]) -> object:
        stage.clock.advance(timedelta(seconds=1.9))
        return allow_all(request)

    hook.respond = slow
    await run(stage)
    calls = await stage.rows("calls")
    assert [call["status"] for call in calls] == ["placed"] * 4
    starts = sorted(call["requested_at"] for call in calls)
    assert starts[0] >= NOW + timedelta(seconds=2)
    assert all(later > earlier for earlier, later in pairwise(starts))


async def test_starts_that_pass_while_the_hook_thinks_are_given_anew(stage: Stage, hook: HookServer) -> None:
    await hooked(stage, hook, size=4)

    def slow(request: Mapping[str, Any]) -> object:
        stage.clock.advance(timedelta(seconds=2.9))
        return allow_all(request)

    hook.respond = slow
    await run(stage)
    calls = await stage.rows("calls")
    assert [call["status"] for call in calls] == ["placed"] * 4
    assert all(call["requested_at"] >= NOW + timedelta(seconds=2.9) for call in calls)
    starts = sorted(call["requested_at"] for call in calls)
    assert all(later > earlier for earlier, later in pairwise(starts))


async def test_a_hook_costs_no_starts_of_the_account(stage: Stage, hook: HookServer) -> None:
    """The next claim comes before the starts of the last are over, so that the account's rate is used in full."""
    campaign = await hooked(stage, hook, size=60)
    await stage.look.execute("update provider_accounts set calls_per_second = 10, concurrency_limit = 60")
    starts = list[datetime]()
    for _ in range(10):
        starts += [call.start_at for call in (await claim(stage, campaign)).calls]
        stage.clock.set((await stage.row("campaigns", campaign.id))["next_batch_at"])
    assert len(starts) >= 30
    assert max(later - earlier for earlier, later in pairwise(starts)) <= timedelta(milliseconds=106)


async def pause(stage: Stage, campaign: Campaign) -> None:
    async with stage.as_service() as connection:
        await lifecycle.pause(connection, campaign.id, Actor(), stage.clock.now())


async def test_a_pause_while_the_hook_is_asked_lets_nothing_leave(stage: Stage, hook: HookServer) -> None:
    campaign, dialer = await hooked(stage, hook, size=3), stage.dialer()
    hook.opened.clear()
    await dialer.run_once()
    await hook.arrivals.get()
    await pause(stage, campaign)
    assert await status(stage, campaign) == "pausing", "the hook is still asked about its calls"
    hook.opened.set()
    await dialer.settled()
    stage.clock.advance(timedelta(seconds=1))
    await dialer.run_once()
    assert await status(stage, campaign) == "paused"
    assert requested(stage) == set()
    assert await statuses(stage) == ["pending"] * 3
    assert {stored["result"] for stored in await results(stage)} == {"allowed too late"}


async def claim(stage: Stage, campaign: Campaign) -> Claimed:
    claimed = await stage.claimer().claim(campaign.tenant.organization_id, campaign.id)
    assert isinstance(claimed, Claimed)
    return claimed


async def test_a_dialer_that_ends_between_claim_and_hook_leaves_calls_that_are_released(
    stage: Stage, hook: HookServer
) -> None:
    campaign = await hooked(stage, hook, size=2)
    assert len((await claim(stage, campaign)).calls) == 2
    stage.clock.advance(timedelta(seconds=30))
    await stage.dialer().rescuer.run_once()
    assert (requested(stage), hook.requests) == (set(), [])
    assert await statuses(stage, "calls") == ["released"] * 2
    for contact in await stage.rows("campaign_contacts"):
        assert (contact["status"], contact["attempts"], contact["status_reason"]) == ("pending", 0, ABANDONED)
    await run(stage)
    assert len(hook.allowed) == 2
    assert requested(stage) == hook.allowed


async def test_a_clearance_after_the_rescue_has_released_the_call_counts_for_nothing(
    stage: Stage, hook: HookServer
) -> None:
    campaign, stalled = await hooked(stage, hook, size=1), stage.dialer()
    hook.opened.clear()
    await stalled.run_once()
    await hook.arrivals.get()
    stage.clock.advance(timedelta(seconds=30))
    await stage.dialer().rescuer.run_once()
    hook.opened.set()
    await stalled.settled()
    [call] = await stage.rows("calls")
    assert (call["status"], call["cleared_at"], requested(stage)) == ("released", None, set())
    assert await status(stage, campaign) == "active"


async def test_a_hook_that_changes_its_mind_is_heard_for_the_next_call(stage: Stage, hook: HookServer) -> None:
    """It has allowed a call whose dialer then died: the contact's next call needs its own clearance."""
    campaign = await hooked(stage, hook, size=1)
    await claim(stage, campaign)
    stage.clock.advance(timedelta(seconds=30))
    await stage.dialer().rescuer.run_once()
    hook.respond = deny_all
    await run(stage)
    assert requested(stage) == set()
    assert await statuses(stage) == ["skipped"]


async def test_a_repeated_request_uses_the_clearance_of_its_own_call(stage: Stage, hook: HookServer) -> None:
    await hooked(stage, hook, size=1)
    stage.workspace.faults.replace([Fault(kind=FaultKind.drop_request, times=1)])
    await run(stage)
    assert await statuses(stage, "calls") == ["unknown"]
    hook.respond = deny_all
    for _ in range(3):
        stage.clock.advance(timedelta(seconds=30))
        await stage.dialer().rescuer.run_once()
    [call] = await stage.rows("calls")
    assert (call["status"], call["requests"], len(hook.requests)) == ("placed", 2, 1)
    assert requested(stage) == hook.allowed


async def test_a_call_from_before_the_hook_is_not_repeated_without_a_clearance(stage: Stage, hook: HookServer) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    await create_campaign_contact(stage.look, campaign)
    stage.workspace.faults.replace([Fault(kind=FaultKind.drop_request, times=1)])
    await run(stage)
    await use_hook(stage.look, campaign.tenant, hook.url)
    for _ in range(5):
        stage.clock.advance(timedelta(minutes=5))
        await stage.dialer().rescuer.run_once()
    [call] = await stage.rows("calls")
    assert (call["status"], call["requests"], len(stage.asked())) == ("unknown", 1, 1)


async def test_a_hook_that_is_removed_before_it_is_asked_allows_nothing(stage: Stage, hook: HookServer) -> None:
    campaign = await hooked(stage, hook, size=1)
    claimed, dialer = await claim(stage, campaign), stage.dialer()
    await stage.look.execute("delete from pre_dial_hooks")
    assert await dialer._clearance.clear(claimed.calls) == []
    [contact] = await stage.rows("campaign_contacts")
    assert (contact["status"], contact["status_reason"]) == ("pending", HOOK_REMOVED)
    # The starts that were planned with the hook lie ahead.
    stage.clock.advance(timedelta(seconds=3))
    await run(stage)
    assert len(requested(stage)) == 1, "the organization has no hook any more"


async def test_the_placer_sends_nothing_for_a_call_without_its_clearance(stage: Stage, hook: HookServer) -> None:
    claimed = await claim(stage, await hooked(stage, hook, size=2))
    placer = Placer(stage.dialing, stage.provider, stage.clock, stage.settings)
    assert await placer.place(claimed.calls) == []
    assert requested(stage) == set()


async def test_the_database_repeats_no_request_without_a_clearance(stage: Stage, hook: HookServer) -> None:
    campaign = await hooked(stage, hook, size=1)
    [call] = (await claim(stage, campaign)).calls
    now = stage.clock.now() + timedelta(minutes=1)
    await stage.change("calls", call.id, status="unknown", request_deadline=None)
    async with stage.dialing.for_organization(campaign.tenant.organization_id) as connection:
        begun = await settlements.begin_resend(
            connection, call_id=call.id, start_at=now, deadline=now, on_time=timedelta(minutes=1), now=now
        )
        assert begun is None


async def insert_as_dialer(stage: Stage, campaign: Campaign, **columns: object) -> None:
    entry = await create_campaign_contact(stage.look, campaign)
    async with stage.dialing.for_organization(campaign.tenant.organization_id) as connection:
        await create_call(connection, entry, **columns)


async def test_a_dialer_that_knows_no_hook_places_no_call(stage: Stage, hook: HookServer) -> None:
    free = await create_campaign(stage.look, await create_tenant(stage.look, credential="other"))
    campaign = await hooked(stage, hook, size=0)

    with pytest.raises(asyncpg.CheckViolationError, match="so its calls need clearance"):
        await insert_as_dialer(stage, campaign, decision=CLAIM_DECISION)
    await insert_as_dialer(stage, free, decision=CLAIM_DECISION)
    await insert_as_dialer(stage, campaign, decision=CLAIM_DECISION, needs_clearance=True)


async def test_the_database_refuses_a_repetition_that_an_older_dialer_would_make(
    stage: Stage, hook: HookServer
) -> None:
    campaign = await hooked(stage, hook, size=1)
    [call] = (await claim(stage, campaign)).calls
    await stage.change("calls", call.id, status="unknown", request_deadline=None)
    again, later = "update calls set requests = requests + 1", ", requested_at = requested_at + interval '1 minute'"

    async def repeat(columns: str = "") -> None:
        async with stage.dialing.for_organization(campaign.tenant.organization_id) as connection:
            await connection.execute(f"{again}{columns} where id = $1", call.id)

    with pytest.raises(asyncpg.CheckViolationError, match="restart this dialer"):
        await repeat()
    with pytest.raises(asyncpg.CheckViolationError, match="has not allowed it"):
        await repeat(later)
    # Claimed before there was a hook.
    await stage.change("calls", call.id, needs_clearance=False)
    with pytest.raises(asyncpg.CheckViolationError, match="has not allowed it"):
        await repeat(later)
    await stage.look.execute("delete from pre_dial_hooks")
    await repeat(later)


async def test_the_hook_decides_about_a_call_once(stage: Stage, hook: HookServer) -> None:
    campaign = await hooked(stage, hook, size=1)
    await run(stage)
    [call] = await stage.rows("calls")
    for change in (
        "cleared_at = null",
        "cleared_at = cleared_at + interval '1 second'",
        "hook_result = '{}'",
        "hook_result = null",
    ):
        with pytest.raises(asyncpg.CheckViolationError, match="decides once"):
            async with stage.dialing.for_organization(campaign.tenant.organization_id) as connection:
                await connection.execute(f"update calls set {change} where id = $1", call["id"])  # noqa: S608


async def test_failures_side_by_side_count_once(stage: Stage, hook: HookServer) -> None:
    campaign = await hooked(stage, hook, size=1)
    second = await create_campaign(stage.look, campaign.tenant)
    await create_campaign_contact(stage.look, second)
    hook.respond = lambda _: web.Response(status=500)
    hook.opened.clear()
    one, two = stage.dialer(), stage.dialer()
    await one.run_once()
    await two.run_once()
    await hook.arrivals.get()
    await hook.arrivals.get()
    hook.opened.set()
    await asyncio.gather(one.settled(), two.settled())
    async with stage.dialing.for_organization(campaign.tenant.organization_id) as connection:
        found = await pre_dial_hooks.show_hook(connection, organization_id=campaign.tenant.organization_id)
    assert found is not None
    assert found.failures == 1
