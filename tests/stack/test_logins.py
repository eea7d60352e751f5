"""A local stack stores the passwords of its roles, renews those that fail, and notifies its host of new ones."""

import asyncio
import stat
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from outdial.db.listen import DEPLOYMENTS_CHANNEL
from outdial.db.passwords import ROLES, renew_passwords
from outdial.host.deployments.logins import logins_of, require_logins
from outdial.host.deployments.source import SourceTree
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import FunctionConfig
from outdial.settings import MissingSetting
from outdial.stack.logins import StackLogins
from tests.support.postgres import Scratch


def owner_of(database: Scratch) -> str:
    """Return the superuser's URL over TCP."""
    assert database.server.tcp_dsn is not None
    return f"{database.server.tcp_dsn.rpartition('/')[0]}/{database.name}"


async def user(address: str) -> str:
    connection = await asyncpg.connect(address)
    try:
        return str(await connection.fetchval("select session_user"))
    finally:
        await connection.close()


async def test_each_role_gets_a_login_that_works(database: Scratch, tmp_path: Path) -> None:
    logins = StackLogins(tmp_path, owner_of(database))
    assert dict(logins) == {}

    await logins.ensure()

    assert {role: await user(address) for role, address in logins.items()} == {role: role for role in ROLES}
    assert stat.S_IMODE((tmp_path / "logins.json").stat().st_mode) == 0o600


async def test_working_passwords_are_kept_and_others_renewed(database: Scratch, tmp_path: Path) -> None:
    logins = StackLogins(tmp_path, owner_of(database))
    await logins.ensure()
    before = dict(logins)
    await logins.ensure()
    assert dict(logins) == before

    await renew_passwords(owner_of(database))
    await logins.ensure()
    assert dict(logins) != before
    assert await user(logins["outdial_api"]) == "outdial_api"


async def test_an_unreadable_file_is_replaced(database: Scratch, tmp_path: Path) -> None:
    (tmp_path / "logins.json").write_text("{")
    logins = StackLogins(tmp_path, owner_of(database))
    await logins.ensure()
    assert logins.keys() == set(ROLES)


async def test_hosts_are_notified_of_new_passwords(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    await connection.add_listener(DEPLOYMENTS_CHANNEL, lambda _c, _p, channel, _: told.set_result(channel))

    addresses = await StackLogins(tmp_path, database.dsn).renew()

    assert await asyncio.wait_for(told, 30) == DEPLOYMENTS_CHANNEL
    # Only passwords are stored, so the logins work over any address of the server.
    over_tcp = StackLogins(tmp_path, owner_of(database))
    assert {role: urlsplit(address).password for role, address in over_tcp.items()} == {
        role: urlsplit(address).password for role, address in addresses.items()
    }


def test_logins_of_any_role_come_from_the_environment() -> None:
    env = {
        "OUTDIAL_API_DB_URL": "postgresql://outdial_api@db/x",
        "REPORTING_DB_URL": "postgresql://reporting@db/x",
        "SUPABASE_DB_URL": "postgresql://postgres@db/x",
        "EMPTY_DB_URL": " ",
    }
    assert logins_of(env) == {
        "outdial_api": "postgresql://outdial_api@db/x",
        "reporting": "postgresql://reporting@db/x",
    }


def test_a_role_without_a_login_is_named(tmp_path: Path) -> None:
    source = SourceTree(
        {"hello": Bundle("hello", 0, tmp_path, "index.py")}, {"hello": FunctionConfig(database_role="reporting")}
    )
    with pytest.raises(MissingSetting, match="REPORTING_DB_URL is not set: hello logs in as reporting"):
        require_logins(source, {"outdial_api": "postgresql://outdial_api@db/x"})
