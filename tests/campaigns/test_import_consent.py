"""Columns of a file record the consent of its contacts; a row whose consent cannot be read is refused."""

from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from outdial.campaigns.importing.refusals import Refusal
from outdial.db.session import Database
from tests.support.factories import NOW, Campaign, insert
from tests.support.importing import phone, phones_of, refusals_of, run

HEADER = "phone,consent,consent_scope,consent_source,consent_text,consent_url,consent_at,plan\n"


async def consents_of(connection: asyncpg.Connection) -> list[dict[str, Any]]:
    """Return the stored consents in the order of their phones."""
    rows = await connection.fetch(
        "select phone, basis, scope, source, text, url, given_at, revoked_at from consents order by phone, given_at"
    )
    return [dict(row) for row in rows]


async def test_consent_is_recorded_with_its_evidence(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    report = await run(
        api,
        campaign,
        HEADER
        + f'{phone(1)},Written,SALES,web form,"I agree, call me",https://example.com/1,2026-03-01T09:30:00-05:00,gold\n'
        + f"{phone(2)},existing business,,contract,,,2026-03-01,\n"
        + f"{phone(3)},,,,,,,\n",
    )

    assert refusals_of(report) == []
    assert report.variables == ("plan",)
    empty = {"text": None, "url": None, "revoked_at": None}
    assert await consents_of(connection) == [
        {
            "phone": phone(1),
            "basis": "written",
            "scope": "sales",
            "source": "web form",
            "text": "I agree, call me",
            "url": "https://example.com/1",
            "given_at": datetime(2026, 3, 1, 14, 30, tzinfo=UTC),
            "revoked_at": None,
        },
        {"phone": phone(2), "basis": "existing_business", "scope": "any", "source": "contract"}
        | empty
        | {"given_at": datetime(2026, 3, 1, tzinfo=UTC)},
    ]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("yes,,form,,,2026-03-01", "consent is 'yes': write written, express, existing_business, none, or leave all"),
        (",,form,,,2026-03-01", "consent is empty: write written, express, existing_business, none, or leave all"),
        ("written,marketing,form,,,2026-03-01", "consent_scope is 'marketing': write any, sales, informational"),
        ("written,,form,,,", "consent_at is empty: write a day or a time with a zone, such as 2026-10-01T09:30Z"),
        ("written,,form,,,03/01/2026", "consent_at is '03/01/2026': write a day or a time with a zone"),
        ("written,,form,,,2026-03-01T09:30", "consent_at is '2026-03-01T09:30': write a day or a time with a zone"),
        ("written,,form,,,2026-02-30", "consent_at is '2026-02-30': write a day or a time with a zone"),
        ("written,,form,,,2027-03-01", "consent_at is in the future: give the time at which the contact gave consent"),
        ("written,,,,,2026-03-01", "consent_source is missing: say where consent was given, or give its text or URL"),
        ("written,,,,see file,2026-03-01", "consent_url is not a URL that begins with https:// or http://"),
        (f"written,,{'x' * 201},,,2026-03-01", "consent_source is longer than 200 characters"),
    ],
)
async def test_a_row_whose_consent_cannot_be_read_is_refused(
    api: Database, campaign: Campaign, connection: asyncpg.Connection, cells: str, reason: str
) -> None:
    report = await run(api, campaign, f"{HEADER}{phone(1)},{cells},\n{phone(2)},,,,,,,\n")

    [(line, value, kind, found)] = refusals_of(report)
    assert (line, value, kind) == (2, phone(1), Refusal.BAD_CONSENT)
    assert found.startswith(reason)
    assert await phones_of(connection, campaign) == [phone(2)]
    assert await consents_of(connection) == []


async def test_a_second_import_records_nothing_twice_and_brings_nothing_back(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    text = f"{HEADER}{phone(1)},written,,form,,,2026-03-01,\n"
    await run(api, campaign, text)
    await run(api, campaign, text)
    assert len(await consents_of(connection)) == 1

    await run(api, campaign, f"{HEADER}{phone(1)},none,,,,,2026-03-02,\n")
    await run(api, campaign, text.replace("form", "other form"))

    assert [row["basis"] for row in await consents_of(connection) if row["revoked_at"] is None] == ["none"]


@pytest.mark.parametrize(("purpose", "is_refused"), [("any", True), ("sales", True), ("survey", False)])
async def test_a_number_is_refused_if_it_opted_out_of_the_calls_of_the_campaign(
    api: Database, campaign: Campaign, connection: asyncpg.Connection, purpose: str, is_refused: bool
) -> None:
    await insert(
        connection,
        "do_not_call",
        organization_id=campaign.tenant.organization_id,
        phone=phone(1),
        purpose=purpose,
        source="manual",
        created_at=NOW,
    )

    report = await run(api, campaign, f"phone\n{phone(1)}\n")

    assert [kind for _, _, kind, _ in refusals_of(report)] == ([Refusal.DO_NOT_CALL] if is_refused else [])
