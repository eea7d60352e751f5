"""A contact without the consent that its campaign requires, or on a list, is not called."""

import json
from datetime import date, timedelta
from uuid import UUID

import pytest

from outdial.db.queries import calling_rules, launch
from outdial.dialer.claim import Claimed
from outdial.domain.ids import new_id
from outdial.retell.simulator.faults import Fault, FaultKind
from tests.support.dialing import Stage
from tests.support.factories import (
    NOW,
    Campaign,
    CampaignContact,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_tenant,
    insert,
)

TODAY = NOW.date()


async def claim(stage: Stage, campaign: Campaign) -> int:
    """Claim once and return how many calls came of it."""
    claimed = await stage.claimer().claim(campaign.tenant.organization_id, campaign.id)
    assert isinstance(claimed, Claimed)
    return len(claimed.calls)


async def consent(stage: Stage, entry: CampaignContact, basis: str, scope: str = "any", **columns: object) -> None:
    """Record a consent of the contact, given a day ago."""
    row = {
        "id": new_id(NOW),
        "organization_id": entry.contact.organization_id,
        "phone": entry.contact.phone,
        "basis": basis,
        "scope": scope,
        "source": "form",
        "given_at": NOW - timedelta(days=1),
        "created_at": NOW,
    }
    await insert(stage.look, "consents", **(row | columns))


async def screen(
    stage: Stage,
    campaign: Campaign,
    kind: str,
    *phones: str,
    jurisdiction: str | None = None,
    registry_date: date = TODAY,
    status: str = "current",
) -> UUID:
    """Store a list of the organization."""
    list_id, organization_id = new_id(NOW), campaign.tenant.organization_id
    await insert(
        stage.look,
        "screening_lists",
        id=list_id,
        organization_id=organization_id,
        kind=kind,
        jurisdiction=jurisdiction,
        registry_date=registry_date,
        file_name="numbers.csv",
        status=status,
        created_at=NOW,
        updated_at=NOW,
    )
    for phone in phones:
        await insert(stage.look, "screened_numbers", organization_id=organization_id, list_id=list_id, phone=phone)
    return list_id


async def fate(stage: Stage, entry: CampaignContact) -> tuple[str, str | None]:
    """Return the status of a contact and its reason."""
    row = await stage.row("campaign_contacts", entry.id)
    return row["status"], row["status_reason"]


@pytest.mark.parametrize(
    ("required", "basis", "scope", "is_called"),
    [
        ("none", None, "any", True),
        ("express", None, "any", False),
        ("express", "express", "any", True),
        ("express", "written", "any", True),
        ("express", "existing_business", "any", False),
        ("written", "express", "any", False),
        ("written", "written", "any", True),
        ("written", "written", "sales", True),
        ("written", "written", "survey", False),
    ],
)
async def test_a_contact_needs_the_consent_that_the_campaign_requires(
    stage: Stage, required: str, basis: str | None, scope: str, is_called: bool
) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), consent_required=required)
    entry = await create_campaign_contact(stage.look, campaign)
    if basis is not None:
        await consent(stage, entry, basis, scope)

    assert await claim(stage, campaign) == is_called

    skipped = ("skipped", f"no {required} consent for sales calls on record")
    assert await fate(stage, entry) == (("calling", None) if is_called else skipped)


async def test_a_revoked_consent_does_not_count(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), consent_required="written")
    entry = await create_campaign_contact(stage.look, campaign)
    await consent(stage, entry, "written", revoked_at=NOW - timedelta(hours=1))

    assert await claim(stage, campaign) == 0


