"""Dialer processes with a pre-dial hook: one is killed during a request, one has a hook that hangs and lies."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from outdial.retell.simulator.runtime import Simulator
from tests.process.test_dialer_process import FAST, calling, statuses
from tests.support.factories import NOW
from tests.support.hooks import SECRET, HookServer, allow_all, hook_server
from tests.support.postgres import Scratch
from tests.support.processes import start_campaign, until

PRIVATE = {"OUTDIAL_HOOK_PRIVATE_NETWORKS": "true"}

pytestmark = pytest.mark.timeout(300)


async def set_hook(connection: asyncpg.Connection, hook: HookServer) -> None:
    await connection.execute(
        "insert into pre_dial_hooks (organization_id, url, secret, updated_at)"
        " select id, $1, $2, $3 from organizations",
        hook.url,
        SECRET,
        NOW,
    )


def requested(simulator: Simulator) -> set[str]:
    """Return our ids of all calls that were asked for, accepted or not."""
    entries = simulator.workspace.ledger.read()
    return {entry.metadata["call_id"] for entry in entries if entry.operation == "create-phone-call" and entry.metadata}


async def test_a_dialer_that_is_killed_while_it_asks_the_hook_has_called_no_one(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path, port: int
) -> None:
    async with hook_server() as hook, calling(tmp_path, database, port) as (launch, simulator):
        await start_campaign(database, 30, calls_per_second=50)
        await set_hook(connection, hook)
        hook.opened.clear()
        dialer = await launch.dialer(**PRIVATE).ready()
        await hook.arrivals.get()
        await dialer.kill()
        orphans = {str(row["id"]) for row in await connection.fetch("select id from calls where status = 'placing'")}
        assert orphans
        assert requested(simulator) == set()
        hook.opened.set()

        heir = await launch.dialer(**PRIVATE).ready()

        async def all_are_called() -> bool:
            found = await connection.fetchval("select count(*) from calls where retell_call_id is not null")
            return bool(found == 30)

        await until(all_are_called, lambda: statuses(connection, "calls"))
        assert await heir.terminate() == 0
        assert requested(simulator) <= hook.allowed
        assert requested(simulator).isdisjoint(orphans)
        ended = "select status, cleared_at from calls where id = any ($1::uuid[])"
        assert {tuple(row) for row in await connection.fetch(ended, list(orphans))} == {("released", None)}
        assert hook.unsigned == 0
        assert SECRET not in dialer.output() + heir.output()


async def test_no_call_leaves_that_a_hook_which_hangs_and_lies_has_not_allowed(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path, port: int
) -> None:
    chance, denied = random.Random(7), set[str]()

    def respond(request: Mapping[str, Any]) -> Any:
        results = allow_all(request)["results"]
        match chance.randrange(6):
            case 0:
                return web.Response(status=503)
            case 1:
                return web.json_response({"results": results[1:]})
            case 2:
                return web.Response(text="<html>allow: true</html>")
            case 3:
                results[0] = {"phone": results[0]["phone"], "allow": False, "reason": "changed its mind"}
                denied.add(request["calls"][0]["call_id"])
        return {"results": results}

    async with hook_server() as hook, calling(tmp_path, database, port, **FAST) as (launch, simulator):
        await start_campaign(database, 25, calls_per_second=50, batch_size=5)
        await set_hook(connection, hook)
        # Failures are tried again without their pauses, so that the test sees many of them.
        await connection.execute(
            "create function quick() returns trigger language plpgsql as $$ begin"
            " new.retry_at := case when new.failures > 0 then '1970-01-02 00:00:00+00'::timestamptz end; return new;"
            " end $$; create trigger quick before update on pre_dial_hooks for each row execute function quick()"
        )
        hook.respond = respond
        functions = await launch.functions(port).ready()
        dialer = await launch.dialer(**PRIVATE).ready()

        async def is_completed() -> bool:
            return bool(await connection.fetchval("select status = 'completed' from campaigns"))

        await until(is_completed, lambda: statuses(connection, "campaign_contacts"))
        assert [await process.terminate() for process in (dialer, functions)] == [0, 0]
        assert dialer.log_lines("dialer.hook_failed"), "the hook never failed"
        assert denied, "the hook never denied a call"
        assert requested(simulator) <= hook.allowed
        assert requested(simulator).isdisjoint(denied)
        assert not dialer.log_lines("dialer.invariant_broken")
        contacts = await statuses(connection, "campaign_contacts")
        assert contacts.get("skipped", 0) == len(denied)
        assert sum(contacts.values()) == 25
