"""Whether a place, an account, a contact or a campaign may be called now, and if not, why and until when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec
import pytest

from outdial.dialer.admission import (
    LEAD,
    Admit,
    CampaignFacts,
    CampaignHours,
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
    campaign_hours,
)
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import OVER_DAILY_CAP
from outdial.domain.openings import SEARCH
from outdial.domain.pacing import Pace
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from outdial.domain.rules import UNRESTRICTED
from tests.support.rules import BOOK, FEDERAL, FLORIDA, FRANCE, FRENCH_CAP, MAINE, WASHINGTON, book, rule

# A Tuesday: 03:00 in New York, 07:00 in London, 08:00 in Paris.
NOW = datetime(2026, 3, 10, 7, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ALWAYS = '{"every_day": [["00:00", "24:00"]]}'
OFFICE_HOURS = '{"weekdays": [["09:00", "20:00"]]}'
HOURS = campaign_hours(OFFICE_HOURS, Purpose.SALES, UNRESTRICTED)
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
CONTACT = ContactFacts(do_not_call=False, attempts=0, max_attempts=3, live=False, recent_calls=(), daily_call_cap=2)
CAMPAIGN = CampaignFacts(
    status=CampaignStatus.ACTIVE,
    scheduled_at=NOW + timedelta(hours=1),
    calling_hours=OFFICE_HOURS,
    purpose=Purpose.SALES,
    rules=UNRESTRICTED,
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
    assert admit_place(HOURS, place, NOW) == admission


def test_a_place_that_closes_before_a_call_would_ring_waits_for_its_next_opening() -> None:
    closing = moment(19) - LEAD / 2
    place = PlaceFacts(place=Place("Europe/Paris", ""), first_due_at=NOW)

    assert admit_place(HOURS, place, closing) == Wait(reason=WaitReason.ZONE_OPENS, until=moment(8, day=11))


def test_a_place_that_is_excluded_for_longer_than_the_search_waits() -> None:
    dates = [(NOW + timedelta(days=n)).date().isoformat() for n in range(800)]
    calling_hours = msgspec.json.encode({"excluded_dates": dates}).decode()
    hours = campaign_hours(calling_hours, Purpose.SALES, UNRESTRICTED)
    place = PlaceFacts(place=Place("Europe/Paris", ""), first_due_at=NOW)

    assert admit_place(hours, place, NOW) == Wait(reason=WaitReason.ZONE_OPENS, until=NOW + SEARCH)


def under_rules(calling_hours: str = ALWAYS) -> CampaignHours:
    return campaign_hours(calling_hours, Purpose.SALES, BOOK)


@pytest.mark.parametrize(
    ("place", "hours", "admission"),
    [
        (Place("Europe/Paris", "FR"), under_rules(), Wait(reason=WaitReason.LAW_OPENS, until=moment(9))),
        # The campaign itself opens at 11:00 in Paris: the law is not what it waits for.
        (
            Place("Europe/Paris", "FR"),
            under_rules('{"every_day": [["11:00", "12:00"]]}'),
            Wait(reason=WaitReason.ZONE_OPENS, until=moment(10)),
        ),
        (Place("Europe/Madrid", "ES"), under_rules(), Wait(reason=WaitReason.NO_RULES)),
        (Place("Europe/Madrid", "ES|FR"), under_rules(), Wait(reason=WaitReason.NO_RULES)),
        (Place("Europe/Paris", ""), under_rules(), Wait(reason=WaitReason.KEYS_MISSING)),
        (
            Place("America/Los_Angeles", "US-WA"),
            under_rules(),
            Skip(reason=SkipReason.PROHIBITED, rule=WASHINGTON),
        ),
        (
            Place("Europe/Paris", "FR"),
            under_rules('{"every_day": [["21:00", "22:00"]]}'),
            Skip(reason=SkipReason.LAW_NEVER_OPENS),
        ),
        # Its rules are for sales only.
        (Place("Europe/Paris", "FR"), campaign_hours(ALWAYS, Purpose.SURVEY, BOOK), Wait(reason=WaitReason.NO_RULES)),
    ],
)
def test_a_place_is_admitted_when_the_law_allows_a_call_there(
    place: Place, hours: CampaignHours, admission: Admit | Wait | Skip
) -> None:
    assert admit_place(hours, PlaceFacts(place=place, first_due_at=NOW), NOW) == admission


def test_a_prohibition_that_ends_is_waited_for() -> None:
    ban = rule("FR-BAN", "FR", prohibited=True, in_force_to="2026-03-12")
    hours = campaign_hours(OFFICE_HOURS, Purpose.SALES, book(ban))
    place = PlaceFacts(place=Place("Europe/Paris", "FR"), first_due_at=NOW)

    assert admit_place(hours, place, NOW) == Wait(reason=WaitReason.LAW_OPENS, until=moment(8, day=13))


def test_a_place_that_the_law_closes_before_a_call_would_ring_waits() -> None:
    closing = moment(12) - LEAD / 2  # 13:00 in Paris, when calls to France pause
    place = PlaceFacts(place=Place("Europe/Paris", "FR"), first_due_at=NOW)

    assert admit_place(under_rules(), place, closing) == Wait(reason=WaitReason.LAW_OPENS, until=moment(13))


def test_a_window_is_evaluated_once_for_each_place_and_not_for_each_contact() -> None:
    counted = book(FRANCE, FEDERAL)
    hours = campaign_hours(ALWAYS, Purpose.SALES, counted)
    places = [
        PlaceFacts(place=Place("Europe/Paris", "FR"), first_due_at=NOW),
        PlaceFacts(place=Place("America/New_York", "US-NY"), first_due_at=NOW),
    ]
    asked: list[Place] = []
    build = counted._build_window
    counted._window = lru_cache(lambda hours, place, purpose: (asked.append(place), build(hours, place, purpose))[1])

    for _ in range(3):
        admit_places(hours, places, NOW)
        for facts in places * 100:
            hours.at(facts.place).rules_at(NOW)

    assert asked == [places[1].place, places[0].place]


def calls(*hours_ago: float) -> list[datetime]:
    return [NOW - timedelta(hours=hours) for hours in hours_ago]


@pytest.mark.parametrize(
    ("facts", "admission"),
    [
        (replace(CONTACT, recent_calls=calls(9), capping_rules=[MAINE]), Admit()),
        (
            replace(CONTACT, recent_calls=calls(7), capping_rules=[MAINE]),
            Wait(reason=WaitReason.RULE_CAP, until=NOW + timedelta(hours=1), rule=MAINE),
        ),
        # A call of exactly eight hours ago no longer counts.
        (replace(CONTACT, recent_calls=calls(8), capping_rules=[MAINE]), Admit()),
        (
            replace(CONTACT, recent_calls=calls(40, 700), capping_rules=[FRENCH_CAP]),
            Wait(reason=WaitReason.RULE_CAP, until=NOW + timedelta(hours=20), rule=FRENCH_CAP),
        ),
        # Of several caps, the one that holds longest counts: the organization's, or a rule's.
        (
            replace(CONTACT, recent_calls=calls(1, 2), capping_rules=[MAINE]),
            Wait(reason=WaitReason.DAILY_CAP, until=NOW + timedelta(hours=22)),
        ),
        (
            replace(CONTACT, daily_call_cap=5, recent_calls=calls(1, 2, 3, 4, 5), capping_rules=[MAINE, FRENCH_CAP]),
            Wait(reason=WaitReason.RULE_CAP, until=NOW + timedelta(hours=718), rule=FRENCH_CAP),
        ),
        (replace(CONTACT, daily_call_cap=100, recent_calls=calls(1, 2), capping_rules=[FLORIDA]), Admit()),
    ],
)
def test_a_contact_waits_for_each_cap_over_its_own_period(facts: ContactFacts, admission: Admit | Wait) -> None:
    assert admit_contact(facts, NOW) == admission


def test_the_places_of_a_campaign_are_sorted_into_open_never_open_and_the_earliest_wait() -> None:
    keys = ("Nowhere/Land", "America/New_York", "Asia/Kolkata", "Europe/Paris")
    places = [PlaceFacts(place=Place(key, ""), first_due_at=NOW) for key in keys]

    admissions = admit_places(HOURS, places, NOW)

    assert admissions.open == [Place("Asia/Kolkata", "")]
    assert admissions.never_open == {Place("Nowhere/Land", ""): Skip(reason=SkipReason.NEVER_OPENS)}
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
        (replace(CONTACT, attempts=3, is_callback=True), Admit()),
        (replace(CONTACT, caller_blocked=True, live=True), Skip(reason=SkipReason.CALLER_BLOCKED)),
        (replace(CONTACT, live=True), Wait(reason=WaitReason.LIVE_ELSEWHERE, until=NOW + 60 * SECOND)),
        (
            replace(CONTACT, recent_calls=[NOW - hours * timedelta(hours=1) for hours in (1, 5, 23)]),
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


def test_a_hook_that_fails_stops_all_calls_until_it_is_asked_again_and_then_one_is_tried() -> None:
    failing = replace(LIMITS, hook_retry_at=NOW + 10 * SECOND, pace=replace(LIMITS.pace, calls_per_second=100.0))
    assert admit_account(failing, NOW, SECOND) == Wait(reason=WaitReason.PRE_DIAL_HOOK, until=NOW + 10 * SECOND)
    admitted = admit_account(failing, NOW + 10 * SECOND, SECOND)
    assert isinstance(admitted, Admit)
    assert len(admitted.starts) == 1