@pytest.mark.parametrize(
    ("scope", "hours_later", "is_called"),
    [("sales", 1, False), ("any", 1, False), ("survey", 1, True), ("sales", -1, True)],
)
async def test_a_later_refusal_for_the_purpose_ends_a_consent_for_any(
    stage: Stage, scope: str, hours_later: int, is_called: bool
) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), consent_required="written")
    entry = await create_campaign_contact(stage.look, campaign)
    await consent(stage, entry, "written", given_at=NOW - timedelta(days=1))
    await consent(stage, entry, "none", scope, given_at=NOW - timedelta(days=1) + hours_later * timedelta(hours=1))
    organization_id, scopes = campaign.tenant.organization_id, ["any", "sales"]

    async with stage.dialing.for_organization(organization_id) as connection:
        counts = await launch.count_uncallable(
            connection,
            campaign_id=campaign.id,
            organization_id=organization_id,
            scopes=scopes,
            accepted=["written"],
            list_ids=[],
            lifted=[],
            reads_consents=True,
        )
    facts = await calling_rules.phone_facts(
        stage.look, organization_id=organization_id, phone=entry.contact.phone, scopes=scopes, since=NOW
    )

    assert await claim(stage, campaign) == is_called
    assert [row.reason for row in counts] == ["" if is_called else "no_consent"]
    assert facts.consent == ("written" if is_called else "")


async def test_a_contact_that_gives_consent_after_it_was_skipped_is_called(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), consent_required="written")
    late, never = [await create_campaign_contact(stage.look, campaign) for _ in range(2)]
    assert await claim(stage, campaign) == 0

    await consent(stage, late, "written")

    assert await fate(stage, late) == ("pending", None)
    assert (await fate(stage, never))[0] == "skipped"
    assert await claim(stage, campaign) == 1


async def test_a_contact_is_called_once_its_campaign_no_longer_requires_consent(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), consent_required="written")
    entry = await create_campaign_contact(stage.look, campaign)
    assert await claim(stage, campaign) == 0

    await stage.look.execute("update campaigns set consent_required = 'none' where id = $1", campaign.id)

    assert await fate(stage, entry) == ("pending", None)


async def test_a_contact_of_a_completed_campaign_stays_skipped_when_it_gives_consent(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), consent_required="written")
    entry = await create_campaign_contact(stage.look, campaign)
    assert await claim(stage, campaign) == 0
    await stage.look.execute("update campaigns set status = 'completed' where id = $1", campaign.id)

    await consent(stage, entry, "written")

    assert (await fate(stage, entry))[0] == "skipped"


@pytest.mark.parametrize(
    ("kind", "jurisdiction", "basis", "name"),
    [
        ("national", "US", None, "national list of US"),
        ("national", "US", "express", "national list of US"),
        ("national", "US", "written", None),
        ("state", "US-TX", None, "US-TX list"),
        ("state", "US-TX", "written", None),
        ("litigator", None, "written", "litigator list"),
        ("reassigned", None, "written", "reassigned list"),
    ],
)
async def test_a_listed_contact_is_skipped_unless_its_written_consent_lifts_the_list(
    stage: Stage, kind: str, jurisdiction: str | None, basis: str | None, name: str | None
) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry = await create_campaign_contact(stage.look, campaign)
    registry_date = TODAY - timedelta(days=3)
    await screen(stage, campaign, kind, entry.contact.phone, jurisdiction=jurisdiction, registry_date=registry_date)
    if basis is not None:
        await consent(stage, entry, basis)

    assert await claim(stage, campaign) == (name is None)

    skipped = ("skipped", f"on the {name} of {registry_date}")
    assert await fate(stage, entry) == (skipped if name is not None else ("calling", None))


