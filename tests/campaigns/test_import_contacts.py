"""Good rows of a file go into the campaign, and each other row is reported with its line and the reason."""

import asyncio
import io
import json
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from outdial.campaigns.errors import CampaignClosed, CampaignNotFound, UnknownRegion, UnusableFile
from outdial.campaigns.importing.contact_rows import NewContact
from outdial.campaigns.importing.contact_store import ContactStore
from outdial.campaigns.importing.import_file import ImportProgress, ImportReport, import_contacts
from outdial.campaigns.importing.refusals import Refusal, RefusedRow
from outdial.campaigns.lifecycle import Actor
from outdial.clock import VirtualClock
from outdial.db.session import Connection, Database
from outdial.domain.campaign import OPEN_TO_IMPORT, CampaignStatus
from outdial.domain.contact_fields import CONTACT_FIELD_NAMES
from outdial.domain.ids import new_id
from tests.support.factories import (
    NOW,
    Campaign,
    create_campaign,
    create_contact,
    create_member,
    create_tenant,
    insert,
)
from tests.support.postgres import Scratch

PLACELESS = "toll-free and other special numbers have no time zone; set one for the contact"
Transaction = Callable[[], AbstractAsyncContextManager[Connection]]


@pytest.fixture
async def api(database: Scratch) -> AsyncIterator[Database]:
    async with await Database.connect(database.dsn_for("outdial_api"), application_name="test") as opened:
        yield opened


@pytest.fixture
async def campaign(connection: asyncpg.Connection) -> Campaign:
    return await create_campaign(connection, await create_tenant(connection), status="draft", next_batch_at=None)


async def run(api: Database, campaign: Campaign, text: str, **options: Any) -> ImportReport:
    arguments: dict[str, Any] = {
        "transaction": api.as_service,
        "actor": Actor(),
        "clock": VirtualClock(NOW),
        "default_region": "US",
    } | options
    return await import_contacts(io.BytesIO(text.encode()), campaign.id, **arguments)


async def rows_of(connection: asyncpg.Connection, campaign: Campaign) -> list[asyncpg.Record]:
    return await connection.fetch(
        """
        select k.*, cc.status, cc.zone_key as campaign_zone_key, cc.next_attempt_at, cc.variables::text as variables
        from campaign_contacts cc join contacts k on k.id = cc.contact_id and k.phone = cc.phone
        where cc.campaign_id = $1 order by cc.id
        """,
        campaign.id,
    )


async def phones_of(connection: asyncpg.Connection, campaign: Campaign) -> list[str]:
    return [row["phone"] for row in await rows_of(connection, campaign)]


def told(report: ImportReport) -> list[tuple[int, str, Refusal, str]]:
    return [(row.line, row.value, row.kind, row.reason) for row in report.first_refused]


def phone(number: int) -> str:
    return f"+1415555{number:04}"


def claims(user_id: UUID) -> Mapping[str, object]:
    return {"role": "authenticated", "sub": str(user_id)}


