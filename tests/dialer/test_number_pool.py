"""The caller numbers of a campaign: chosen by the claim, capped, and resting after blocked calls."""

import asyncio
import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from outdial.dialer.doctor import examine
from outdial.dialer.numbers.health import MEASURED_EVERY, NumberHealth
from outdial.dialer.numbers.importing import RETRY_AFTER, NumberImporter
from outdial.dialer.numbers.pool import start_rests
from outdial.domain.policies.number_pool import RestReason
from outdial.domain.rules import UNRESTRICTED
from outdial.retell.simulator.faults import Fault, FaultKind
from tests.support.dialing import Stage, life_of_call
from tests.support.factories import (
    NOW,
    Campaign,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_tenant,
    fill_campaign,
    insert,
)

BURNT, GOOD, THIRD = "+12125550001", "+12125550002", "+12125550003"
HOUR = timedelta(hours=1)


async def pool_of(stage: Stage, *numbers: str, **columns: object) -> Campaign:
    tenant = await create_tenant(stage.look, concurrency_limit=50, calls_per_second=1000)
    return await create_campaign(
        stage.look, tenant, from_number=numbers[0], more_numbers=list(numbers[1:]), batch_size=50, **columns
    )


async def add_number(stage: Stage, campaign: Campaign, phone: str, **columns: object) -> None:
    tenant = campaign.tenant
    await insert(
        stage.look,
        "phone_numbers",
        organization_id=tenant.organization_id,
        provider_account_id=tenant.provider_account_id,
        phone=phone,
        **columns,
    )


async def dial(stage: Stage) -> list[dict[str, Any]]:
    """Let one dialer claim what it can, and return the calls it placed."""
    before = {row["id"] for row in await stage.rows("calls")}
    dialer = stage.dialer()
    await dialer.run_once()
    await dialer.settled()
    return [row for row in await stage.rows("calls") if row["id"] not in before]


async def finish(stage: Stage, calls: list[dict[str, Any]], reasons: dict[str, str]) -> None:
    """End calls with the reason of their caller number, as Retell reports it."""
    for call in calls:
        placed = await stage.row("calls", call["id"])
        reason = reasons.get(placed["from_number"], "user_hangup")
        await stage.send(life_of_call(placed["retell_call_id"], placed["id"], reason)["call_analyzed"])


async def past_calls(stage: Stage, campaign: Campaign, phone: str, outcomes: list[str]) -> None:
    """Arrange ended calls from a number, the last one the newest."""
    for index, outcome in enumerate(outcomes):
        entry = await create_campaign_contact(stage.look, campaign, status="failed", call_count=1)
        at = NOW - timedelta(minutes=len(outcomes) - index)
        await create_call(
            stage.look, entry, from_number=phone, status="ended", outcome=outcome, requested_at=at, next_check_at=None
        )


async def diagnosis(stage: Stage, campaign: Campaign) -> tuple[str, str]:
    found = (await examine(stage.look, [campaign.id], stage.clock.now(), UNRESTRICTED))[campaign.id]
    assert found is not None
    return found.reason.value, found.sentence(lambda moment: f"{moment:%d %H:%M}")


async def test_a_burnt_number_costs_three_calls_and_its_contacts_go_on_with_another(stage: Stage) -> None:
    campaign = await pool_of(stage, BURNT, GOOD)
    await past_calls(stage, campaign, GOOD, ["answered"])
    await fill_campaign(stage.look, campaign, 10)
    for _ in range(8):
        stage.clock.advance(timedelta(minutes=2))
        await finish(stage, await dial(stage), {BURNT: "marked_as_spam"})
    made = [row for row in await stage.rows("calls") if row["attempt_number"] and row["placed_at"]]
    assert Counter(row["from_number"] for row in made) == {BURNT: 3, GOOD: 10}
    contacts = [row for row in await stage.rows("campaign_contacts") if row["status"] != "failed"]
    assert {(row["status"], row["attempts"]) for row in contacts} == {("completed", 1)}
    by_phone = [row["phone"] for row in made if row["from_number"] == BURNT]
    assert all(row["from_number"] == GOOD for row in made if row["phone"] in by_phone and row["outcome"] == "answered")
    [health] = await stage.look.fetch("select * from number_health")
    assert (health["phone"], health["rest_reason"]) == (BURNT, "blocked_in_a_row")
    assert health["rests_until"] == health["rests_since"] + timedelta(hours=24)
    audited = await stage.look.fetch("select subject_id, actor from audit_log where action = 'rest_number'")
    assert [tuple(row) for row in audited] == [(BURNT, "dialer")]