async def test_a_list_that_no_consent_lifts_counts_before_one_that_consent_lifts(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry = await create_campaign_contact(stage.look, campaign)
    await screen(stage, campaign, "national", entry.contact.phone, jurisdiction="US")
    await screen(stage, campaign, "litigator", entry.contact.phone)
    await consent(stage, entry, "written")

    assert await claim(stage, campaign) == 0
    assert (await fate(stage, entry))[1] == f"on the litigator list of {TODAY}"


@pytest.mark.parametrize("status", ["loading", "replaced", "removed", "failed"])
async def test_a_list_counts_only_while_it_is_complete_and_not_replaced(stage: Stage, status: str) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry = await create_campaign_contact(stage.look, campaign)
    await screen(stage, campaign, "litigator", entry.contact.phone, status=status)

    assert await claim(stage, campaign) == 1


async def test_a_national_list_does_not_concern_a_survey_unless_it_is_required(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    free = await create_campaign(stage.look, tenant, purpose="survey")
    bound = await create_campaign(stage.look, tenant, purpose="survey", lists_required=["national"])
    entries = [await create_campaign_contact(stage.look, each) for each in (free, bound)]
    await screen(stage, free, "national", *(entry.contact.phone for entry in entries), jurisdiction="US")

    assert [await claim(stage, each) for each in (free, bound)] == [1, 0]


async def test_lists_of_another_organization_do_not_count(stage: Stage) -> None:
    own = await create_campaign(stage.look, await create_tenant(stage.look), lists_required=["litigator"])
    other = await create_campaign(stage.look, await create_tenant(stage.look, credential="other"))
    entry = await create_campaign_contact(stage.look, own)
    await screen(stage, other, "litigator", entry.contact.phone)

    assert await claim(stage, own) == 0
    assert (await fate(stage, entry))[0] == "pending"


@pytest.mark.parametrize(("days", "is_called"), [(0, True), (31, True), (32, False)])
async def test_a_campaign_waits_while_a_list_that_it_requires_is_older_than_31_days(
    stage: Stage, days: int, is_called: bool
) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), lists_required=["national"])
    entry = await create_campaign_contact(stage.look, campaign)
    await screen(stage, campaign, "national", jurisdiction="US", registry_date=TODAY - timedelta(days=days))

    assert await claim(stage, campaign) == is_called

    assert (await fate(stage, entry))[0] == ("calling" if is_called else "pending")
    row = await stage.row("campaigns", campaign.id)
    assert row["waiting_for"] == (None if is_called else "screening")


