"""Why a campaign is not dialing: each reason from facts alone, and from the rows that the dialer leaves."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from outdial.db.session import Database
from outdial.dialer.admission import CampaignFacts, LimitFacts, PlaceFacts, SkipReason, WaitReason
from outdial.dialer.doctor import Diagnosis, DialingFacts, RunReason, diagnose, examine
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import OVER_DAILY_CAP, OVER_RULE_CAP, WAITS_FOR_PART
from outdial.domain.explaining.rule_sentences import cap_sentence
from outdial.domain.pacing import Pace
from outdial.domain.permission.screening import MissingList, ScreeningList
from outdial.domain.place import Place
from outdial.domain.policies.budget import BudgetScope, BudgetUse, ClaimBudget
from outdial.domain.policies.number_pool import NumbersBusy
from outdial.domain.purpose import ListKind, Purpose
from outdial.domain.rules import UNRESTRICTED, RuleBook
from tests.support.factories import (
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_member,
    create_tenant,
    insert,
)
from tests.support.postgres import Scratch
from tests.support.rules import BOOK, FLORIDA

# A Tuesday: 03:00 in New York, 07:00 in London, 08:00 in Paris.
NOW = datetime(2026, 3, 10, 7, 0, tzinfo=UTC)
NOON = NOW + timedelta(hours=10)
LATER = NOW + timedelta(hours=3)
OFFICE_HOURS = '{"weekdays": [["09:00", "20:00"]]}'
ALWAYS = '{"every_day": [["00:00", "24:00"]]}'


def zone(zone_key: str, first_due_at: datetime = NOW, first_reason: str = "", jurisdiction: str = "") -> PlaceFacts:
    """Return a place with pending contacts."""
    return PlaceFacts(place=Place(zone_key, jurisdiction), first_due_at=first_due_at, first_reason=first_reason)


def facts_of(
    status: str = "active",
    places: tuple[PlaceFacts, ...] = (),
    *,
    hours: str = OFFICE_HOURS,
    paused_reason: str | None = "lunch",
    next_batch_at: datetime = NOW,
    waiting_for: str | None = None,
    scheduled_at: datetime | None = None,
    pace: Pace = Pace(1.0, 1.0, NOW, None),
    missing_lists: tuple[MissingList, ...] = (),
    rules: RuleBook = UNRESTRICTED,
    **limits: Any,
) -> DialingFacts:
    """Return the facts of a campaign on an account with 20 concurrent calls, none of them live."""
    defaults: dict[str, Any] = {
        "concurrency_limit": 20,
        "reserved_inbound": 0,
        "account_live": 0,
        "campaign_limit": None,
        "campaign_live": 0,
        "batch_size": 10,
        "sharers": 1,
    }
    campaign = CampaignFacts(
        status=CampaignStatus(status),
        scheduled_at=scheduled_at,
        calling_hours=hours,
        purpose=Purpose.SALES,
        rules=rules,
        places=places,
        limits=LimitFacts(**(defaults | limits), pace=pace),
        missing_lists=missing_lists,
    )
    return DialingFacts(
        campaign=campaign, paused_reason=paused_reason, next_batch_at=next_batch_at, waiting_for=waiting_for
    )


OLD_LIST = ScreeningList(kind=ListKind.STATE, jurisdiction="US-TX", registry_date=date(2026, 2, 6))
DUE = (zone("Europe/Paris"),)
UNSCREENED = (replace(DUE[0], is_screened=False),)
CAPPED = f"3 {OVER_DAILY_CAP}"


def described(facts: DialingFacts, now: datetime = NOW) -> tuple[str, str]:
    """Return the code and the sentence of a diagnosis."""
    diagnosis = diagnose(facts, now)
    if diagnosis is None:
        return "", ""
    return diagnosis.reason, diagnosis.sentence(lambda moment: f"{moment:%H:%M}")


def diagnosed(facts: DialingFacts) -> Diagnosis:
    """Return the diagnosis of a campaign that does not dial."""
    diagnosis = diagnose(facts, NOW)
    assert diagnosis is not None
    return diagnosis


USED_UP = ClaimBudget(
    uses=[BudgetUse(scope=BudgetScope.CAMPAIGN, limit_cents=500, spent_cents=Decimal(420), reserved_cents=Decimal(0))],
    estimate_cents=100,
    day=NOW.date(),
)


@pytest.mark.parametrize(
    ("facts", "code", "words"),
    [
        (facts_of("draft"), "draft", "Not started yet"),
        (
            facts_of("draft", scheduled_at=NOW + timedelta(hours=1)),
            "draft",
            "Planned to start 08:00, but not scheduled yet",
        ),
        (facts_of("scheduled", scheduled_at=NOW + timedelta(hours=1)), "scheduled", "Starts 08:00"),
        (facts_of("paused"), "paused", "Paused: lunch"),
        (facts_of("paused", paused_reason="paused manually"), "paused", "Paused manually"),
        (
            facts_of("pausing", paused_reason=None),
            "paused",
            "Paused: no reason given; waiting for the last requests to finish",
        ),
        (facts_of("cancelling"), "cancelled", "Cancelling"),
        (facts_of("cancelling", campaign_live=1), "cancelled", "Cancelled; 1 call still live"),
        (facts_of("cancelled"), "cancelled", "Cancelled"),
        (facts_of("completed"), "finished", "All contacts are finished"),
        (
            facts_of(places=DUE, next_batch_at=NOW - timedelta(minutes=5)),
            "no_dialer",
            "No dialer has checked this campaign since 06:55; make sure that one is running",
        ),
        (
            facts_of(places=UNSCREENED, missing_lists=(MissingList(ListKind.NATIONAL, (), NOW.date()),)),
            "not_screened",
            "Numbers are not screened: upload a national list with a registry date of 2026-02-07 or later",
        ),
        (
            facts_of(places=UNSCREENED, missing_lists=(MissingList(ListKind.STATE, (OLD_LIST,), NOW.date()),)),
            "not_screened",
            "Numbers are not screened: the US-TX list (2026-02-06) is older than 31 days: upload it again",
        ),
        (facts_of(), "nothing_to_do", "All contacts are finished; the campaign is about to complete"),
        (facts_of(campaign_live=2), "calls_under_way", "All contacts have been called; 2 calls still live"),
        (
            facts_of(places=(zone("America/New_York"), zone("Europe/London|Europe/Paris"))),
            "zone_opens",
            "Outside calling hours in America/New York, Europe/London and Europe/Paris; opens 09:00",
        ),
        (
            facts_of(places=(zone("Europe/Paris"),)),
            "zone_opens",
            "Outside calling hours in Europe/Paris; opens 08:00",
        ),
        (
            facts_of(places=(zone("America/New_York|Asia/Tokyo"),), hours='{"every_day": [["12:00", "13:00"]]}'),
            "never_opens",
            "America/New York and Asia/Tokyo never have calling hours in common",
        ),
        (facts_of(places=(zone("Nowhere/Land"),)), "never_opens", "Nowhere/Land never has calling hours"),
        (
            facts_of(places=(zone("Europe/Paris", jurisdiction="FR"),), hours=ALWAYS, rules=BOOK),
            "law_opens",
            "Calling rules allow no calls in France now; the next may start 09:00",
        ),
        (
            facts_of(
                places=(zone("Europe/Madrid", jurisdiction="ES"), zone("Europe/Lisbon", jurisdiction="PT")), rules=BOOK
            ),
            "no_rules",
            "No calling rule for Portugal and Spain: add one or switch the check off under Rules",
        ),
        (
            facts_of(
                places=(zone("Europe/Madrid", jurisdiction="ES"), zone("Europe/Paris", jurisdiction="FR")), rules=BOOK
            ),
            "law_opens",
            "the next may start 09:00; no calling rule for Spain: add one or switch the check off under Rules",
        ),
        (
            facts_of(places=(zone("Europe/Paris"),), rules=BOOK),
            "keys_missing",
            "Outdial is working out where the contacts are; calls start when it is done (outdial contacts places)",
        ),
        (
            facts_of(places=(zone("America/Los_Angeles", jurisdiction="US-WA"),), rules=BOOK),
            "prohibited",
            "Washington forbids such calls (rule US-WA-BAN)",
        ),
        (
            facts_of(
                places=(zone("Europe/Paris", jurisdiction="FR"),),
                hours='{"every_day": [["21:00", "22:00"]]}',
                rules=BOOK,
            ),
            "law_never_opens",
            "Calling rules allow no call in France within the calling hours",
        ),
        (
            facts_of(
                places=(zone("America/New_York", NOON, f"{OVER_RULE_CAP}{cap_sentence(FLORIDA)}", "US-FL"),),
                hours=ALWAYS,
                rules=BOOK,
            ),
            "rule_cap",
            "Florida allows 3 calls in 24 hours; the next call may start 17:00",
        ),
        (
            facts_of(places=(zone("Europe/Paris", LATER),), hours=ALWAYS),
            "retry_due",
            "Waiting for retries; the next attempt is 10:00",
        ),
        (
            facts_of(places=(zone("Europe/Paris", LATER, f"{WAITS_FOR_PART}evening"),), hours=ALWAYS),
            "day_part",
            "Waiting for the part of the day of the next attempts, from 10:00",
        ),
        (
            facts_of(places=(zone("Europe/Paris", LATER, CAPPED),), hours=ALWAYS),
            "daily_cap",
            "The pending contacts have reached the daily call cap; the next call may start 10:00",
        ),
        (
            facts_of(places=DUE, hours=ALWAYS, campaign_limit=5, campaign_live=5, account_live=5),
            "campaign_full",
            "The campaign has reached its limit: 5 of 5 calls are live",
        ),
        (
            facts_of(places=DUE, hours=ALWAYS, reserved_inbound=4, campaign_live=6, account_live=16),
            "account_full",
            "All 16 lines are in use, and 4 more are for inbound calls; other campaigns have 10 calls live",
        ),
        (
            facts_of(places=DUE, hours=ALWAYS, reserved_inbound=20),
            "account_full",
            "The account has no lines for outbound calls: all are reserved for inbound calls",
        ),
        (
            facts_of(places=DUE, hours=ALWAYS, sharers=3, campaign_live=7, account_live=7),
            "share_taken",
            "The campaign is using its share of 7 calls; 3 campaigns share the account",
        ),
        (
            facts_of(places=DUE, hours=ALWAYS, pace=Pace(1.0, 0.5, NOW, NOW + timedelta(minutes=2))),
            "backed_off",
            "Retell is at capacity: calls start at 50% of the usual rate until 07:02",
        ),
        (
            facts_of(
                places=DUE, hours=ALWAYS, waiting_for="pacing", pace=Pace(1.0, 1.0, NOW + timedelta(seconds=1), None)
            ),
            "pacing",
            "The account has reached its rate of 1 call per second; the next call may start 07:00",
        ),
        (
            replace(facts_of(places=DUE, hours=ALWAYS), failures=3, failing_reason="KeyError"),
            "failing",
            "The dialer failed on this campaign 3 times in a row (KeyError); it tries again 07:00",
        ),
        (
            facts_of(places=DUE, hours='{"funday": []}'),
            "failing",
            "The dialer failed on this campaign once (unknown key 'funday'; use days",
        ),
        (
            facts_of(
                places=DUE,
                hours=ALWAYS,
                numbers_busy=NumbersBusy(until=NOW + timedelta(hours=3), numbers=3, resting=1, capped=2),
            ),
            "numbers",
            "No caller number is free: 1 resting, 2 at their daily cap; the first is free 10:00",
        ),
        (
            replace(
                facts_of(places=DUE, hours=ALWAYS, hook_retry_at=NOW + timedelta(minutes=1)),
                hook_failures=1,
                hook_failing_reason="HTTP 503",
            ),
            "pre_dial_hook",
            "The pre-dial hook failed (HTTP 503), so no calls start; the next request is due 07:01",
        ),
        (
            replace(
                facts_of(
                    places=(zone("Europe/Paris", NOW + timedelta(minutes=1)),),
                    hours=ALWAYS,
                    hook_retry_at=NOW + timedelta(minutes=1),
                ),
                hook_failures=4,
                hook_failing_reason="no response within 2 s",
            ),
            "pre_dial_hook",
            "The pre-dial hook failed 4 times in a row (no response within 2 s)",
        ),
        (
            replace(
                facts_of(places=DUE, hook_retry_at=NOW + timedelta(minutes=1)),
                hook_failures=1,
                hook_failing_reason="HTTP 503",
            ),
            "zone_opens",
            "Outside calling hours in Europe/Paris; opens 08:00",
        ),
        (facts_of(places=DUE, hours=ALWAYS, pace=Pace(1.0, 1.0, NOW + timedelta(seconds=1), None)), "", ""),
        (
            facts_of(places=DUE, hours=ALWAYS, budget=USED_UP),
            "budget",
            "The campaign's budget of $5.00 cannot cover another call of about $1.00: $4.20 spent; raise it",
        ),
        (
            facts_of(places=DUE, is_stopped=True),
            "stopped",
            "All calls of the organization are stopped until a member resumes them",
        ),
        (
            facts_of(places=DUE, hours=ALWAYS, has_key=False),
            "no_api_key",
            "The account has no Retell API key; calls start when an admin has entered one",
        ),
        (facts_of(places=DUE, hours=ALWAYS), "", ""),
    ],
)
def test_each_reason_is_found_and_said(facts: DialingFacts, code: str, words: str) -> None:
    found, sentence = described(facts)

    assert found == code
    assert words in sentence


def test_every_reason_that_a_campaign_can_have_is_tried_above() -> None:
    mark = test_each_reason_is_found_and_said.pytestmark[0]  # type: ignore[attr-defined]
    tried = {case[1] for case in mark.args[1]}
    of_contacts = {
        WaitReason.LIVE_ELSEWHERE,
        WaitReason.NO_CONTACTS,  # tested with the contacts of open campaigns
        SkipReason.DO_NOT_CALL,
        SkipReason.NO_CONSENT,
        SkipReason.LISTED,
        SkipReason.ATTEMPTS_USED,
        SkipReason.CALLER_BLOCKED,
    }

    assert {*WaitReason, *SkipReason, *RunReason} - of_contacts == tried - {""}


def test_a_contact_that_is_due_before_its_zone_opens_waits_for_the_zone_and_one_that_is_due_later_for_its_time() -> (
    None
):
    soon, tomorrow = NOW + timedelta(minutes=5), NOW + timedelta(days=1, hours=8)

    waits_for_zone = diagnosed(facts_of(places=(zone("America/New_York", soon, CAPPED),)))
    waits_for_time = diagnosed(facts_of(places=(zone("America/New_York", tomorrow),)))

    assert waits_for_zone.reason is WaitReason.ZONE_OPENS
    assert waits_for_zone.at == datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
    assert waits_for_zone.places == [Place("America/New_York", "")]
    assert waits_for_time.reason is WaitReason.RETRY_DUE
    assert waits_for_time.at == tomorrow


def test_the_reason_of_the_last_claim_does_not_count_once_the_facts_have_changed() -> None:
    facts = facts_of(places=DUE, hours=ALWAYS, waiting_for="calling_hours", next_batch_at=NOON)

    assert diagnose(facts, NOW) is None


def test_more_than_three_zones_are_counted_and_not_listed() -> None:
    keys = zone("America/Adak|America/Boise|America/Chicago|America/Denver")

    assert "Outside calling hours in 4 time zones; opens" in diagnosed(facts_of(places=(keys,))).sentence(str)


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
        found = await examine(caller, [full.id, capped.id], NOW, UNRESTRICTED)

    is_full, is_capped = found[full.id], found[capped.id]
    assert is_full is not None
    assert is_full.reason is WaitReason.ACCOUNT_FULL
    assert is_full.sentence(str) == "The only line is in use"
    assert is_capped is not None
    assert (is_capped.reason, is_capped.at) == (WaitReason.DAILY_CAP, LATER)


async def test_the_doctor_reads_the_rules_that_an_organization_has_switched_off(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    viewer = await create_member(connection, tenant.organization_id, "viewer")
    campaign = await create_campaign(connection, tenant, next_batch_at=NOW)
    await create_campaign_contact(
        connection, campaign, zone_key="Europe/Madrid", jurisdiction_key="ES", next_attempt_at=NOW
    )

    async with (
        await Database.connect(database.dsn_for("outdial_api"), application_name="tests") as api,
        api.as_caller("authenticated", {"sub": str(viewer), "role": "authenticated"}) as caller,
    ):
        before = (await examine(caller, [campaign.id], NOW, BOOK))[campaign.id]
        await insert(
            connection,
            "rule_switches",
            organization_id=tenant.organization_id,
            rule_id="ES-NO-RULE",
            is_off=True,
            reason="Checked with counsel",
            actor=str(viewer),
            at=NOW,
        )
        after = (await examine(caller, [campaign.id], NOW, BOOK))[campaign.id]

    assert before is not None
    assert before.reason is WaitReason.NO_RULES
    assert before.countries == ["ES"]
    assert after is None
