"""Organizations are created with their limits, listed, and given members."""

import asyncio
from uuid import uuid4

import asyncpg

from tests.cli.conftest import Outdial
from tests.support.factories import create_user


def test_an_organization_is_created_with_its_limits_and_listed(outdial: Outdial) -> None:
    created = outdial.json(
        "organization", "create", "Acme", "--credential=acme", "--concurrency=50", "--calls-per-second=2.5",
        "--daily-cap=5",
    )  # fmt: skip

    [listed] = outdial.json("organization", "list")

    assert listed["id"] == created["id"]
    assert (listed["name"], listed["credential"], listed["daily_call_cap"]) == ("Acme", "acme", 5)
    assert (listed["concurrency_limit"], listed["calls_per_second"]) == (50, 2.5)
    assert "Acme" in outdial("organization", "list")


def test_a_credential_belongs_to_one_organization(acme: Outdial) -> None:
    assert "belongs to another organization" in acme.error("organization", "create", "Globex")


def test_a_credential_that_is_no_variable_name_is_refused(outdial: Outdial) -> None:
    assert outdial.error("organization", "create", "Acme", "--credential=Not One").startswith("--credential: ")


async def test_a_user_is_given_a_role(connection: asyncpg.Connection, acme: Outdial) -> None:
    user_id = await create_user(connection, email="Ada@example.com")
    await connection.execute(
        """
        insert into invitations (organization_id, email, role, created_at)
        select id, unnest(array['ada@example.com', 'grace@example.com']), 'viewer', now() from organizations
        """
    )
    await asyncio.to_thread(acme, "organization", "add-member", "Acme", str(user_id), "--role=viewer")
    await asyncio.to_thread(acme, "organization", "add-member", "Acme", str(user_id), "--role=admin")

    assert await connection.fetchval("select role from organization_members where user_id = $1", user_id) == "admin"
    left = await connection.fetch("select email from invitations")
    assert [row["email"] for row in left] == ["grace@example.com"], "the invitation of the member is still open"


def test_a_member_must_be_a_user(acme: Outdial) -> None:
    assert "unknown user" in acme.error("organization", "add-member", "Acme", str(uuid4()))


def test_an_unknown_organization_is_reported(acme: Outdial) -> None:
    assert "unknown organization 'Globex'" in acme.error("organization", "add-member", "Globex", str(uuid4()))


def test_budgets_of_an_organization_are_set_and_shown(acme: Outdial) -> None:
    assert "No budgets" in acme("organization", "budget", "Acme")
    shown = acme("organization", "budget", "Acme", "--day-cents", "5000", "--zone", "America/New_York")
    assert "day: $50.00, $0.00 spent" in shown
    assert "month: $900.00" in acme("organization", "budget", "Acme", "--month-cents", "90000")
    assert "No budgets" in acme("organization", "budget", "Acme", "--no-budget")
    assert "not a time zone" in acme.error("organization", "budget", "Acme", "--zone", "Mars")
