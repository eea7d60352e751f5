"""The signing secret of a pre-dial hook can be written by admins and read by the dialer only."""

import asyncpg
import pytest

from outdial.db.queries.compliance import pre_dial_hooks
from tests.support.factories import NOW
from tests.support.postgres import Scratch
from tests.support.two_organizations import MEMBERS, acting, create_two_organizations


@pytest.mark.parametrize("actor", [*MEMBERS, "service"])
async def test_who_configures_a_hook_cannot_read_its_secret(
    database: Scratch, connection: asyncpg.Connection, actor: str
) -> None:
    world = await create_two_organizations(database, connection)
    async with acting(world, actor) as acted:
        for statement in (
            "select secret from pre_dial_hooks",
            "select * from pre_dial_hooks",
            "update pre_dial_hooks set url = secret",
            "update pre_dial_hooks set updated_at = updated_at returning secret",
            "delete from pre_dial_hooks where secret like 's%'",
        ):
            undone = acted.transaction()
            await undone.start()
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await acted.execute(statement)
            await undone.rollback()


async def test_an_admin_replaces_the_secret_and_its_change_names_no_value(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    world = await create_two_organizations(database, connection)
    organization_id = world.own.tenant.organization_id
    async with acting(world, "admin") as acted, acted.transaction():
        await pre_dial_hooks.set_hook(
            acted, organization_id=organization_id, url="https://new.example.com", secret="another secret 2", now=NOW
        )
    row = await connection.fetchrow(
        "select url, secret from pre_dial_hooks where organization_id = $1", organization_id
    )
    assert row is not None
    assert tuple(row) == ("https://new.example.com", "another secret 2")
    audited = await connection.fetch(
        "select details::text from audit_log where subject_type = 'pre_dial_hook' and organization_id = $1",
        organization_id,
    )
    assert "secret" in audited[0][0]
    assert "another secret" not in audited[0][0]
