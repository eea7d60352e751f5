"""A file may be imported again: nothing is added twice, and what it leaves empty stays."""

import json

import asyncpg

from outdial.db.session import Database
from tests.support.factories import (
    Campaign,
)
from tests.support.importing import phone, rows_of, run


async def test_importing_a_file_again_changes_nothing(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    text = f"phone,name\n{phone(1)},Ada\n{phone(2)},Bob\n"
    await run(api, campaign, text)
    before = await rows_of(connection, campaign)
    report = await run(api, campaign, text + f"{phone(3)},Cy\n")
    assert (report.added, report.already_there, report.refused_rows) == (1, 2, 0)
    assert (await rows_of(connection, campaign))[:2] == before


async def test_a_second_import_refreshes_the_variables_of_those_who_wait(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    await run(api, campaign, f"phone,plan,city\n{phone(1)},gold,Rome\n{phone(2)},gold,Rome\n{phone(3)},gold,Rome\n")
    await connection.execute(
        "update campaign_contacts set status = 'completed' where phone = $1 and campaign_id = $2", phone(2), campaign.id
    )
    report = await run(api, campaign, f"phone,plan,city,age\n{phone(1)},lead,,7\n{phone(2)},lead,,7\n{phone(4)},x,,\n")
    variables = {row["phone"]: json.loads(row["variables"]) for row in await rows_of(connection, campaign)}
    assert variables == {
        phone(1): {"plan": "lead", "city": "Rome", "age": "7"},
        phone(2): {"plan": "gold", "city": "Rome"},
        phone(3): {"plan": "gold", "city": "Rome"},
        phone(4): {"plan": "x"},
    }
    assert (report.added, report.already_there) == (1, 2)


async def test_a_campaign_with_normalised_variables_keeps_their_names(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    await run(api, campaign, f"phone,account_tier\n{phone(1)},gold\n")
    report = await run(api, campaign, f"phone,Account Tier,City\n{phone(1)},lead,Rome\n{phone(2)},tin,\n")
    variables = {row["phone"]: json.loads(row["variables"]) for row in await rows_of(connection, campaign)}
    assert variables == {
        phone(1): {"account_tier": "lead", "City": "Rome"},
        phone(2): {"account_tier": "tin"},
    }
    assert report.variables == ("account_tier", "City")
    assert report.notices == ("column 'Account Tier' is the variable account_tier, as in this campaign",)
