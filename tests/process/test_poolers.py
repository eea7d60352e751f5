"""Each process runs behind PgBouncer with stock settings in session mode, and refuses transaction mode in one line."""

from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from outdial.db.passwords import ROLES
from tests.support.pgbouncer import needs_pgbouncer, pgbouncer
from tests.support.postgres import Scratch
from tests.support.processes import Launcher

pytestmark = [needs_pgbouncer, pytest.mark.timeout(300)]

COMMANDS = {
    "dialer": ("dialer",),
    "jobs": ("jobs",),
    "studio": ("studio", "--port=0"),
    "host": ("serve", "--host=127.0.0.1", "--port=0"),
}


def settings(url: str) -> dict[str, str]:
    """Return the settings of a process whose logins all go through the pooler at `url`."""
    at = urlsplit(url)
    logins = {f"{role.upper()}_DB_URL": f"postgresql://{role}@{at.hostname}:{at.port}{at.path}" for role in ROLES}
    return {
        **logins,
        "SUPABASE_DB_URL": url,
        "RETELL_API_KEY": "key_x",
        "RETELL_BASE_URL": "http://127.0.0.1:9",
        "RETELL_WEBHOOK_SECRET": "key_x",
    }


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_process_runs_in_session_mode(launch: Launcher, database: Scratch, name: str) -> None:
    with pgbouncer(database, "session") as url:
        process = await launch.start(name, *COMMANDS[name], **settings(url)).ready()
        assert await process.terminate() == 0


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_process_does_not_start_in_transaction_mode(launch: Launcher, database: Scratch, name: str) -> None:
    with pgbouncer(database, "transaction") as url:
        process = launch.start(name, *COMMANDS[name], **settings(url))
        assert await process.ended() == 1

    told = [line for line in process.output().splitlines() if not line.startswith("{")]
    assert len(told) == 1, process.output()
    assert "the database URL leads to a pooler in transaction mode" in told[0]


async def test_a_push_in_transaction_mode_has_one_line_and_leaves_no_lock(
    launch: Launcher, empty_database: Scratch, tmp_path: Path
) -> None:
    with pgbouncer(empty_database, "transaction") as url:
        for number in range(2):
            pushing = launch.start(f"push-{number}", "db", "push", SUPABASE_DB_URL=url)
            assert await pushing.ended() == 1
            assert "the database URL leads to a pooler in transaction mode" in pushing.output()
            assert "Traceback" not in pushing.output()
        direct = launch.start("direct", "db", "push", SUPABASE_DB_URL=empty_database.dsn)
        assert await direct.ended() == 0, direct.output()
    connection = await asyncpg.connect(empty_database.dsn)
    assert await connection.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 0
    await connection.close()
