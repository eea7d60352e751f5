"""What callers may do past row security: read addresses, look up a user, send events through apply once more, leave."""

from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest

from outdial.db.queries import events, invitations, members
from outdial.db.session import Connection
from tests.support.factories import NOW, insert
from tests.support.two_organizations import (
    CALLERS,
    MEMBERS,
    FilledOrganization,
    TwoOrganizations,
    acting,
)

ADMINS = ("admin", "owner")
OPERATORS = ("operator", *ADMINS)
EVERYTHING: Mapping[str, Any] = {"first_id": 0, "last_id": 2**63 - 1, "status": None, "event": None, "limit": 100}


@pytest.fixture
def world(two_organizations: TwoOrganizations) -> TwoOrganizations:
    return two_organizations


async def add_event(connection: Connection, house: FilledOrganization, name: str, **columns: Any) -> str:
    """Add an event of the account of `house`, known again by `name`; return it."""
    row: dict[str, Any] = {
        "organization_id": house.tenant.organization_id,
        "source": "webhook",
        "credential": house.tenant.credential,
        "retell_call_id": name,
        "event": "call_ended",
        "body": b"{}",
        "body_sha256": b"2" * 32,
        "received_at": NOW,
        "next_try_at": NOW,
        "status": "quarantined",
        "tries": 5,
        "error": "broken",
    }
    await insert(connection, "webhook_events", **(row | columns))
    return name


async def add_events(connection: Connection, world: TwoOrganizations) -> None:
    """Add events that were set aside, and some that have found no call, of both organizations and of nobody."""
    lost = {"organization_id": None, "status": "unmatched"}
    for name, house in (("own", world.own), ("other", world.other)):
        await add_event(connection, house, name)
        await add_event(connection, house, f"{name} lost", **lost)
    await add_event(connection, world.own, "nobody lost", credential="unknown", **lost)
    await add_event(connection, world.own, "waits", status="pending")


async def replay(connection: Connection, house: FilledOrganization, **narrowed: Any) -> int:
    """Replay all events of an organization that are there."""
    asked = {**EVERYTHING, **narrowed, "organization_id": house.tenant.organization_id, "now": NOW}
    return len(await events.replay_organization_events(connection, **asked))


async def seen(connection: Connection, what: str) -> set[str]:
    rows = await connection.fetch(f"select retell_call_id from webhook_events where {what}")  # noqa: S608
    return {row["retell_call_id"] for row in rows}


@pytest.mark.parametrize("actor", [*MEMBERS, "outsider", "nobody", "service"])
async def test_members_read_the_email_addresses_of_members(world: TwoOrganizations, actor: str) -> None:
    async with acting(world, actor) as connection:
        own, other = [
            await members.list_members(connection, organization_id=house.tenant.organization_id)
            for house in (world.own, world.other)
        ]

    assert {row.role for row in own} == (set(MEMBERS) if actor in (*MEMBERS, "service") else set())
    assert all(row.email for row in own)
    assert len(other) == (4 if actor == "service" else 0)


@pytest.mark.parametrize("actor", [*MEMBERS, "outsider", "nobody"])
async def test_an_invitation_is_answered_only_by_the_user_whose_confirmed_address_it_names(
    world: TwoOrganizations, connection: asyncpg.Connection, actor: str
) -> None:
    invited, organization_id = world.own.spare_user, world.other.tenant.organization_id
    email = await connection.fetchval("select email from auth.users where id = $1", invited)
    new = {"organization_id": organization_id, "email": email, "role": "operator", "created_at": NOW}
    await insert(connection, "invitations", **new)
    claims = f'{{"sub": "{invited}", "role": "authenticated", "email": "{email}"}}'

    async def asks(as_invited: bool) -> tuple[list[str], bool]:
        async with acting(world, actor) as caller:
            if as_invited:
                await caller.execute("select set_config('request.jwt.claims', $1, true)", claims)
            received = await invitations.my_invitations(caller, now=NOW)
            done = await invitations.answer_invitation(caller, organization_id=organization_id, accepts=True, now=NOW)
        return [row.role for row in received], done

    assert await asks(as_invited=False) == ([], False)
    await connection.execute("update auth.users set email_confirmed_at = null where id = $1", invited)
    assert await asks(as_invited=True) == ([], False), "the address in the token was never confirmed"
    await connection.execute("update auth.users set email_confirmed_at = $2 where id = $1", invited, NOW)
    assert await asks(as_invited=True) == (["operator"], True)
    assert await asks(as_invited=True) == ([], False)
    role = await connection.fetchval(
        "select role from organization_members where user_id = $1 and organization_id = $2", invited, organization_id
    )
    assert role == "operator"


