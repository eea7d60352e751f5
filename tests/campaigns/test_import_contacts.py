"""Good rows of a file go into the campaign, and each other row is reported with its line and the reason."""

import io
import json
import random
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from outdial.campaigns.errors import CampaignNotFound, UnknownRegion, UnusableFile
from outdial.campaigns.importing.import_file import ImportProgress, import_contacts
from outdial.campaigns.importing.refusals import Refusal, RefusedRow
from outdial.campaigns.lifecycle import Actor
from outdial.clock import VirtualClock
from outdial.db.session import Database
from outdial.domain.ids import new_id
from tests.support.factories import (
    NOW,
    Campaign,
    create_contact,
    create_member,
    insert,
)
from tests.support.importing import as_user, phone, phones_of, refusals_of, rows_of, run

PLACELESS = "toll-free and other special numbers have no time zone; give the contact's country or time zone"


async def test_a_row_becomes_a_contact_of_the_campaign_with_its_variables(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    report = await run(
        api,
        campaign,
        "Phone;First Name;Last Name;E-Mail;Company;Notes;External ID;Timezone;Plan;Due-Date\n"
        '(415) 555-2671; Ada ;Lovelace;ada@example.com;Engines;"two\nlines";C-1;Europe/London;gold;\n'
        "020 7946 0000;;;;;;;;;\n"
        "+44 20 7946 0000;;;;;;;;;tomorrow\n",
    )
    ada, nobody = await rows_of(connection, campaign)
    assert dict(ada) | {
        "phone": "+14155552671",
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "company": "Engines",
        "notes": "two\nlines",
        "external_id": "C-1",
        "timezone": "Europe/London",
        "zone_key": "Europe/London",
        "zone_source": "contact",
        "campaign_zone_key": "Europe/London",
        "status": "pending",
        "next_attempt_at": NOW,
        "created_at": NOW,
    } == dict(ada)
    assert json.loads(ada["variables"]) == {"First Name": "Ada", "Last Name": "Lovelace", "Plan": "gold"}
    assert dict(nobody) | {"phone": "+442079460000", "name": None, "zone_source": "number"} == dict(nobody)
    assert json.loads(nobody["variables"]) == {"Due-Date": "tomorrow"}
    assert (report.added, report.rows, report.variables) == (2, 3, ("First Name", "Last Name", "Plan", "Due-Date"))
    assert refusals_of(report) == [
        (4, "020 7946 0000", Refusal.BAD_PHONE, "has too many digits for US"),
    ]


async def test_each_refused_row_is_reported_with_its_line_and_reason_while_the_good_ones_go_in(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    await insert(
        connection,
        "do_not_call",
        organization_id=campaign.tenant.organization_id,
        phone=phone(9),
        source="manual",
        created_at=NOW,
    )
    seen: list[RefusedRow] = []
    report = await run(
        api,
        campaign,
        f"phone,timezone\n{phone(1)},\ncall me,\n\n{phone(2)},Mars/Olympus\n+80012345678,\n+80012345678,UTC\n"
        f"415-555-0001,\n{phone(9)},\n{phone(3)},,x\n{phone(2)},\n",
        on_refused=seen.append,
    )
    assert await phones_of(connection, campaign) == [phone(1), "+80012345678", phone(2)]
    assert refusals_of(report) == [
        (3, "call me", Refusal.BAD_PHONE, "holds letters ('call me'); leave only the number in the cell"),
        (5, "Mars/Olympus", Refusal.UNKNOWN_TIME_ZONE, "'Mars/Olympus' is not a time zone; use an IANA name"),
        (6, "+80012345678", Refusal.NO_TIME_ZONE, PLACELESS),
        (8, "415-555-0001", Refusal.DUPLICATE, "has the same number as line 2"),
        (9, phone(9), Refusal.DO_NOT_CALL, "is on the do-not-call list"),
        (10, f"{phone(3)},,x", Refusal.WRONG_COLUMNS, "has 3 columns, the header has 2"),
    ]
    assert tuple(seen) == report.first_refused
    assert report.refused == {
        Refusal.BAD_PHONE: 1,
        Refusal.UNKNOWN_TIME_ZONE: 1,
        Refusal.NO_TIME_ZONE: 1,
        Refusal.DUPLICATE: 1,
        Refusal.DO_NOT_CALL: 1,
        Refusal.WRONG_COLUMNS: 1,
    }
    assert (report.rows, report.added, report.refused_rows, report.blank) == (9, 3, 6, 1)


async def test_a_refused_row_comes_back_whole(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    await insert(
        connection,
        "do_not_call",
        organization_id=campaign.tenant.organization_id,
        phone=phone(9),
        source="manual",
        created_at=NOW,
    )
    await connection.execute("alter table contacts add constraint no_odd_names check (name <> 'odd')")
    rows = [
        [phone(1), "Ada", "Rome"],
        ["call me", "Bob", "Oslo"],
        [phone(1), "Twin", "Bonn"],
        [phone(9), "Cy", ""],
        [phone(2), "odd", "Kyiv"],
    ]
    headers: list[Sequence[str]] = []
    seen: list[RefusedRow] = []
    text = "phone,name,city\n" + "\n".join(map(",".join, rows))
    await run(api, campaign, text, on_header=headers.append, on_refused=seen.append)
    assert headers == [["phone", "name", "city"]]
    assert [list(row.cells) for row in seen] == rows[1:]


async def test_a_known_contact_keeps_what_the_file_leaves_empty(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    await create_contact(
        connection,
        campaign.tenant.organization_id,
        phone=phone(1),
        name="Ada",
        company="Engines",
        timezone="Asia/Tokyo",
        zone_key="Asia/Tokyo",
        zone_source="contact",
    )
    await run(api, campaign, f"phone,name,company\n{phone(1)},Countess,\n")
    (row,) = await rows_of(connection, campaign)
    assert (row["name"], row["company"]) == ("Countess", "Engines")
    assert (row["zone_key"], row["zone_source"], row["campaign_zone_key"]) == ("Asia/Tokyo", "contact", "Asia/Tokyo")


@pytest.mark.parametrize("odd", [{5}, {0}, {19}, {2, 3, 17}, set(range(20))])
async def test_a_row_that_the_database_refuses_is_reported_and_the_others_go_in(
    api: Database, campaign: Campaign, connection: asyncpg.Connection, odd: set[int]
) -> None:
    await connection.execute("alter table contacts add constraint no_odd_names check (name <> 'odd')")
    lines = [f"{phone(n)},{'odd' if n in odd else 'fine'}" for n in range(20)]
    report = await run(api, campaign, "\n".join(["phone,name", *lines]), chunk_rows=8)
    assert await phones_of(connection, campaign) == [phone(n) for n in range(20) if n not in odd]
    assert [(row.line, row.value, row.kind) for row in report.first_refused] == [
        (n + 2, phone(n), Refusal.DATABASE) for n in sorted(odd)
    ]
    assert all("no_odd_names" in row.reason for row in report.first_refused)
    assert report.added == 20 - len(odd)


@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
async def test_a_row_that_the_database_refuses_leaves_its_number_to_a_later_one(
    api: Database, campaign: Campaign, connection: asyncpg.Connection, chunk_rows: int
) -> None:
    await connection.execute("alter table contacts add constraint no_odd_names check (name <> 'odd')")
    names = ["odd", "odd", "Ada", "Eva", "odd"]
    lines = [f"{phone(1)},{name}" for name in names]
    report = await run(api, campaign, "\n".join(["phone,name", *lines]), chunk_rows=chunk_rows)
    assert [row["name"] for row in await rows_of(connection, campaign)] == ["Ada"]
    assert [(line, kind) for line, _, kind, _ in refusals_of(report)] == [
        (2, Refusal.DATABASE),
        (3, Refusal.DATABASE),
        (5, Refusal.DUPLICATE),
        (6, Refusal.DUPLICATE),
    ]
    assert {reason for *_, kind, reason in refusals_of(report) if kind is Refusal.DUPLICATE} == {
        "has the same number as line 4"
    }


async def test_an_import_is_one_entry_of_the_audit_log_in_the_name_of_whoever_imports(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    operator = await create_member(connection, campaign.tenant.organization_id, "operator")
    text = "\n".join(["phone", *map(phone, range(5)), "nobody"])
    await run(api, campaign, text, chunk_rows=2, transaction=as_user(api, operator), actor=Actor(operator))
    (entry,) = await connection.fetch("select *, details::text as told from audit_log")
    assert (entry["actor"], entry["action"], entry["subject_id"]) == (
        str(operator),
        "import_contacts",
        str(campaign.id),
    )
    assert json.loads(entry["told"]) == {"added": 5, "already_there": 0, "refused": 1}


async def test_duplicates_name_the_first_line_across_chunks(api: Database, campaign: Campaign) -> None:
    lines = [phone(n % 50) for n in range(120)]
    report = await run(api, campaign, "\n".join(["phone", *lines]), chunk_rows=7)
    assert report.added == 50
    assert [(row.line, row.reason) for row in report.first_refused] == [
        (n + 2, f"has the same number as line {n % 50 + 2}") for n in range(50, 120)
    ]


async def test_every_row_of_any_mixture_is_accounted_for_once(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    seed = 20260310
    dice = random.Random(seed)
    kinds = [
        "{p}",
        "{p},",
        "nobody",
        '"{p}',
        "{p},a,b",
        '{p},"a\nb"',
        "",
        "{p},x\x00",
        '{p},"x"y',
        "0{p}",
        "{p},\ud8ff",
    ]
    text = "phone,note\n" + "\n".join(dice.choice(kinds).format(p=phone(dice.randrange(90))) for _ in range(400))
    file = io.BytesIO(text.encode(errors="surrogatepass"))
    seen: list[RefusedRow] = []
    options: dict[str, Any] = {"actor": Actor(), "clock": VirtualClock(NOW), "default_region": None, "chunk_rows": 23}
    report = await import_contacts(file, campaign.id, api.as_service, on_refused=seen.append, **options)
    assert report.added == len(await phones_of(connection, campaign)) > 0
    assert len({row.line for row in seen}) == len(seen) == report.refused_rows == sum(report.refused.values())
    assert [row.line for row in seen] == sorted(row.line for row in seen)
    file.seek(0)
    again = await import_contacts(file, campaign.id, api.as_service, **options)
    assert (again.added, again.already_there, again.rows) == (0, report.added, report.rows)
    assert again.refused == report.refused


async def test_progress_ends_with_the_whole_file(api: Database, campaign: Campaign) -> None:
    text = "\n".join(["phone", *map(phone, range(10)), "nobody", phone(1)])
    seen: list[ImportProgress] = []
    await run(api, campaign, text, chunk_rows=5, on_progress=seen.append)
    assert [progress.rows for progress in seen] == [5, 10, 12]
    assert seen[-1] == ImportProgress(added=10, already_there=0, refused=2, bytes_read=len(text))


async def test_a_report_holds_the_first_thousand_refusals_and_counts_them_all(
    api: Database, campaign: Campaign
) -> None:
    report = await run(api, campaign, "phone\n" + "nobody\n" * 1_500)
    assert [row.line for row in report.first_refused] == list(range(2, 1_002))
    assert report.refused == {Refusal.BAD_PHONE: 1_500}


async def test_the_file_stays_open_for_its_owner(api: Database, campaign: Campaign) -> None:
    file = io.BytesIO(b"phone\n+14155552671\n")
    await import_contacts(
        file, campaign.id, api.as_service, actor=Actor(), clock=VirtualClock(NOW), default_region=None
    )
    assert not file.closed


async def test_nothing_is_stored_of_a_file_that_cannot_be_used(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    with pytest.raises(UnusableFile, match="no phone column"):
        await run(api, campaign, f"name\n{phone(1)}\n")
    with pytest.raises(UnknownRegion, match="unknown default region UK"):
        await run(api, campaign, f"phone\n{phone(1)}\n", default_region="UK")
    unknown = Campaign(new_id(NOW), campaign.tenant)
    with pytest.raises(CampaignNotFound, match=str(unknown.id)):
        await run(api, unknown, f"phone\n{phone(1)}\n")
    assert await connection.fetchval("select count(*) from contacts") == 0


async def test_a_mapping_names_columns_that_are_called_otherwise(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    await run(
        api,
        campaign,
        "Handy\tWer\n0151 23456789\tAda\n",
        default_region="de",
        mapping={"phone": "handy", "name": "Wer"},
    )
    (row,) = await rows_of(connection, campaign)
    assert (row["phone"], row["name"], row["variables"]) == ("+4915123456789", "Ada", "{}")