def as_user(api: Database, user_id: UUID) -> Transaction:
    return lambda: api.as_caller("authenticated", claims(user_id))


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
    assert told(report) == [
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
    assert told(report) == [
        (3, "call me", Refusal.BAD_PHONE, "holds letters ('call me'); leave only the number in the cell"),
        (5, phone(2), Refusal.NO_TIME_ZONE, "'Mars/Olympus' is not a time zone; use an IANA name"),
        (6, "+80012345678", Refusal.NO_TIME_ZONE, PLACELESS),
        (8, "415-555-0001", Refusal.DUPLICATE, "has the same number as line 2"),
        (9, phone(9), Refusal.DO_NOT_CALL, "is on the do-not-call list"),
        (10, f"{phone(3)},,x", Refusal.WRONG_COLUMNS, "has 3 columns, the header has 2"),
    ]
    assert tuple(seen) == report.first_refused
    assert report.refused == {
        Refusal.BAD_PHONE: 1,
        Refusal.NO_TIME_ZONE: 2,
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


async def test_importing_a_file_again_changes_nothing(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    text = f"phone,name\n{phone(1)},Ada\n{phone(2)},Bob\n"
    await run(api, campaign, text)
    before = await rows_of(connection, campaign)
    report = await run(api, campaign, text + f"{phone(3)},Cy\n")
    assert (report.added, report.already_there, report.refused_rows) == (1, 2, 0)
    assert (await rows_of(connection, campaign))[:2] == before


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
    assert [(line, kind) for line, _, kind, _ in told(report)] == [
        (2, Refusal.DATABASE),
        (3, Refusal.DATABASE),
        (5, Refusal.DUPLICATE),
        (6, Refusal.DUPLICATE),
    ]
    assert {reason for *_, kind, reason in told(report) if kind is Refusal.DUPLICATE} == {
        "has the same number as line 4"
    }


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


@pytest.mark.parametrize("status", sorted(set(CampaignStatus) - OPEN_TO_IMPORT))
async def test_a_campaign_that_has_ended_takes_no_contacts(
    api: Database, campaign: Campaign, connection: asyncpg.Connection, status: str
) -> None:
    ended = await create_campaign(connection, campaign.tenant, status=status)
    with pytest.raises(CampaignClosed, match=f"^the campaign is {status} and accepts no more contacts$"):
        await run(api, ended, f"phone\n{phone(1)}\n")
    assert await connection.fetchval("select count(*) from contacts") == 0


async def test_a_campaign_that_is_cancelled_meanwhile_keeps_what_had_gone_in(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    opened = 0

    @asynccontextmanager
    async def transaction() -> AsyncIterator[Connection]:
        nonlocal opened
        opened += 1
        if opened == 4:
            await connection.execute("update campaigns set status = 'cancelling', next_batch_at = $1", NOW)
        async with api.as_service() as held:
            yield held

    with pytest.raises(CampaignClosed, match="cancelling and accepts no more contacts; 6 were added before") as caught:
        await run(api, campaign, "\n".join(["phone", *map(phone, range(20))]), chunk_rows=3, transaction=transaction)
    assert (caught.value.status, caught.value.added) == ("cancelling", 6)
    told_of = json.loads(await connection.fetchval("select details::text from audit_log"))
    assert told_of == {"added": 6, "already_there": 0, "refused": 0, "stopped": True}
    assert len(await phones_of(connection, campaign)) == 6


async def test_a_running_campaign_is_woken_and_no_other(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    heard: list[str] = []
    await connection.add_listener("outdial_campaigns", lambda *told: heard.append(str(told[-1])))
    later = NOW + timedelta(hours=1)
    active = await create_campaign(connection, campaign.tenant, status="active", next_batch_at=later)
    paused = await create_campaign(connection, campaign.tenant, status="paused", next_batch_at=later)
    for each in (campaign, paused, active, active):
        await run(api, each, f"phone\n{phone(1)}\n")
    moments = await connection.fetch("select id, next_batch_at from campaigns")
    assert {row["id"]: row["next_batch_at"] for row in moments} == {campaign.id: None, paused.id: later, active.id: NOW}
    assert heard == [str(active.id)]


async def test_operators_import_and_viewers_and_strangers_do_not(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    organization_id = campaign.tenant.organization_id
    other = await create_tenant(connection, credential="other")
    await connection.execute("update campaigns set status = 'active', next_batch_at = $1", NOW + timedelta(hours=1))
    text = f"phone,name,plan\n{phone(1)},Ada,gold\n"
    for outsider in (
        await create_member(connection, organization_id, "viewer"),
        await create_member(connection, other.organization_id, "owner"),
    ):
        with pytest.raises(CampaignNotFound):
            await run(api, campaign, text, transaction=as_user(api, outsider))
    assert await connection.fetchval("select count(*) from contacts") == 0
    operator = await create_member(connection, organization_id, "operator")
    for added in (1, 0):
        report = await run(api, campaign, text, transaction=as_user(api, operator), actor=Actor(operator))
        assert (report.added, report.already_there) == (added, 1 - added)
    assert await connection.fetchval("select next_batch_at from campaigns") == NOW


def new_contacts(numbers: Iterable[int]) -> list[NewContact]:
    return [
        NewContact(
            line=number,
            written="",
            phone=phone(number),
            details=dict.fromkeys(CONTACT_FIELD_NAMES),
            zone_key="America/New_York",
            zone_source="number",
            variables="{}",
            cells=(),
        )
        for number in numbers
    ]


async def test_imports_of_the_same_people_at_once_wait_for_each_other(
    api: Database, campaign: Campaign, connection: asyncpg.Connection
) -> None:
    await connection.execute("update campaigns set status = 'active', next_batch_at = $1", NOW + timedelta(hours=1))
    store = ContactStore(api.as_service, campaign.id, VirtualClock(NOW))
    await asyncio.gather(store.check(), store.check())
    numbers = range(2_000)
    stored = await asyncio.gather(store.store(new_contacts(numbers)), store.store(new_contacts(reversed(numbers))))
    assert sorted(each.added for each in stored) == [0, 2_000]
    assert sorted(each.already_there for each in stored) == [0, 2_000]


class Watched(io.BytesIO):
    """A file that counts the reads after it was closed."""

    reads_after_close = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads_after_close += self.closed
        return super().read(size)


async def test_a_cancelled_import_has_let_go_of_the_file(api: Database, campaign: Campaign) -> None:
    lines = [f"{phone(n)},{'x' * 5_000}" for n in range(3_000)]
    file = Watched("\n".join(["phone,notes", *lines]).encode())
    stored = asyncio.Event()
    importing = asyncio.ensure_future(
        import_contacts(
            file,
            campaign.id,
            api.as_service,
            actor=Actor(),
            clock=VirtualClock(NOW),
            default_region="US",
            on_progress=lambda _: stored.set(),
            chunk_rows=200,
        )
    )
    await stored.wait()
    importing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await importing
    file.close()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert file.reads_after_close == 0


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