async def test_while_all_numbers_rest_the_campaign_waits_alerts_once_and_goes_on_after_it(stage: Stage) -> None:
    campaign = await pool_of(stage, BURNT, GOOD)
    await past_calls(stage, campaign, BURNT, ["blocked"] * 3)
    await past_calls(stage, campaign, GOOD, ["answered"] * 47 + ["blocked", "blocked", "answered", "blocked"])
    await fill_campaign(stage.look, campaign, 3)
    for _ in range(3):
        stage.clock.advance(timedelta(minutes=2))
        assert await dial(stage) == []
    row = await stage.row("campaigns", campaign.id)
    assert (row["status"], row["waiting_for"]) == ("active", "numbers")
    reason, sentence = await diagnosis(stage, campaign)
    assert reason == "numbers"
    assert sentence == "No caller number is free: 2 resting; the first is free 11 17:02"
    alerts = await stage.look.fetch("select details from audit_log where action = 'all_numbers_rest'")
    assert [json.loads(alert["details"])["numbers"] for alert in alerts] == [2]
    reasons = await stage.look.fetch("select rest_reason from number_health order by phone")
    assert [each["rest_reason"] for each in reasons] == ["blocked_in_a_row", "blocked_share"]
    stage.clock.set(NOW + timedelta(hours=24, minutes=2))
    assert len(await dial(stage)) == 3


async def test_numbers_that_members_let_rest_alert_while_the_campaign_claims_nothing(stage: Stage) -> None:
    campaign = await pool_of(stage, BURNT, GOOD)

    async def alerts_after(*phones: str, at: datetime) -> int:
        """Let numbers rest, and return how many alerts there are after both dialers have measured."""
        stage.clock.set(at)
        async with stage.dialing.for_organization(campaign.tenant.organization_id) as connection:
            reasons = dict.fromkeys(phones, RestReason.FEW_ANSWERS)
            await start_rests(connection, campaign.tenant.organization_id, reasons, at)
        await asyncio.gather(*(NumberHealth(stage.dialing, stage.clock).run_once() for _ in range(2)))
        return int(
            await stage.look.fetchval(
                "select count(*) from audit_log where action = 'all_numbers_rest' and subject_id = $1", str(campaign.id)
            )
        )

    assert await alerts_after(BURNT, at=NOW) == 0
    assert await alerts_after(GOOD, at=NOW + HOUR) == 1
    assert await alerts_after(at=NOW + 2 * HOUR) == 1
    await fill_campaign(stage.look, campaign, 1)
    assert await dial(stage) == []
    assert await alerts_after(at=NOW + 3 * HOUR) == 1
    # One wakes, and rests again.
    assert await alerts_after(BURNT, at=NOW + 24.5 * HOUR) == 2


async def test_a_contact_goes_back_to_its_number_and_a_new_one_to_the_nearest(stage: Stage) -> None:
    campaign = await pool_of(stage, GOOD, "+14155550001", "+15105550001")
    for phone in (GOOD, "+14155550001", "+15105550001"):
        await past_calls(stage, campaign, phone, ["answered"])
    organization_id = campaign.tenant.organization_id
    known = await create_contact(stage.look, organization_id, phone="+12125550199")
    past = await create_campaign_contact(stage.look, campaign, known, call_count=1, attempts=1)
    await create_call(
        stage.look, past, from_number="+15105550001", status="ended", outcome="no_answer", requested_at=NOW - HOUR
    )
    for phone, keys in (("+14155550199", ""), ("+17075550199", "US-CA"), ("+12125550198", "")):
        contact = await create_contact(stage.look, organization_id, phone=phone)
        await create_campaign_contact(stage.look, campaign, contact, jurisdiction_key=keys)
    await stage.look.execute("update phone_numbers set daily_cap = 1 where phone = '+14155550001'")
    called = {row["phone"]: (row["from_number"], row["decision"]) for row in await dial(stage)}
    assert {phone: (number, json.loads(decision)["number_choice"]) for phone, (number, decision) in called.items()} == {
        "+12125550199": ("+15105550001", "last_number"),
        "+14155550199": ("+14155550001", "same_area_code"),
        "+17075550199": ("+14155550001", "same_state"),
        "+12125550198": (GOOD, "same_area_code"),
    }
    requests = [json.loads(row["request"]) for row in await stage.rows("calls") if row["phone"] in called]
    sent = {request["to_number"]: request["from_number"] for request in requests if "to_number" in request}
    assert sent == {phone: number for phone, (number, _) in called.items()}


