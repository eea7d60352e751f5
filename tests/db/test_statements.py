"""Every named block of SQL is bound, can be prepared, and brings back what its row type says."""

import importlib
import pkgutil
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import datetime, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any, get_args, get_type_hints
from uuid import UUID

import asyncpg
import pytest

import outdial.db
from outdial.db.session import Database
from outdial.db.statements import QUERIES, REGISTRY, Statement
from outdial.domain.campaign import CampaignStatus
from tests.support.factories import NOW, create_calling, create_campaign, create_tenant
from tests.support.postgres import Scratch

for module in pkgutil.iter_modules(outdial.db.__path__, "outdial.db."):
    importlib.import_module(module.name)

# What asyncpg makes of a column; JSON is always read as text.
PYTHON_TYPES: dict[str, type] = {
    "bool": bool,
    "bytea": bytes,
    "float8": float,
    "int2": int,
    "int4": int,
    "int8": int,
    "interval": timedelta,
    "numeric": Decimal,
    "text": str,
    "timestamptz": datetime,
    "uuid": UUID,
}
BLOCK = re.compile(r"^-- name: (\w+)(!?)$\n(-- \w)?", re.MULTILINE)
DOMAIN_TIME = re.compile(
    r"\b(now\s*\(|current_(time|date|timestamp)|localtime|(clock|statement|transaction)_timestamp)"
)


def python_type(attribute: asyncpg.Attribute) -> Any:
    name = attribute.type.name
    return list[PYTHON_TYPES[name[:-2]]] if name.endswith("[]") else PYTHON_TYPES[name]  # type: ignore[misc]


def expected_columns(row: type) -> list[tuple[str, Any]]:
    hints = get_type_hints(row)
    return [(field.name, required(hints[field.name])) for field in fields(row)]


def required(hint: Any) -> Any:
    options = [option for option in get_args(hint) if option is not NoneType]
    return options[0] if NoneType in get_args(hint) else hint


def blocks() -> Iterator[tuple[str, re.Match[str]]]:
    for path in sorted(QUERIES.glob("*.sql")):
        for block in BLOCK.finditer(path.read_text()):
            yield path.name, block


def differences(statement: Statement[Any], described: list[tuple[str, Any]]) -> list[object]:
    if statement.row is None:
        return [column for column in described if column[1] is not NoneType]
    wanted = expected_columns(statement.row)
    if len(wanted) != len(described):
        return [wanted, described]
    return [(w, d) for w, d in zip(wanted, described, strict=True) if w[0] != d[0] or w[1] not in (Any, d[1])]


async def test_every_statement_brings_the_columns_of_its_row_type_in_order(connection: asyncpg.Connection) -> None:
    found = {}
    for name, statement in REGISTRY.items():
        prepared = await connection.prepare(statement.sql)
        void = [a for a in prepared.get_attributes() if a.type.name == "void"]
        described = [(a.name, NoneType if a in void else python_type(a)) for a in prepared.get_attributes()]
        if wrong := differences(statement, described):
            found[name] = wrong

    assert found == {}


async def test_every_parameter_has_a_type_that_python_values_fit(connection: asyncpg.Connection) -> None:
    found = {}
    for name, statement in REGISTRY.items():
        prepared = await connection.prepare(statement.sql)
        types = dict(zip(statement.parameters, (t.name for t in prepared.get_parameters()), strict=True))
        if odd := {p: t for p, t in types.items() if t.removesuffix("[]") not in PYTHON_TYPES}:
            found[name] = odd

    assert found == {}


async def test_the_comparison_notices_a_wrong_name_type_and_order(connection: asyncpg.Connection) -> None:
    statement = REGISTRY["settle_placed"]
    prepared = await connection.prepare(
        "select 1 as id, 'x'::text as name, array[now()] as moments, null::numeric as n"
    )
    described = [(a.name, python_type(a)) for a in prepared.get_attributes()]

    assert described == [("id", int), ("name", str), ("moments", list[datetime]), ("n", Decimal)]
    assert differences(statement, described) != []
    assert differences(statement, [("call_id", UUID)]) == [(("id", Any), ("call_id", UUID))]
    assert differences(REGISTRY["count_contacts"], [("status", str), ("contacts", str), ("attempts", int)]) != []


def test_every_named_block_is_bound_once_and_nothing_else_is() -> None:
    names = [block[1] for _, block in blocks()]

    assert sorted(names) == sorted(REGISTRY)
    assert sum(path.read_text().count("-- name:") for path in QUERIES.glob("*.sql")) == len(names)


def test_every_named_block_says_what_it_does_and_marks_one_that_brings_no_rows() -> None:
    assert [(file, block[1]) for file, block in blocks() if block[3] is None] == []
    for _, block in blocks():
        returns = REGISTRY[block[1]].row is not None or block[1].startswith("notify_")
        assert returns == (block[2] != "!"), block[1]


