"""`outdial db`: migrations with Supabase's output, and passwords."""

import asyncio
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import asyncpg
import pytest

from outdial.cli.main import whole_command
from outdial.db import migrate
from tests.cli.conftest import Outdial
from tests.support.postgres import Scratch


def on(database: Scratch, tmp_path: Path) -> Outdial:
    return Outdial({"SUPABASE_DB_URL": database.dsn, "OUTDIAL_HOME": str(tmp_path)})


def test_migrations_are_pushed_once(empty_database: Scratch, tmp_path: Path) -> None:
    outdial = on(empty_database, tmp_path)
    assert "run outdial db push" in outdial.error("campaign", "list")
    assert {state["remote"] for state in outdial.json("db", "status")} == {False}

    first = outdial("db", "push")

    assert "Applying migration 20261101000000_roles.sql..." in first
    assert first.endswith("Finished outdial db push.\n")
    assert outdial("db", "push") == "Local database is up to date.\n"
    assert {state["remote"] for state in outdial.json("db", "status")} == {True}
    assert "20261101000000" in outdial("db", "status")


@pytest.mark.parametrize(
    ("host", "options", "seeded"),
    [("127.0.0.1", [], True), ("db.example.com", [], False), ("db.example.com", ["--include-seed"], True)],
)
def test_a_push_runs_the_seed_on_local_databases_only(
    outdial: Outdial, monkeypatch: pytest.MonkeyPatch, host: str, options: list[str], seeded: bool
) -> None:
    seeds: list[Path | None] = []

    async def push(dsn: str, migrations: Path, *, seed: Path | None, on_wait: object) -> list[migrate.AppliedFile]:
        seeds.append(seed)
        return []

    monkeypatch.setattr(migrate, "push", push)
    outdial("db", "push", *options, env={"SUPABASE_DB_URL": f"postgresql://postgres@{host}/postgres"})
    assert [seed is not None for seed in seeds] == [seeded]


def test_the_version_is_printed(outdial: Outdial) -> None:
    assert outdial("--version") == f"outdial {metadata.version('outdial')}\n"


def test_a_reset_asks_for_confirmation_and_drops_everything(acme: Outdial) -> None:
    assert acme.run("db", "reset", stdin="n\n").exit_code == 1
    assert len(acme.json("organization", "list")) == 1

    assert acme("db", "reset", "--yes").endswith("Finished outdial db reset.\n")
    assert acme.json("organization", "list") == []


def test_a_remote_database_is_never_reset(outdial: Outdial) -> None:
    remote = {"SUPABASE_DB_URL": "postgresql://postgres:secret@db.example.com/postgres"}

    error = outdial.error("db", "reset", "--yes", env=remote)

    assert "db.example.com is not on this machine" in error
    assert "secret" not in error


async def test_new_passwords_are_set_and_printed_once(
    outdial: Outdial, connection: asyncpg.Connection, database: Scratch
) -> None:
    lines = (await asyncio.to_thread(outdial, "db", "credentials")).splitlines()

    names = [line.partition("=")[0] for line in lines]
    assert names == [f"OUTDIAL_{kind}_DB_URL" for kind in ("API", "WEBHOOK", "DIALER", "HOST", "JOBS", "AUTH")]
    for role in ("outdial_api", "outdial_webhook", "outdial_dialer", "outdial_host", "outdial_jobs", "outdial_auth"):
        stored = await connection.fetchval("select rolpassword from pg_authid where rolname = $1", role)
        assert stored.startswith("SCRAM-SHA-256$4096:")


def test_an_unreachable_database_is_reported_in_one_line(outdial: Outdial) -> None:
    nobody = {"SUPABASE_DB_URL": "postgresql://postgres@127.0.0.1:1/postgres"}
    assert "cannot connect to" in outdial.error("campaign", "list", env=nobody)


@pytest.mark.parametrize("command", [["db"], ["campaign"], ["contacts", "dnc"], []])
def test_a_group_alone_prints_its_help(outdial: Outdial, command: list[str]) -> None:
    assert "Usage:" in outdial.run(*command).output


def test_every_command_has_help() -> None:
    def commands(command: object, path: tuple[str, ...]) -> list[tuple[str, str | None]]:
        children = getattr(command, "commands", {})
        own = [(" ".join(path), getattr(command, "help", None))]
        return own + [found for name, child in children.items() for found in commands(child, (*path, name))]

    assert [path for path, help_text in commands(whole_command(), ()) if not help_text] == []


def test_a_command_loads_its_own_module_only() -> None:
    """All of them together take a second of the processor's time, for which every command would wait."""
    program = (
        "import sys, contextlib, io, outdial.cli.main as cli\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    cli.app(['simulator', '--help'], standalone_mode=False)\n"
        "print(*sorted(name for name in sys.modules if name.startswith('outdial.cli.')))\n"
    )

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert printed.stdout.split() == ["outdial.cli.main", "outdial.cli.output", "outdial.cli.processes"]


def test_commands_on_campaigns_load_no_client_and_no_queue() -> None:
    """Most of them need neither, and importing both takes two thirds of a second of the processor's time."""
    program = (
        "import sys, outdial.cli.campaigns.commands\nprint(*{'aiohttp', 'pgqueuer', 'fastapi'} & sys.modules.keys())"
    )

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert printed.stdout.split() == []


def test_an_unknown_command_names_a_similar_one() -> None:
    assert "Did you mean 'dialer'?" in Outdial().run("dailer").output
