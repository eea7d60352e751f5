"""Before a campaign starts, each contact that it will not call is counted once, by its first reason."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from outdial.db.session import Database
from outdial.dialer.launch import LaunchSummary, launch_summary
from outdial.domain.contact import ContactStatus
from outdial.domain.ids import new_id
from outdial.domain.rules import UNRESTRICTED, RuleBook
from outdial.rules.pack import shipped_rules
from tests.support.factories import (
    NOW,
    Campaign,
    Tenant,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_member,
    create_tenant,
    insert,
)
from tests.support.postgres import Scratch

TODAY = NOW.date()


@pytest.fixture
async def tenant(connection: asyncpg.Connection) -> Tenant:
    return await create_tenant(connection)


async def summary_of(database: Scratch, campaign: Campaign, rules: RuleBook = UNRESTRICTED) -> LaunchSummary:
    """Count as an operator's command does."""
    async with (
        await Database.connect(database.dsn_for("outdial_api"), application_name="test") as api,
        api.as_service() as acting,
    ):
        summary = await launch_summary(acting, campaign_id=campaign.id, organization_id=None, now=NOW, shipped=rules)
    assert summary is not None
    return summary


async def add(
    connection: asyncpg.Connection,
    campaign: Campaign,
    *,
    opted_out: str | None = None,
    consent: str | None = None,
    lists: tuple[UUID, ...] = (),
    jurisdiction: str = "",
    status: str = "pending",
) -> None:
    """Add a contact with the given facts."""
    contact = await create_contact(connection, campaign.tenant.organization_id)
    await create_campaign_contact(connection, campaign, contact, jurisdiction_key=jurisdiction, status=status)
    owner = {"organization_id": contact.organization_id, "phone": contact.phone}
    if opted_out is not None:
        for purpose in (opted_out, "collection"):
            await insert(connection, "do_not_call", **owner, purpose=purpose, source="manual")
    if consent is not None:
        given = {"basis": consent, "source": "form", "given_at": NOW, "created_at": NOW}
        for scope in ("any", "sales"):
            await insert(connection, "consents", id=new_id(NOW), scope=scope, **owner, **given)
    for list_id in lists:
        await insert(connection, "screened_numbers", list_id=list_id, **owner)


async def create_list(
    connection: asyncpg.Connection, tenant: Tenant, kind: str, jurisdiction: str | None, days_old: int = 0
) -> UUID:
    """Store a complete list without numbers."""
    list_id = new_id(NOW)
    await insert(
        connection,
        "screening_lists",
        id=list_id,
        organization_id=tenant.organization_id,
        kind=kind,
        jurisdiction=jurisdiction,
        registry_date=TODAY - timedelta(days=days_old),
        file_name="numbers.csv",
        status="current",
        created_at=NOW,
        updated_at=NOW,
    )
    return list_id


async def test_each_contact_is_counted_once_by_its_first_reason(
    database: Scratch, connection: asyncpg.Connection, tenant: Tenant
) -> None:
    campaign = await create_campaign(connection, tenant, status="draft", consent_required="express")
    national = await create_list(connection, tenant, "national", "US")
    texas = await create_list(connection, tenant, "state", "US-TX")
    litigators = await create_list(connection, tenant, "litigator", None)
    everything = (national, texas, litigators)
    await add(connection, campaign, opted_out="any", lists=everything)
    await add(connection, campaign, opted_out="sales", consent="written")
    await add(connection, campaign, opted_out="survey", consent="written")  # is called
    for _ in range(3):
        await add(connection, campaign, lists=everything)
    await add(connection, campaign, consent="express", lists=(national, texas))
    await add(connection, campaign, consent="written", lists=(national, texas))  # is called
    await add(connection, campaign, consent="written", lists=everything)
    await add(connection, campaign, status="completed", opted_out="any")  # has been called

    summary = await summary_of(database, campaign)

    assert (summary.contacts, summary.uncalled) == (9, 7)
    assert summary.sentence() == (
        "10 contacts: 2 can be called, 3 without consent, 2 on the do-not-call list,"
        " 1 on a list of litigators, 1 on a national list, 1 completed"
    )
    assert (summary.callable_count, sum(summary.callable_contacts.values())) == (2, 2)
    assert summary.by_status == {"pending": 9, "completed": 1}