async def test_a_daily_cap_with_its_warm_up_holds_over_all_campaigns_and_frees_after_a_day(stage: Stage) -> None:
    campaign = await pool_of(stage, GOOD)
    other = await create_campaign(stage.look, campaign.tenant, from_number=GOOD, batch_size=50)
    await add_number(stage, campaign, GOOD, daily_cap=10, warm_up_days=4, warm_up_from=NOW)
    await fill_campaign(stage.look, campaign, 8)
    await fill_campaign(stage.look, other, 8)
    stage.clock.advance(timedelta(minutes=1))
    assert len(await dial(stage)) == 2
    stage.clock.advance(timedelta(seconds=5))
    assert await dial(stage) == []
    assert {row["waiting_for"] for row in await stage.rows("campaigns")} == {"numbers"}
    _, sentence = await diagnosis(stage, campaign)
    assert sentence.startswith("No caller number is free: 1 at its daily cap; the first is free 11 17:01")
    await finish(stage, await stage.rows("calls"), {})
    stage.clock.advance(timedelta(hours=23))
    assert await dial(stage) == []
    stage.clock.advance(timedelta(hours=1, seconds=1))
    assert len(await dial(stage)) == 4


@pytest.mark.parametrize(("numbers", "status"), [([GOOD], "skipped"), ([GOOD, THIRD], "pending")])
async def test_a_contact_that_only_a_resting_number_may_call_waits_for_it_and_is_skipped_without_one(
    stage: Stage, numbers: list[str], status: str
) -> None:
    campaign = await pool_of(stage, *numbers)
    entry = await create_campaign_contact(stage.look, campaign, call_count=1)
    await create_call(stage.look, entry, from_number=GOOD, status="ended", outcome="blocked", requested_at=NOW - HOUR)
    if THIRD in numbers:
        await past_calls(stage, campaign, THIRD, ["blocked"] * 3)
        await past_calls(stage, campaign, GOOD, ["answered"])
    assert await dial(stage) == []
    row = await stage.row("campaign_contacts", entry.id)
    assert row["status"] == status
    if status == "pending":
        assert row["next_attempt_at"] == NOW + timedelta(hours=24)
        reason, sentence = await diagnosis(stage, campaign)
        assert (reason, sentence) == (
            "numbers",
            "Waiting for another caller number; the next call may start 11 17:00",
        )


async def test_a_blocked_call_goes_to_review_when_no_other_number_of_the_campaign_may_call_the_contact(
    stage: Stage,
) -> None:
    campaign = await pool_of(stage, BURNT, GOOD)
    await past_calls(stage, campaign, BURNT, ["answered"])
    entry = await create_campaign_contact(stage.look, campaign, call_count=1, next_attempt_at=NOW)
    await create_call(stage.look, entry, from_number=GOOD, status="ended", outcome="blocked", requested_at=NOW - HOUR)
    calls = await dial(stage)
    assert [call["from_number"] for call in calls] == [BURNT]
    await finish(stage, calls, {BURNT: "network_blocked"})
    row = await stage.row("campaign_contacts", entry.id)
    assert (row["status"], row["attempts"]) == ("review", 0)


async def test_lost_requests_are_repeated_only_while_their_number_may_still_be_blocked(stage: Stage) -> None:
    campaign = await pool_of(stage, BURNT)
    await past_calls(stage, campaign, BURNT, ["answered", "blocked"])
    await fill_campaign(stage.look, campaign, 2)
    stage.workspace.faults.replace([Fault(kind=FaultKind.drop_request, times=2)])
    stage.clock.advance(timedelta(minutes=2))
    lost = await dial(stage)
    assert [call["status"] for call in lost] == ["unknown", "unknown"]
    await past_calls(stage, campaign, BURNT, ["blocked"])
    for requests in ([1, 2], [1, 2]):
        stage.clock.advance(timedelta(minutes=6))
        await stage.dialer().rescuer.run_once()
        rows = [await stage.row("calls", call["id"]) for call in lost]
        assert sorted(row["requests"] for row in rows) == requests
        await finish(stage, [row for row in rows if row["status"] == "placed"], {BURNT: "network_blocked"})
    assert await stage.look.fetchval("select rest_reason from number_health") == "blocked_in_a_row"
    # The contact of the other call is called after the rest, or from another number.
    stage.clock.advance(stage.settings.release_after)
    await stage.dialer().rescuer.run_once()
    statuses = [(await stage.row("calls", call["id"]))["status"] for call in lost]
    assert sorted(statuses) == ["ended", "released"]


