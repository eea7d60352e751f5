"""States, countries and postal codes of a file: what they become, what they are refused for, and what they change."""

import json
from datetime import timedelta

import asyncpg
import pytest

from outdial.campaigns.importing.preview import preview
from outdial.campaigns.importing.refusals import Refusal
from outdial.db.session import Database
from outdial.domain.location import KEYS_VERSION
from tests.support.factories import NOW, Campaign, create_campaign, create_contact
from tests.support.importing import refusals_of, rows_of, run

CENTRAL, EASTERN, MOUNTAIN, PACIFIC = "America/Chicago", "America/New_York", "America/Denver", "America/Los_Angeles"
PLACE = "country", "region", "postal_code", "zone_key", "zone_source", "jurisdiction_key", "keys_version"


async def places_of(connection: asyncpg.Connection, campaign: Campaign) -> list[tuple[object, ...]]:
    return [tuple(row[column] for column in PLACE) for row in await rows_of(connection, campaign)]


async def test_a_row_states_where_the_contact_is_and_the_entry_in_the_campaign_follows(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    report = await run(
        api,
        campaign,
        "phone,State,ZIP,Country,city\n"
        "+15125550101,Texas,,USA,Austin\n"
        "+14235550102,,,,Bristol\n"
        "+14155550103,ny,10001,,New York\n"
        "+18005550104,,2139,,Cambridge\n"
        "+442079460105,Greater London,SW1A 1AA,England,London\n"
        "+14165550106,Ontario,m5v 3l9,CANADA,Toronto\n",
    )
    assert refusals_of(report) == []
    assert await places_of(connection, campaign) == [
        ("US", "TX", None, CENTRAL, "region", "US-TX", KEYS_VERSION),
        (None, None, None, f"{CENTRAL}|{EASTERN}", "number", "US-TN", KEYS_VERSION),
        (None, "NY", "10001", f"{PACIFIC}|{EASTERN}", "conflict", "US-NY", KEYS_VERSION),
        (None, None, "02139", EASTERN, "postal_code", "US-MA", KEYS_VERSION),
        ("GB", None, "SW1A 1AA", "Europe/London", "number", "GB", KEYS_VERSION),
        ("CA", "ON", "M5V 3L9", "America/Toronto", "region", "CA-ON", KEYS_VERSION),
    ]
    entries = await connection.fetch(
        "select cc.zone_key = k.zone_key and cc.jurisdiction_key = k.jurisdiction_key and k.jurisdiction_key <> ''"
        " from campaign_contacts cc join contacts k on k.id = cc.contact_id"
    )
    assert [row[0] for row in entries] == [True] * 6
    # Prompts that name the columns of the file keep working.
    variables = json.loads((await rows_of(connection, campaign))[0]["variables"])
    assert variables == {"State": "Texas", "Country": "USA", "city": "Austin"}


async def test_a_row_whose_place_cannot_be_read_is_refused_with_its_line_and_reason(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    report = await run(
        api,
        campaign,
        "phone,state,zip,country\n"
        "+15125550101,Tejas,,\n"
        "+15125550102,,7870,\n"
        "+15125550103,,00000,\n"
        "+15125550104,,,Texas\n"
        "+15125550105,ON,,US\n"
        "+18005550106,,,US\n"
        "+15125550107,TX,78701,US\n",
    )
    assert refusals_of(report) == [
        (2, "Tejas", Refusal.BAD_PLACE, "'Tejas' is not a state or province; write TX or ON"),
        (4, "00000", Refusal.BAD_PLACE, "no state has ZIP codes that begin with 000 ('00000')"),
        (5, "Texas", Refusal.BAD_PLACE, "'Texas' is not a country; write a code such as US"),
        (
            6, "ON", Refusal.BAD_PLACE,
            "'ON' is not a state of the United States; write a code such as TX",
        ),
        (
            7, "+18005550106", Refusal.NO_TIME_ZONE,
            "the number does not say in which state the contact is; give its state, postal code or time zone",
        ),
    ]  # fmt: skip
    # 07870 is in New Jersey: with the number of Texas, both hold.
    assert [row["jurisdiction_key"] for row in await rows_of(connection, campaign)] == ["US-NJ", "US-TX"]


@pytest.mark.parametrize(
    ("header", "field"),
    [
        (header, "region")
        for header in ("state", "Region", "PROVINCE", "State/Province", "State or Province", "Address 1 - Region")
    ]
    + [
        (header, "postal_code")
        for header in ("zip", "ZIP Code", "zipcode", "Postal Code", "postcode", "Address 1 - Postal Code")
    ]
    + [(header, "country") for header in ("country", "Country Name", "Address 1 - Country")],
)
async def test_columns_of_the_place_are_recognized(
    api: Database, campaign: Campaign, connection: asyncpg.Connection, header: str, field: str
) -> None:
    cell, stored = {"region": ("texas", "TX"), "postal_code": ("78701", "78701"), "country": ("usa", "US")}[field]
    await run(api, campaign, f"phone,{header}\n+15125550101,{cell}\n")
    (row,) = await rows_of(connection, campaign)
    assert row[field] == stored


async def test_a_calling_code_that_names_a_country_states_it(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    await run(
        api,
        campaign,
        "phone,country_code\n5125550101,US\n2079460102,44\n2079460103,GB\n+18005550104,CA\n",
        chunk_rows=1,
    )
    rows = [(row["phone"], row["country"]) for row in await rows_of(connection, campaign)]
    # Canada has several provinces, so that a toll-free number there needs more than the country.
    assert rows == [("+15125550101", "US"), ("+442079460102", None), ("+442079460103", "GB")]


async def test_a_number_without_a_country_code_is_of_the_country_of_its_row(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    """With the region of the import, the first would be a number of New Jersey."""
    report = await run(
        api, campaign, "phone,country\n5512345678,Mexico\n030 23125136,Germany\n5125550103,-\n5125550104,Atlantis\n"
    )
    rows = [(row["phone"], row["country"]) for row in await rows_of(connection, campaign)]
    assert rows == [("+525512345678", "MX"), ("+493023125136", "DE"), ("+15125550103", None)]
    assert [row.kind for row in report.first_refused] == [Refusal.BAD_PLACE]


async def test_a_column_that_only_looks_like_a_place_can_be_left_out(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    text = "phone,region\n+15125550101,Midwest\n"
    assert (await run(api, campaign, text)).refused == {Refusal.BAD_PLACE: 1}

    assert (await run(api, campaign, text, mapping={"region": ""})).added == 1
    (row,) = await rows_of(connection, campaign)
    assert (row["region"], json.loads(row["variables"])) == (None, {"region": "Midwest"})
    shown = preview(text.encode(), is_whole=True, mapping={"region": ""}, default_region="US", now=NOW)
    assert (shown.mapping, len(shown.contacts)) == ({"phone": "phone", "region": ""}, 1)


async def test_what_is_known_about_a_place_counts_where_the_file_says_nothing(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    organization_id = campaign.tenant.organization_id
    for phone, columns in {
        "+14155550101": {"region": "TX", "zone_key": CENTRAL, "zone_source": "region", "jurisdiction_key": "US-TX"},
        "+14155550102": {"region": "TX", "zone_key": CENTRAL, "keys_version": 1},
        "+14155550103": {"timezone": MOUNTAIN, "zone_key": MOUNTAIN, "zone_source": "contact"},
        "+14155550104": {"country": "CA", "zone_key": PACIFIC},
    }.items():
        await create_contact(connection, organization_id, phone=phone, **columns)
    await connection.execute("update contacts set jurisdiction_key = 'US-CA' where jurisdiction_key = ''")

    await run(
        api,
        campaign,
        "phone,zip,state\n+14155550101,,\n+14155550102,,\n+14155550103,78701,\n+14155550104,,TX\n+14155550105,,\n",
    )

    assert await places_of(connection, campaign) == [
        # Kept: the file says nothing, and the keys are current.
        (None, "TX", None, CENTRAL, "region", "US-TX", KEYS_VERSION),
        # An older version wrote these keys.
        (None, "TX", None, f"{CENTRAL}|{MOUNTAIN}|{PACIFIC}", "conflict", "US-TX", KEYS_VERSION),
        # The known time zone counts beside the new postal code.
        (None, None, "78701", MOUNTAIN, "contact", "US-TX", KEYS_VERSION),
        # Texas is not in Canada: the strictest law, and every zone that either may mean.
        ("CA", "TX", None, f"{CENTRAL}|{MOUNTAIN}|{PACIFIC}", "conflict", "US-ZZ", KEYS_VERSION),
        (None, None, None, PACIFIC, "number", "US-CA", KEYS_VERSION),
    ]
    keys = "select zone_key, jurisdiction_key from {} order by phone"
    assert await connection.fetch(keys.format("contacts")) == await connection.fetch(keys.format("campaign_contacts"))


async def test_a_corrected_state_applies_in_earlier_campaigns(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    later = await create_campaign(connection, campaign.tenant, created_at=NOW + timedelta(days=1))
    await run(api, campaign, "phone\n+14155550101\n")
    await run(api, later, "phone,state\n+14155550101,OR\n")

    entries = await connection.fetch("select zone_key, jurisdiction_key from campaign_contacts")
    assert [tuple(row) for row in entries] == [(f"{MOUNTAIN}|{PACIFIC}", "US-OR")] * 2