@pytest.mark.parametrize("actor", [*MEMBERS, "outsider"])
async def test_an_unmatched_event_is_read_by_the_admins_of_its_account(
    world: TwoOrganizations, connection: asyncpg.Connection, actor: str
) -> None:
    await add_events(connection, world)

    async with acting(world, actor) as caller:
        lost = await seen(caller, "organization_id is null")

    assert lost == ({"own lost"} if actor in ADMINS else set())


async def test_an_unmatched_event_is_hidden_once_the_account_belongs_to_another_organization(
    world: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    await add_events(connection, world)
    await connection.execute("update provider_accounts set credential = 'moved' where credential = 'default'")

    async with acting(world, "owner") as caller:
        assert await seen(caller, "organization_id is null") == set()


@pytest.mark.parametrize("actor", [*OPERATORS, "service"])
async def test_replay_covers_the_events_of_one_organization_and_for_admins_those_of_its_account(
    world: TwoOrganizations, connection: asyncpg.Connection, actor: str
) -> None:
    await add_events(connection, world)
    before = await seen(connection, "status = 'pending'")

    async with acting(world, actor) as caller:
        replayed = await replay(caller, world.own)

    wanted = {"own"} if actor == "operator" else {"own", "own lost"}
    assert await seen(connection, "status = 'pending'") - before == wanted
    assert replayed == len(wanted)
    row = await connection.fetchrow("select tries, error, next_try_at from webhook_events where retell_call_id = 'own'")
    assert row is not None
    assert tuple(row) == (0, None, NOW)


@pytest.mark.parametrize("actor", ["viewer", "outsider", "nobody", "anon"])
async def test_viewers_cannot_replay_events(
    world: TwoOrganizations, connection: asyncpg.Connection, actor: str
) -> None:
    await add_events(connection, world)
    for house in (world.own, world.other):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with acting(world, actor) as caller:
                await replay(caller, house)

    assert await seen(connection, "retell_call_id like 'own%' and status = 'pending'") == set()


@pytest.mark.parametrize("actor", OPERATORS)
async def test_no_one_replays_events_of_another_organization(
    world: TwoOrganizations, connection: asyncpg.Connection, actor: str
) -> None:
    await add_events(connection, world)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="the role operator in the organization"):
        async with acting(world, actor) as caller:
            await replay(caller, world.other)

    assert await seen(connection, "retell_call_id like 'other%' and status = 'pending'") == set()


async def test_replay_is_filtered_and_limited_oldest_first(
    world: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    for n in range(3):
        await add_event(connection, world.own, f"event {n}")
    await add_event(connection, world.own, "other kind", event="call_started")
    await add_event(connection, world.own, "other state", status="unmatched")
    narrowed = {"status": "quarantined", "event": "call_ended"}

    async with acting(world, "operator") as caller:
        assert await replay(caller, world.own, **narrowed, limit=2) == 2
        assert await seen(caller, "status = 'pending' and retell_call_id like 'event%'") == {"event 0", "event 1"}
        assert await replay(caller, world.own, **narrowed) == 1

    assert await seen(connection, "status = 'pending' and retell_call_id like 'other%'") == set()


@pytest.mark.parametrize("actor", [role for role in MEMBERS if role != "owner"])
async def test_leaving_an_organization_removes_no_one_else(
    world: TwoOrganizations, connection: asyncpg.Connection, actor: str
) -> None:
    async with acting(world, actor) as caller:
        await caller.execute("delete from organization_members where user_id = auth.uid()")

    left = await connection.fetch(
        "select role from organization_members where organization_id = $1", world.own.tenant.organization_id
    )
    assert {row["role"] for row in left} == set(MEMBERS) - {actor}


async def test_every_query_is_denied_to_users_who_are_not_signed_in(world: TwoOrganizations) -> None:
    assert CALLERS["anon"] == "anon"
    for call in ("people_of($1)", "answer_invitation($1, true, now())"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with acting(world, "anon") as caller:
                await caller.fetch(f"select private.{call}", world.own.tenant.organization_id)