async def test_only_the_places_whose_lists_are_current_are_called(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    campaign = await create_campaign(stage.look, tenant, lists_required=["national", "state"])
    keys = ("US-TX", "US-FL", "CA-ON", "US-FL|US-TX")
    texas, *others = [await create_campaign_contact(stage.look, campaign, jurisdiction_key=key) for key in keys]
    for kind, jurisdiction in (("national", "US"), ("state", "US-TX"), ("state", "CA-ON")):
        await screen(stage, campaign, kind, jurisdiction=jurisdiction)

    assert await claim(stage, campaign) == 1

    assert await fate(stage, texas) == ("calling", None)
    assert {await fate(stage, entry) for entry in others} == {("pending", None)}
    assert await claim(stage, campaign) == 0
    assert (await stage.row("campaigns", campaign.id))["waiting_for"] == "screening"


async def test_an_outdated_list_still_keeps_its_numbers_from_being_called(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry = await create_campaign_contact(stage.look, campaign)
    old = TODAY - timedelta(days=90)
    await screen(stage, campaign, "national", entry.contact.phone, jurisdiction="US", registry_date=old)

    assert await claim(stage, campaign) == 0


@pytest.mark.parametrize(("purpose", "is_called"), [("any", False), ("sales", False), ("survey", True)])
async def test_an_opt_out_ends_calls_of_its_purpose(stage: Stage, purpose: str, is_called: bool) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry = await create_campaign_contact(stage.look, campaign)
    await insert(
        stage.look,
        "do_not_call",
        organization_id=campaign.tenant.organization_id,
        phone=entry.contact.phone,
        purpose=purpose,
        source="manual",
    )

    assert await claim(stage, campaign) == is_called


@pytest.mark.parametrize(("purpose", "revoked"), [("any", {"sales", "survey", "any"}), ("sales", {"sales"})])
async def test_an_opt_out_revokes_consent(stage: Stage, purpose: str, revoked: set[str]) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry = await create_campaign_contact(stage.look, campaign)
    for _ in range(2):  # also a second time, for consents that were given after the first
        for scope in ("sales", "survey", "any"):
            await consent(stage, entry, "written", scope)
        await stage.look.execute(
            "insert into do_not_call (organization_id, phone, purpose, source, created_at)"
            " values ($1, $2, $3, 'manual', $4) on conflict do nothing",
            campaign.tenant.organization_id,
            entry.contact.phone,
            purpose,
            NOW,
        )
        rows = await stage.rows("consents")
        assert {row["scope"] for row in rows if row["revoked_at"] == NOW} == revoked
        assert {row["scope"] for row in rows if row["revoked_at"] is None} == {"sales", "survey", "any"} - revoked
        await stage.look.execute("delete from consents")


async def test_the_decision_names_the_consent_and_the_lists_that_were_checked(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    campaign = await create_campaign(stage.look, tenant, consent_required="express", lists_required=["national"])
    entry = await create_campaign_contact(stage.look, campaign)
    await consent(stage, entry, "written")
    number = entry.contact.phone
    await screen(stage, campaign, "national", number, jurisdiction="US", registry_date=TODAY - timedelta(days=2))
    await screen(stage, campaign, "litigator")

    assert await claim(stage, campaign) == 1

    [call] = await stage.rows("calls")
    decision = json.loads(call["decision"])
    assert (decision["purpose"], decision["consent_required"], decision["consent"]) == ("sales", "express", "written")
    assert decision["screening_lists"] == {
        "litigator list": str(TODAY),
        "national list of US": str(TODAY - timedelta(days=2)),
    }
    assert decision["lists_lifted_by_consent"] == ["national list of US"]


CHANGES_BEFORE_A_REPETITION = (
    "nothing",
    "revoked",
    "listed",
    "list missing",
    "attempts",
    "cap",
    "blocked",
    "number rests",
)


@pytest.mark.parametrize("change", CHANGES_BEFORE_A_REPETITION)
async def test_a_request_is_repeated_only_if_its_contact_could_be_claimed_now(stage: Stage, change: str) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), consent_required="express")
    entry = await create_campaign_contact(stage.look, campaign)
    await consent(stage, entry, "express")
    stage.workspace.faults.replace([Fault(kind=FaultKind.drop_request, times=1)])
    dialer = stage.dialer()
    await dialer.run_once()
    await dialer.settled()
    [call] = await stage.rows("calls")
    assert (call["status"], call["requests"]) == ("unknown", 1)

    match change:
        case "revoked":
            await stage.look.execute("update consents set revoked_at = $1", NOW)
        case "listed":
            await screen(stage, campaign, "litigator", entry.contact.phone)
        case "list missing":
            await stage.change("campaigns", campaign.id, lists_required=["national"])
        case "attempts":
            await stage.change("campaign_contacts", entry.id, attempts=1)
            await stage.change("campaigns", campaign.id, max_attempts=1)
        case "cap":
            await stage.change("organizations", campaign.tenant.organization_id, daily_call_cap=1)
            await earlier_call(stage, campaign, entry)
        case "blocked":
            await earlier_call(stage, campaign, entry, outcome="blocked")
        case "number rests":
            await insert(
                stage.look,
                "number_health",
                organization_id=campaign.tenant.organization_id,
                phone=call["from_number"],
                rests_until=NOW + timedelta(hours=1),
                rest_reason="by_member",
                rests_since=NOW,
            )
    stage.clock.advance(timedelta(seconds=10))
    await stage.dialer().rescuer.run_once()

    call = await stage.row("calls", call["id"])
    repeated = ("placed", 2) if change == "nothing" else ("unknown", 1)
    assert (call["status"], call["requests"]) == repeated


async def earlier_call(stage: Stage, campaign: Campaign, entry: CampaignContact, **columns: object) -> None:
    """Add a call of another campaign to the phone that has ended, from the same caller number."""
    other = await create_campaign(stage.look, campaign.tenant)
    on_other = await create_campaign_contact(stage.look, other, entry.contact)
    [call] = await stage.rows("calls")
    row = {"status": "ended", "from_number": call["from_number"], "request_deadline": None, "next_check_at": None}
    await create_call(stage.look, on_other, **(row | columns))