def test_every_status_has_its_words_and_all_contacts_are_in_the_sentence() -> None:
    others = {status: number for number, status in enumerate(ContactStatus, start=1) if status != "pending"}
    empty = LaunchSummary(contacts=0, groups=[], missing=[])
    assert empty.sentence() == "No contacts yet"
    assert replace(empty, contacts=1).sentence() == "1 contact: 1 can be called"
    assert replace(empty, others=others).sentence() == (
        "27 contacts: 2 being called, 3 completed, 4 failed, 5 in review, 6 skipped, 7 cancelled"
    )


async def test_the_summary_agrees_with_what_the_law_forbids_in_a_place(
    database: Scratch, connection: asyncpg.Connection, tenant: Tenant
) -> None:
    campaign = await create_campaign(
        connection, tenant, status="draft", calling_hours='{"weekdays": [["10:00", "16:00"]]}'
    )
    for jurisdiction in ("US-WA", "US-WA", "US-TX", "JP", ""):
        await add(connection, campaign, jurisdiction=jurisdiction)
    await add(connection, campaign, jurisdiction="US-WA", opted_out="any")

    summary = await summary_of(database, campaign, shipped_rules())

    groups = {group.code: (group.contacts, group.text) for group in summary.groups}
    assert groups.keys() == {"prohibited", "no_rules"}
    assert groups["prohibited"][0] == 3
    assert "WA" in groups["prohibited"][1]
    assert groups["no_rules"] == (1, "in Japan, without a calling rule")


async def test_nothing_is_said_to_be_uncalled_without_a_reason(
    database: Scratch, connection: asyncpg.Connection, tenant: Tenant
) -> None:
    campaign = await create_campaign(connection, tenant, status="draft")
    await add(connection, campaign)

    summary = await summary_of(database, campaign)

    assert (summary.contacts, summary.uncalled, list(summary.missing)) == (1, 0, [])


async def test_lists_that_the_campaign_requires_are_named_if_they_are_missing_or_outdated(
    database: Scratch, connection: asyncpg.Connection, tenant: Tenant
) -> None:
    required = ["national", "litigator", "reassigned"]
    campaign = await create_campaign(connection, tenant, status="draft", lists_required=required)
    await create_list(connection, tenant, "national", "US", days_old=32)
    await create_list(connection, tenant, "reassigned", None, days_old=31)

    summary = await summary_of(database, campaign)

    assert [each.advice() for each in summary.missing] == [
        "the national list of US (2026-02-06) is older than 31 days: upload it again",
        "upload a litigator list with a registry date of 2026-02-07 or later",
    ]


async def test_a_member_sees_the_counts_of_the_own_organization_only(
    database: Scratch, connection: asyncpg.Connection, tenant: Tenant
) -> None:
    campaign = await create_campaign(connection, tenant, status="draft")
    await add(connection, campaign, opted_out="any")
    member = await create_member(connection, tenant.organization_id, "viewer")
    stranger = await create_member(connection, (await create_tenant(connection, credential="b")).organization_id)
    found = []
    async with await Database.connect(database.dsn_for("outdial_api"), application_name="test") as api:
        for user_id in (member, stranger):
            claims = {"role": "authenticated", "sub": str(user_id)}
            async with api.as_caller("authenticated", claims) as acting:
                summary = await launch_summary(
                    acting, campaign_id=campaign.id, organization_id=None, now=NOW, shipped=UNRESTRICTED
                )
                found.append(None if summary is None else (summary.contacts, summary.uncalled))

    assert found == [(1, 1), None]


async def test_what_calling_rules_ask_for_is_compared_with_what_the_campaign_requires(
    database: Scratch, connection: asyncpg.Connection, tenant: Tenant
) -> None:
    campaign = await create_campaign(connection, tenant, consent_required="express", lists_required=["national"])
    for jurisdiction in ("US-FL", "US-FL", "US-NY", "US-WA"):
        await add(connection, campaign, consent="express", jurisdiction=jurisdiction)

    summary = await summary_of(database, campaign, shipped_rules())

    # Washington forbids the calls, so nothing else is asked there.
    assert list(summary.duties) == [
        "Calling rules call for written consent, which this campaign does not require (3 contacts): US-AI-VOICE-SALES,"
        " US-FL-HOURS"
    ]


async def test_screening_that_calling_rules_ask_for_is_named(
    database: Scratch, connection: asyncpg.Connection, tenant: Tenant
) -> None:
    campaign = await create_campaign(connection, tenant, consent_required="written")
    await add(connection, campaign, consent="written", jurisdiction="US-NY")

    summary = await summary_of(database, campaign, shipped_rules())

    assert list(summary.duties) == [
        "Calling rules call for screening against a national list, which this campaign does not require (1 contact):"
        " US-DNC"
    ]
    assert not (await summary_of(database, campaign)).duties
