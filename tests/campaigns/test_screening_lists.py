"""Screening lists are read block by block, stored in short transactions, and count once they are complete."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from outdial.campaigns.errors import InvalidScreeningList, UnknownRegion, UnusableFile
from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.permission import screening_lists
from outdial.campaigns.permission.number_files import NumberFile
from outdial.campaigns.permission.screening_lists import (
    NewScreeningList,
    UploadedList,
    remove_screening_list,
    upload_screening_list,
)
from outdial.clock import VirtualClock
from outdial.db.session import Connection, Database
from outdial.domain.purpose import ListKind
from tests.support.factories import NOW, Tenant, create_campaign, create_member, create_tenant

TODAY = NOW.date()


@pytest.fixture
async def tenant(connection: asyncpg.Connection) -> Tenant:
    return await create_tenant(connection)


def new_list(kind: str = "national", **fields: Any) -> NewScreeningList:
    """Return a list of today."""
    defaults = {"jurisdiction": None, "registry_date": TODAY, "file_name": "numbers.csv", "default_region": None}
    return NewScreeningList(kind=ListKind(kind), **(defaults | fields))


async def blocks_of(content: bytes, sizes: Sequence[int] = (1 << 16,)) -> AsyncIterator[bytes]:
    """Yield `content` in blocks of the given sizes, again and again."""
    at = 0
    while at < len(content):
        for size in sizes:
            yield content[at : at + size]
            at += size


async def upload(api: Database, tenant: Tenant, content: bytes, new: NewScreeningList, **options: Any) -> UploadedList:
    """Upload a list as service_role."""
    arguments: dict[str, Any] = {"blocks": blocks_of(content), "transaction": api.as_service} | options
    return await upload_screening_list(
        new=new, organization_id=tenant.organization_id, actor=Actor(), clock=VirtualClock(NOW), **arguments
    )


async def statuses(connection: asyncpg.Connection) -> list[tuple[str, int]]:
    """Return the status and size of each list, oldest first."""
    rows = await connection.fetch("select status, numbers from screening_lists order by id")
    return [(row["status"], row["numbers"]) for row in rows]


async def numbers(connection: asyncpg.Connection) -> set[str]:
    """Return the numbers of the lists in force."""
    rows = await connection.fetch(
        "select n.phone from screened_numbers n join screening_lists l on l.id = n.list_id where l.status = 'current'"
    )
    return {row["phone"] for row in rows}


@pytest.mark.parametrize(
    "content",
    [
        b"+12125550101\n+12125550102\n",
        b"2125550101\n(212) 555-0102",
        b"\xef\xbb\xbfphone\r\n212-555-0101\r\n\r\n1 212 555 0102\r\n",
        b"name;Phone\rAda;+12125550101\rBob;2125550102\r",
        b"212,5550101\n212,5550102\n",
        b"area_code,number\n212,5550101\n212,5550102\n",
        b'name,phone\n"Lovelace, Ada",2125550101\n"Bob","212 555 0102"\n',
    ],
    ids=["e164", "national", "header", "semicolons", "registry", "area codes", "quotes"],
)
@pytest.mark.parametrize("sizes", [(1 << 16,), (1,), (3, 7, 2)])
async def test_numbers_are_read_from_lists_of_every_form(content: bytes, sizes: Sequence[int]) -> None:
    file = NumberFile("US")
    read = [file.read(block) async for block in blocks_of(content, sizes)]
    read.append(file.end())

    assert [phone for each in read for phone in each.phones] == ["+12125550101", "+12125550102"]
    assert [bad for each in read for bad in each.refused] == []


async def test_bad_lines_are_reported_by_line_and_good_ones_go_in(
    api: Database, tenant: Tenant, connection: asyncpg.Connection
) -> None:
    content = b"phone\n2125550101\nnonsense\n\n12\n+442079460000\n2125550101\n"
    uploaded = await upload(api, tenant, content, new_list())

    assert (uploaded.numbers, uploaded.refused) == (2, 2)
    assert [(bad.line, bad.value) for bad in uploaded.first_refused] == [(3, "nonsense"), (5, "12")]
    assert "letters" in uploaded.first_refused[0].reason
    assert await numbers(connection) == {"+12125550101", "+442079460000"}
    assert await statuses(connection) == [("current", 2)]
    entry = await connection.fetchrow(
        "select actor, details::text from audit_log where action = 'upload_screening_list'"
    )
    assert entry is not None
    assert '"numbers": 2' in entry["details"]


async def test_a_new_list_replaces_the_one_of_its_kind_and_place_only(
    api: Database, tenant: Tenant, connection: asyncpg.Connection
) -> None:
    for number, new in enumerate(
        (
            new_list(registry_date=TODAY - timedelta(days=3)),
            new_list("state", jurisdiction="us-tx"),
            new_list("state", jurisdiction="US-FL"),
            new_list("litigator", default_region="US"),
            new_list(),
            new_list("state", jurisdiction="US-TX"),
        )
    ):
        await upload(api, tenant, f"212555010{number}\n".encode(), new)

    expected = ["replaced", "replaced", "current", "current", "current", "current"]
    assert [status for status, _ in await statuses(connection)] == expected
    assert await numbers(connection) == {f"+1212555010{number}" for number in range(2, 6)}


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"nonsense\n12\n", b"name,age\nAda,36\n", b"PK\x03\x04...", b"\xff\xfe1\x00"]
)
async def test_a_file_without_a_readable_number_leaves_the_list_before_in_force(
    api: Database, tenant: Tenant, connection: asyncpg.Connection, content: bytes
) -> None:
    await upload(api, tenant, b"2125550101\n", new_list())

    with pytest.raises(UnusableFile):
        await upload(api, tenant, content, new_list())

    assert await statuses(connection) == [("current", 1), ("failed", 0)]
    assert await numbers(connection) == {"+12125550101"}


async def test_an_upload_that_breaks_off_leaves_the_list_before_in_force(
    api: Database, tenant: Tenant, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screening_lists, "BATCH_SIZE", 1)
    await upload(api, tenant, b"2125550101\n", new_list())
    seen = []

    async def breaking_off() -> AsyncIterator[bytes]:
        yield b"2125550102\n2125550103\n"
        seen.append(await statuses(connection))
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await upload(api, tenant, b"", new_list(), blocks=breaking_off())

    assert seen == [[("current", 1), ("loading", 2)]]
    assert await statuses(connection) == [("current", 1), ("failed", 2)]
    assert await numbers(connection) == {"+12125550101"}


async def test_a_large_list_is_stored_in_batches_and_each_number_once(
    api: Database, tenant: Tenant, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screening_lists, "BATCH_SIZE", 500)
    phones = [f"212{number:07}" for number in range(2_000_000, 2_003_000)] * 2
    random.Random(1).shuffle(phones)
    progress: list[tuple[int, int]] = []

    uploaded = await upload(
        api,
        tenant,
        "\n".join(phones).encode(),
        new_list(),
        blocks=blocks_of("\n".join(phones).encode(), (4_096,)),
        on_progress=lambda *each: progress.append(each),
    )

    assert (uploaded.numbers, uploaded.refused) == (3_000, 0)
    assert len(await numbers(connection)) == 3_000
    assert len({stored for stored, _ in progress}) > 3


async def test_of_two_uploads_at_once_one_is_in_force_at_the_end(
    api: Database, tenant: Tenant, connection: asyncpg.Connection
) -> None:
    await asyncio.gather(*(upload(api, tenant, f"212555010{number}\n".encode(), new_list()) for number in range(4)))

    found = [status for status, _ in await statuses(connection)]
    assert sorted(found) == ["current", "replaced", "replaced", "replaced"]


async def test_campaigns_that_wait_for_a_list_are_due_when_it_is_complete(
    api: Database, tenant: Tenant, connection: asyncpg.Connection
) -> None:
    later = NOW + timedelta(hours=1)
    waiting, closed = [
        await create_campaign(connection, tenant, waiting_for=reason, next_batch_at=later)
        for reason in ("screening", "calling_hours")
    ]

    await upload(api, tenant, b"2125550101\n", new_list())

    due = {row["id"] for row in await connection.fetch("select id from campaigns where next_batch_at = $1", NOW)}
    assert due == {waiting.id}
    assert closed.id not in due


@pytest.mark.parametrize(
    ("new", "field", "words"),
    [
        (new_list("state"), "jurisdiction", "give the state of the list, such as US-TX"),
        (new_list("state", jurisdiction="Texas"), "jurisdiction", "'TEXAS' is not a state"),
        (new_list(jurisdiction="US-TX"), "jurisdiction", "'US-TX' is not a country code"),
        (new_list("litigator", jurisdiction="US"), "jurisdiction", "a litigator list has none"),
        (new_list(registry_date=TODAY + timedelta(days=1)), "registry_date", "is in the future"),
        (new_list(registry_date=TODAY - timedelta(days=32)), "registry_date", "more than 31 days ago"),
        (new_list(registry_date=TODAY - timedelta(days=9)), "registry_date", f"in force is newer ({date(2026, 3, 8)})"),
    ],
)
async def test_a_list_that_is_described_wrongly_is_refused_with_the_field(
    api: Database, tenant: Tenant, connection: asyncpg.Connection, new: NewScreeningList, field: str, words: str
) -> None:
    await upload(api, tenant, b"2125550101\n", new_list(registry_date=TODAY - timedelta(days=2)))

    with pytest.raises(InvalidScreeningList) as refused:
        await upload(api, tenant, b"2125550102\n", new)

    assert refused.value.field == field
    assert words in refused.value.reason
    assert await statuses(connection) == [("current", 1)]


async def test_an_unknown_region_is_refused(api: Database, tenant: Tenant) -> None:
    with pytest.raises(UnknownRegion):
        await upload(api, tenant, b"2125550101\n", new_list("litigator", default_region="XX"))


def test_numbers_of_the_north_american_plan_are_read_as_libphonenumber_reads_them() -> None:
    from outdial.domain.phone import Phone, parse_phone

    for written in ("+12125550101", "2125550101", "12125550101", "(212) 555-0101", "1-212-555-0101"):
        file = NumberFile("US")
        parsed = parse_phone(written, "US")
        assert isinstance(parsed, Phone)
        assert [*file.read(written.encode()).phones, *file.end().phones] == [parsed.e164], written
    file = NumberFile("GB")
    assert [*file.read(b"02079460000\n2125550101\n").phones] == ["+442079460000"]


def as_member(api: Database, user_id: UUID) -> AbstractAsyncContextManager[Connection]:
    """Open a transaction of a member."""
    return api.as_caller("authenticated", {"sub": str(user_id), "role": "authenticated"})


async def test_a_list_that_a_member_puts_in_force_or_out_of_force_with_sql_leaves_an_audit_entry(
    api: Database, tenant: Tenant, connection: asyncpg.Connection
) -> None:
    operator = await create_member(connection, tenant.organization_id, "operator")
    list_id = (await upload(api, tenant, b"2125550101\n", new_list())).id
    await connection.execute("update screening_lists set cleared_at = $1, status = 'removed'", NOW)
    columns = "id, organization_id, kind, jurisdiction, registry_date, file_name, created_by, created_at, updated_at"
    async with as_member(api, operator) as acting:
        await acting.execute(
            f"insert into screening_lists ({columns})"  # noqa: S608
            " values (gen_random_uuid(), $1, 'national', 'US', $2, 'typed', $3, $4, $4)",
            tenant.organization_id,
            TODAY,
            operator,
            NOW,
        )
    for status in ("current", "replaced"):
        async with as_member(api, operator) as acting:
            await acting.execute("update screening_lists set status = $1 where id <> $2", status, list_id)

    entries = await connection.fetch(
        "select actor, details::text from audit_log where action = 'change_screening_list_directly' order by id"
    )
    assert {entry["actor"] for entry in entries} == {str(operator)}
    details = [json.loads(entry["details"]) for entry in entries]
    assert [(each["from"], each["to"]) for each in details] == [("loading", "current"), ("current", "replaced")]


async def test_uploads_and_removals_of_a_member_are_audited_once(
    api: Database, tenant: Tenant, connection: asyncpg.Connection
) -> None:
    operator = await create_member(connection, tenant.organization_id, "operator")
    for number in range(2):
        uploaded = await upload_screening_list(
            blocks_of(f"212555010{number}\n".encode()),
            new_list(),
            lambda: as_member(api, operator),
            organization_id=tenant.organization_id,
            actor=Actor(operator),
            clock=VirtualClock(NOW),
        )
    async with as_member(api, operator) as acting:
        await remove_screening_list(acting, tenant.organization_id, uploaded.id, actor=Actor(operator), now=NOW)

    actions = [row["action"] for row in await connection.fetch("select action from audit_log order by id")]
    assert actions == ["upload_screening_list", "upload_screening_list", "remove_screening_list"]
    assert [status for status, _ in await statuses(connection)] == ["replaced", "removed"]


@pytest.mark.parametrize("change", ["numbers = 9", "refused = 9", "completed_at = now()", "cleared_at = now()"])
async def test_the_counts_of_a_list_in_force_are_final(
    api: Database, tenant: Tenant, connection: asyncpg.Connection, change: str
) -> None:
    await upload(api, tenant, b"2125550101\n", new_list())

    with pytest.raises(asyncpg.CheckViolationError, match=r"are final|screening_lists_cleared"):
        await connection.execute(f"update screening_lists set {change}")  # noqa: S608
