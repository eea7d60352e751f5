"""Why a campaign is not dialing: each reason from facts alone, and from the rows that the dialer leaves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import UUID

import asyncpg
import pytest

from outdial.campaigns import doctor
from outdial.campaigns.doctor import Facts, Reason, code_of, diagnose, examine, moment_of, sentence
from outdial.db.campaigns import CampaignDetail
from outdial.db.claims import PendingZone
from outdial.db.doctor import FirstPending, Limits
from outdial.db.session import Database
from outdial.domain.contact import OVER_DAILY_CAP
from tests.support.factories import (
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_member,
    create_tenant,
)
from tests.support.postgres import Scratch

# A Tuesday: 03:00 in New York, 07:00 in London, 08:00 in Paris.
NOW = datetime(2026, 3, 10, 7, 0, tzinfo=UTC)
NOON = NOW + timedelta(hours=10)
CAMPAIGN = CampaignDetail(
    id=UUID(int=1),
    organization_id=UUID(int=2),
    provider_account_id=UUID(int=3),
    name="Spring",
    status="active",
    retell_agent_id="agent_1",
    from_number="+12125550100",
    batch_size=10,
    max_concurrency=None,
    calling_hours='{"weekdays": [["09:00", "20:00"]]}',
    retry_policy="{}",
    max_attempts=3,
    dynamic_variables="{}",
    scheduled_at=NOW + timedelta(hours=1),
    next_batch_at=NOW,
    waiting_for=None,
    paused_reason="lunch",
    started_at=None,
    finished_at=None,
    created_at=NOW,
)
LIMITS = Limits(
    provider_account_id=UUID(int=3),
    concurrency_limit=20,
    reserved_inbound=0,
    calls_per_second=1.0,
    rate_factor=1.0,
    next_start_at=NOW,
    backoff_until=None,
    of_account=0,
    of_campaign=0,
    sharers=1,
)
DUE = (PendingZone("Europe/Paris", NOW),)
OPEN = replace(CAMPAIGN, calling_hours='{"every_day": [["00:00", "24:00"]]}')
LATER = NOW + timedelta(hours=3)
CAPPED = FirstPending(UUID(int=9), LATER, f"3 {OVER_DAILY_CAP}")


def said(facts: Facts, now: datetime = NOW) -> tuple[str, str]:
    reason = diagnose(facts, now)
    if reason is None:
        return "", ""
    return code_of(reason), sentence(reason, lambda moment: f"{moment:%H:%M}")


@pytest.mark.parametrize(
    ("facts", "code", "words"),
    [
        (Facts(replace(CAMPAIGN, status="draft"), (), LIMITS), "draft", "has not been started"),
        (Facts(replace(CAMPAIGN, status="scheduled"), (), LIMITS), "scheduled", "It starts at 08:00"),
        (Facts(replace(CAMPAIGN, status="paused"), (), LIMITS), "paused", "It was paused: lunch"),
        (
            Facts(replace(CAMPAIGN, status="pausing", paused_reason=None), (), LIMITS),
            "paused",
            "no reason was given; the last requests are coming home",
        ),
        (Facts(replace(CAMPAIGN, status="cancelling"), (), LIMITS), "cancelled", "It is being cancelled"),
        (
            Facts(replace(CAMPAIGN, status="cancelling"), (), replace(LIMITS, of_campaign=1)),
            "cancelled",
            "1 call is still under way",
        ),
        (Facts(replace(CAMPAIGN, status="cancelled"), (), LIMITS), "cancelled", "It was cancelled"),
        (Facts(replace(CAMPAIGN, status="completed"), (), LIMITS), "finished", "final status"),
        (
            Facts(replace(CAMPAIGN, next_batch_at=NOW - timedelta(minutes=5)), DUE, LIMITS),
            "nobody_looks",
            "No dialer has looked at it since 06:55",
        ),
        (Facts(CAMPAIGN, (), LIMITS), "nothing_to_do", "Nobody is left to call"),
        (Facts(CAMPAIGN, (), replace(LIMITS, of_campaign=2)), "calls_under_way", "2 calls are still under way"),
        (
            Facts(
                CAMPAIGN, (PendingZone("America/New_York", NOW), PendingZone("Europe/London|Europe/Paris", NOW)), LIMITS
            ),
            "zone_opens",
            "may start at 09:00, in Europe/London and Europe/Paris",
        ),
        (
            Facts(
                replace(CAMPAIGN, calling_hours='{"every_day": [["12:00", "13:00"]]}'),
                (PendingZone("America/New_York|Asia/Tokyo", NOW),),
                LIMITS,
            ),
            "never_opens",
            "America/New_York and Asia/Tokyo is never open",
        ),
        (Facts(OPEN, (PendingZone("Europe/Paris", LATER),), LIMITS), "retry_due", "the first at 10:00"),
        (Facts(OPEN, (PendingZone("Europe/Paris", LATER),), LIMITS, CAPPED), "daily_cap", "may start at 10:00"),
        (
            Facts(replace(OPEN, max_concurrency=5), DUE, replace(LIMITS, of_campaign=5, of_account=5)),
            "campaign_full",
            "Its 5 slots are taken",
        ),
        (
            Facts(OPEN, DUE, replace(LIMITS, reserved_inbound=4, of_campaign=6, of_account=16)),
            "account_full",
            "20 calls at once, 4 of them kept for inbound calls, and other campaigns have 10 live calls",
        ),
        (
            Facts(OPEN, DUE, replace(LIMITS, sharers=3, of_campaign=7, of_account=7)),
            "share_taken",
            "Its share of 7 slots is taken: 3 campaigns",
        ),
        (
            Facts(OPEN, DUE, replace(LIMITS, rate_factor=0.5, backoff_until=NOW + timedelta(minutes=2))),
            "backed_off",
            "50% of their rate until 07:02",
        ),
        (
            Facts(replace(OPEN, waiting_for="pacing"), DUE, replace(LIMITS, next_start_at=NOW + timedelta(seconds=1))),
            "pacing",
            "1 calls per second is used up",
        ),
        (Facts(OPEN, DUE, LIMITS), "", ""),
    ],
)
def test_each_reason_is_found_and_said(facts: Facts, code: str, words: str) -> None:
    found, told = said(facts)

    assert found == code
    assert words in told


def test_every_reason_of_the_set_is_tried_above() -> None:
    mark = test_each_reason_is_found_and_said.pytestmark[0]  # type: ignore[attr-defined]
    tried = {case[1] for case in mark.args[1]}

    assert {code_of(object.__new__(kind)) for kind in get_args(Reason)} == tried - {""}


def test_a_contact_that_is_due_before_its_zone_opens_waits_for_the_zone_and_one_that_is_due_later_for_its_time() -> (
    None
):
    soon, tomorrow = NOW + timedelta(minutes=5), NOW + timedelta(days=1, hours=8)

    waits_for_zone = diagnose(Facts(CAMPAIGN, (PendingZone("America/New_York", soon),), LIMITS, CAPPED), NOW)
    waits_for_time = diagnose(Facts(CAMPAIGN, (PendingZone("America/New_York", tomorrow),), LIMITS), NOW)

    assert waits_for_zone == doctor.ZoneOpens(datetime(2026, 3, 10, 13, 0, tzinfo=UTC), "America/New_York")
    assert waits_for_time == doctor.RetryDue(tomorrow)
    assert moment_of(waits_for_time) == tomorrow


def test_the_dialers_word_of_its_last_look_does_not_count_once_the_facts_have_changed() -> None:
    was_closed = replace(OPEN, waiting_for="calling_hours", next_batch_at=NOON)

    assert diagnose(Facts(was_closed, DUE, LIMITS), NOW) is None


def test_a_zone_key_of_many_zones_is_not_spelled_out() -> None:
    reason = doctor.ZoneOpens(NOW, "America/Adak|America/Boise|America/Chicago|America/Denver")

    assert "in America/Adak and 3 more zones at once" in sentence(reason, str)


async def test_the_facts_are_read_as_the_caller_may_see_them(database: Scratch, connection: asyncpg.Connection) -> None:
    tenant = await create_tenant(connection, concurrency_limit=2, provider_limit=1)
    viewer = await create_member(connection, tenant.organization_id, "viewer")
    full = await create_campaign(connection, tenant, next_batch_at=NOW)
    capped = await create_campaign(connection, tenant, next_batch_at=NOW)
    contact = await create_contact(connection, tenant.organization_id, zone_key="Europe/Paris")
    await create_campaign_contact(
        connection, capped, contact, next_attempt_at=LATER, status_reason=f"3 {OVER_DAILY_CAP}"
    )
    await create_campaign_contact(connection, full, next_attempt_at=NOW)
    await create_calling(connection, full, status="ongoing")

    async with (
        await Database.connect(database.dsn_for("outdial_api"), application_name="tests") as api,
        api.as_caller("authenticated", {"sub": str(viewer), "role": "authenticated"}) as caller,
    ):
        reasons = [await examine(caller, campaign.id, NOW) for campaign in (full, capped)]

    assert reasons == [doctor.AccountFull(limit=1, reserved=0, elsewhere=0), doctor.DailyCap(LATER)]
