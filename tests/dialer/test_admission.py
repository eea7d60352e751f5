"""Whether a place, an account, a contact or a campaign may be called now, and if not, why and until when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from outdial.dialer.admission import (
    LEAD,
    Admit,
    CampaignFacts,
    ContactFacts,
    LimitFacts,
    PlaceFacts,
    Skip,
    SkipReason,
    Wait,
    WaitReason,
    admit_account,
    admit_campaign,
    admit_contact,
    admit_place,
    admit_places,
    hours_of,
)
from outdial.domain.calling_hours import SEARCH
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import OVER_DAILY_CAP
from outdial.domain.pacing import Pace
from outdial.domain.place import Place

# A Tuesday: 03:00 in New York, 07:00 in London, 08:00 in Paris.
NOW = datetime(2026, 3, 10, 7, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
OFFICE_HOURS = '{"weekdays": [["09:00", "20:00"]]}'
LIMITS = LimitFacts(
    concurrency_limit=20,
    reserved_inbound=0,
    account_live=0,
    campaign_limit=None,
    campaign_live=0,
    batch_size=10,
    sharers=1,
    pace=Pace(4.0, 1.0, NOW, None),
)
CONTACT = ContactFacts(do_not_call=False, attempts=0, max_attempts=3, live=False, calls_of_the_day=(), daily_call_cap=2)
CAMPAIGN = CampaignFacts(
    status=CampaignStatus.ACTIVE,
    scheduled_at=NOW + timedelta(hours=1),
    calling_hours=OFFICE_HOURS,
    places=(PlaceFacts(place=Place("Asia/Kolkata", ""), first_due_at=NOW),),
    limits=LIMITS,
)


def moment(hour: int, minute: int = 0, day: int = 10) -> datetime:
    """Return a moment of March 2026 in UTC."""
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("place", "admission"),
    [
        (PlaceFacts(place=Place("Asia/Kolkata", ""), first_due_at=NOW), Admit()),
        (
            PlaceFacts(place=Place("Europe/Paris", ""), first_due_at=NOW),
            Wait(reason=WaitReason.ZONE_OPENS, until=moment(8)),
        ),
        (
            PlaceFacts(place=Place("Europe/Paris", ""), first_due_at=moment(8)),
            Wait(reason=WaitReason.RETRY_DUE, until=moment(8)),
        ),
        (
            PlaceFacts(place=Place("Asia/Kolkata", ""), first_due_at=moment(9)),
            Wait(reason=WaitReason.RETRY_DUE, until=moment(9)),
        ),
        (
            PlaceFacts(place=Place("Asia/Kolkata", ""), first_due_at=moment(9), first_reason=f"2 {OVER_DAILY_CAP}"),
            Wait(reason=WaitReason.DAILY_CAP, until=moment(9)),
        ),
        (PlaceFacts(place=Place("Nowhere/Land", ""), first_due_at=NOW), Skip(reason=SkipReason.NEVER_OPENS)),
    ],
)
def test_a_place_is_admitted_when_it_is_open_and_its_first_contact_is_due(
    place: PlaceFacts, admission: Admit | Wait | Skip
) -> None:
    assert admit_place(hours_of(OFFICE_HOURS), place, NOW) == admission


def test_a_place_that_closes_before_a_call_would_ring_waits_for_its_next_opening() -> None:
    closing = moment(19) - LEAD / 2
    place = PlaceFacts(place=Place("Europe/Paris", ""), first_due_at=NOW)

    assert admit_place(hours_of(OFFICE_HOURS), place, closing) == Wait(
        reason=WaitReason.ZONE_OPENS, until=moment(8, day=11)
    )


def test_a_place_that_is_excluded_for_longer_than_the_search_waits() -> None:
    dates = [(NOW + timedelta(days=n)).date().isoformat() for n in range(800)]
    hours = hours_of(msgspec.json.encode({"excluded_dates": dates}).decode())
    place = PlaceFacts(place=Place("Europe/Paris", ""), first_due_at=NOW)

    assert admit_place(hours, place, NOW) == Wait(reason=WaitReason.ZONE_OPENS, until=NOW + SEARCH)


def test_the_places_of_a_campaign_are_sorted_into_open_never_open_and_the_earliest_wait() -> None:
    keys = ("Nowhere/Land", "America/New_York", "Asia/Kolkata", "Europe/Paris")
    places = [PlaceFacts(place=Place(key, ""), first_due_at=NOW) for key in keys]

    admissions = admit_places(hours_of(OFFICE_HOURS), places, NOW)

    assert admissions.open == [Place("Asia/Kolkata", "")]
    assert admissions.never_open == [Place("Nowhere/Land", "")]
    assert admissions.next_wait == Wait(reason=WaitReason.ZONE_OPENS, until=moment(8))


@pytest.mark.parametrize(
    ("limits", "reason", "until"),
    [
        (replace(LIMITS, campaign_limit=5, campaign_live=5, account_live=5), WaitReason.CAMPAIGN_FULL, None),
        (replace(LIMITS, account_live=20), WaitReason.ACCOUNT_FULL, None),
        (replace(LIMITS, reserved_inbound=20), WaitReason.ACCOUNT_FULL, None),
        (replace(LIMITS, sharers=3, campaign_live=7, account_live=7), WaitReason.SHARE_TAKEN, None),
        (
            replace(LIMITS, pace=Pace(4.0, 1.0, NOW + 9 * SECOND, None)),
            WaitReason.PACING,
            NOW + 8.5 * SECOND,
        ),
    ],
)
def test_an_account_without_room_waits(limits: LimitFacts, reason: WaitReason, until: datetime | None) -> None:
    assert admit_account(limits, NOW, SECOND) == Wait(reason=reason, until=until)


def test_an_account_with_room_gives_the_start_times_of_a_batch() -> None:
    admission = admit_account(replace(LIMITS, batch_size=3), NOW, SECOND)

    assert isinstance(admission, Admit)
    assert len(admission.starts) == 3
    assert admission.starts[0] == NOW


@pytest.mark.parametrize(
    ("facts", "admission"),
    [
        (CONTACT, Admit()),
        (replace(CONTACT, do_not_call=True, live=True), Skip(reason=SkipReason.DO_NOT_CALL)),
        (replace(CONTACT, attempts=3), Skip(reason=SkipReason.ATTEMPTS_USED)),
        (replace(CONTACT, caller_blocked=True, live=True), Skip(reason=SkipReason.CALLER_BLOCKED)),
        (replace(CONTACT, live=True), Wait(reason=WaitReason.LIVE_ELSEWHERE, until=NOW + 60 * SECOND)),
        (
            replace(CONTACT, calls_of_the_day=[NOW - hours * timedelta(hours=1) for hours in (1, 5, 23)]),
            Wait(reason=WaitReason.DAILY_CAP, until=NOW + timedelta(hours=19)),
        ),
    ],
)
def test_a_contact_is_admitted_when_no_rule_is_against_it(facts: ContactFacts, admission: Admit | Wait | Skip) -> None:
    assert admit_contact(facts, NOW) == admission


@pytest.mark.parametrize(
    ("facts", "admission"),
    [
        (replace(CAMPAIGN, status=CampaignStatus.DRAFT), Wait(reason=WaitReason.DRAFT, until=NOW + timedelta(hours=1))),
        (
            replace(CAMPAIGN, status=CampaignStatus.SCHEDULED),
            Wait(reason=WaitReason.SCHEDULED, until=NOW + timedelta(hours=1)),
        ),
        (replace(CAMPAIGN, status=CampaignStatus.PAUSING), Wait(reason=WaitReason.PAUSED)),
        (replace(CAMPAIGN, status=CampaignStatus.PAUSED), Wait(reason=WaitReason.PAUSED)),
        (replace(CAMPAIGN, status=CampaignStatus.CANCELLING), Skip(reason=SkipReason.CANCELLED)),
        (replace(CAMPAIGN, status=CampaignStatus.CANCELLED), Skip(reason=SkipReason.CANCELLED)),
        (replace(CAMPAIGN, status=CampaignStatus.COMPLETED), Skip(reason=SkipReason.FINISHED)),
        (replace(CAMPAIGN, places=()), Skip(reason=SkipReason.NOTHING_TO_DO)),
        (
            replace(CAMPAIGN, places=(), limits=replace(LIMITS, campaign_live=1)),
            Wait(reason=WaitReason.CALLS_UNDER_WAY),
        ),
        (
            replace(CAMPAIGN, places=(PlaceFacts(place=Place("Nowhere/Land", ""), first_due_at=NOW),)),
            Skip(reason=SkipReason.NEVER_OPENS),
        ),
        (
            replace(CAMPAIGN, places=(PlaceFacts(place=Place("Europe/Paris", ""), first_due_at=NOW),)),
            Wait(reason=WaitReason.ZONE_OPENS, until=moment(8)),
        ),
        (replace(CAMPAIGN, limits=replace(LIMITS, account_live=20)), Wait(reason=WaitReason.ACCOUNT_FULL)),
    ],
)
def test_a_campaign_is_admitted_by_its_status_then_its_places_then_its_account(
    facts: CampaignFacts, admission: Wait | Skip
) -> None:
    assert admit_campaign(facts, NOW, SECOND) == admission


def test_a_campaign_that_may_call_gets_its_start_times() -> None:
    assert admit_campaign(CAMPAIGN, NOW, SECOND) == admit_account(LIMITS, NOW, SECOND)