@pytest.mark.parametrize("path", sorted(QUERIES.glob("*.sql")), ids=lambda path: path.stem)
def test_no_query_reads_the_clock_of_the_database(path: Any) -> None:
    code = re.sub(r"--.*", "", path.read_text())

    assert [match[0] for match in DOMAIN_TIME.finditer(code)] == []


async def test_a_statement_refuses_a_wrong_number_of_arguments_and_a_missing_name(
    connection: asyncpg.Connection,
) -> None:
    statement = REGISTRY["campaign_status"]

    with pytest.raises(TypeError, match=r"campaign_status takes \('campaign_id',\)"):
        await statement.all(connection)
    with pytest.raises(KeyError):
        await statement.all(connection, campaign=1)


async def test_a_row_that_must_be_there_and_is_not_is_an_error(connection: asyncpg.Connection) -> None:
    nobody = UUID(int=0)

    assert await REGISTRY["campaign_status"].maybe(connection, campaign_id=nobody) is None
    with pytest.raises(LookupError, match="campaign_status returned no row"):
        await REGISTRY["campaign_status"].one(connection, campaign_id=nobody)


# What the dialer may look up over all organizations, before it declares one.


async def test_campaigns_that_are_due_come_once_each_the_longest_due_first_and_with_them_those_that_are_named(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    one, other = [await create_tenant(connection, credential=name) for name in ("one", "two")]
    second = await create_campaign(connection, one, next_batch_at=NOW)
    first = await create_campaign(connection, other, status="pausing", next_batch_at=NOW - timedelta(seconds=1))
    named = await create_campaign(connection, one, status="cancelling", next_batch_at=NOW + timedelta(hours=1))
    await create_campaign(connection, one, next_batch_at=NOW + timedelta(seconds=1))
    resting = [await create_campaign(connection, one, status=status) for status in ("paused", "completed", "draft")]

    async with dialers(database) as pool, pool.transaction() as dialing:
        ids = [named.id, second.id, *(campaign.id for campaign in resting)]
        rows = await REGISTRY["due_campaigns"].all(dialing, now=NOW, limit=10, named=ids)
        alone = await REGISTRY["due_campaigns"].all(dialing, now=NOW, limit=1, named=[])

    assert [(row.campaign_id, row.status) for row in rows] == [
        (first.id, "pausing"),
        (second.id, "active"),
        (named.id, "cancelling"),
    ]
    assert [(row.organization_id, row.campaign_id) for row in alone] == [(other.organization_id, first.id)]


async def test_scheduled_campaigns_come_when_their_time_has_come(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    for status in CampaignStatus:
        await create_campaign(connection, tenant, status=status, scheduled_at=NOW)
    await create_campaign(connection, tenant, status="scheduled", scheduled_at=NOW + timedelta(seconds=1))

    async with dialers(database) as pool, pool.transaction() as dialing:
        rows = await REGISTRY["scheduled_campaigns"].all(dialing, now=NOW, limit=10)

    statuses = await connection.fetch("select status from campaigns where id = any ($1)", [r.campaign_id for r in rows])
    assert [row["status"] for row in statuses] == ["scheduled"]


async def test_silent_calls_come_when_their_check_is_due(database: Scratch, connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    _, late = await create_calling(connection, campaign, next_check_at=NOW)
    _, later = await create_calling(connection, campaign, next_check_at=NOW - timedelta(seconds=1))
    await create_calling(connection, campaign, next_check_at=None)
    await create_calling(connection, campaign, next_check_at=NOW + timedelta(seconds=1))

    async with dialers(database) as pool, pool.transaction() as dialing:
        rows = await REGISTRY["calls_to_check"].all(dialing, now=NOW, limit=10)

    assert [row.call_id for row in rows] == [later, late]


async def test_events_are_reopened_when_their_call_is_found_and_only_those_of_its_account(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    for retell_call_id, credential, status in [
        ("call_1", "default", "unmatched"),
        ("call_1", "acme", "unmatched"),
        ("call_2", "default", "unmatched"),
        ("call_3", "default", "quarantined"),
    ]:
        await connection.execute(
            "insert into webhook_events (source, credential, retell_call_id, event, body, body_sha256, status,"
            " received_at, next_try_at) values ('webhook', $1, $2, 'call_ended', '', sha256(''), $3, $4, $4)",
            credential,
            retell_call_id,
            status,
            NOW,
        )

    async with dialers(database) as pool, pool.transaction() as dialing:
        reopened = await REGISTRY["reopen_unmatched"].one(
            dialing, credential="default", retell_call_ids=["call_1", "call_3"], now=NOW
        )

    pending = await connection.fetch("select retell_call_id, credential from webhook_events where status = 'pending'")
    assert reopened.id == 1
    assert [tuple(row) for row in pending] == [("call_1", "default")]


@asynccontextmanager
async def dialers(database: Scratch) -> AsyncIterator[Database]:
    async with await Database.connect(database.dsn_for("outdial_dialer"), application_name="test") as pool:
        yield pool