async def test_a_number_that_is_seldom_answered_rests_and_its_figures_of_a_week_are_stored(stage: Stage) -> None:
    campaign = await pool_of(stage, BURNT, GOOD)
    await past_calls(stage, campaign, BURNT, ["answered"] * 10 + ["no_answer"] * 40 + ["provider_fault"] * 5)
    await past_calls(
        stage, campaign, GOOD, ["answered"] * 20 + ["voicemail"] * 20 + ["callback_requested"] * 10 + ["blocked"]
    )
    await stage.look.execute(
        "update calls set requested_at = $1 where requested_at = (select min(requested_at) from calls)",
        NOW - timedelta(days=8),
    )
    health = NumberHealth(stage.dialing, stage.clock)
    assert [await health.run_once() for _ in range(2)] == [1, 0]
    rows = await stage.look.fetch("select * from number_health order by phone")
    names = ("phone", "calls", "answered", "voicemail", "blocked", "rest_reason")
    assert [tuple(row[name] for name in names) for row in rows] == [
        (BURNT, 49, 9, 0, 0, None),
        (GOOD, 51, 30, 20, 1, None),
    ]
    await past_calls(stage, campaign, BURNT, ["no_answer"])
    stage.clock.advance(MEASURED_EVERY)
    assert await health.run_once() == 1
    rows = await stage.look.fetch("select phone, rest_reason, rests_until from number_health order by phone")
    rest = NOW + MEASURED_EVERY + timedelta(hours=24)
    assert [tuple(row) for row in rows] == [(BURNT, "few_answers", rest), (GOOD, None, None)]
    await fill_campaign(stage.look, campaign, 2)
    stage.clock.advance(MEASURED_EVERY)
    assert {row["from_number"] for row in await dial(stage)} == {GOOD}
    # After its rest, the calls before it do not count against the number.
    stage.clock.set(rest)
    assert await health.run_once() == 1
    assert await stage.look.fetchval("select rests_until from number_health where phone = $1", BURNT) == rest


async def test_numbers_of_retell_are_imported_page_by_page_and_a_failed_import_is_repeated(stage: Stage) -> None:
    campaign = await pool_of(stage, BURNT)
    tenant = campaign.tenant
    await add_number(stage, campaign, GOOD, nickname="Ours", imported_at=NOW - HOUR)
    await add_number(stage, campaign, THIRD, imported_at=NOW - HOUR)
    directory = stage.workspace.phone_numbers
    for last in range(120):
        directory.add(f"+1415555{last:04}", "custom", {"nickname": f"Line {last}"}, 0)
    directory.add(GOOD, "custom", {"nickname": "Theirs", "outbound_agents": [{"agent_id": "agent_7", "weight": 1}]}, 0)
    directory.add("sip-user", "custom", {}, 0)
    await insert(
        stage.look,
        "number_imports",
        organization_id=tenant.organization_id,
        provider_account_id=tenant.provider_account_id,
        requested_at=NOW,
        next_try_at=NOW,
    )
    importer = NumberImporter(stage.dialing, stage.provider, stage.clock)
    stage.workspace.faults.replace(
        [Fault(kind=FaultKind.refuse, probability=1, status=500, operation="list-phone-numbers")]
    )
    assert await importer.run_once() == 1
    [row] = await stage.look.fetch("select * from number_imports")
    assert (row["finished_at"], row["next_try_at"]) == (None, NOW + RETRY_AFTER)
    assert "500" in row["error"]
    stage.workspace.faults.replace([])
    assert await importer.run_once() == 0
    stage.clock.advance(RETRY_AFTER)
    assert await importer.run_once() == 1
    [row] = await stage.look.fetch("select * from number_imports")
    assert (row["listed"], row["added"], row["error"], row["next_try_at"]) == (121, 120, None, None)
    agents = await stage.look.fetch("select agent_id, name, is_suspended from agents order by agent_id")
    assert (row["agents_listed"], len(agents)) == (len(stage.workspace.agents.all()), len(stage.workspace.agents.all()))
    assert "agent_simulator" in {agent["agent_id"] for agent in agents}
    numbers = {each["phone"]: each for each in await stage.look.fetch("select * from phone_numbers")}
    assert len(numbers) == 122
    assert (numbers[GOOD]["nickname"], numbers[GOOD]["imported_at"]) == ("Ours", stage.clock.now())
    assert numbers[THIRD]["imported_at"] is None
    assert (numbers["+14155550007"]["nickname"], numbers["+14155550007"]["country"]) == ("Line 7", "US")
