"""Dialer processes: stopping, dying, sharing an account's limits, and surviving a restart of the database."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import asyncpg
import pytest

from outdial.db.embedded import EmbeddedPostgres
from outdial.domain.pacing import Pace, spacing
from outdial.retell.simulator import SimulatorConfig
from outdial.retell.simulator.runtime import Simulator
from outdial.retell.simulator.server import running
from outdial.stack.local import LOCAL_WEBHOOK_SECRET, SIMULATOR_KEY
from tests.support import postgres
from tests.support.factories import NOW
from tests.support.postgres import Scratch
from tests.support.processes import Launcher, launcher, start_campaign, until

ANSWERED = {"user_hangup": 1.0}
# A call takes a tenth of a second.
FAST = {"speed": 100.0, "ring_s": 5.0, "mean_talk_s": 5.0, "analysis_s": 1.0, "outcome_mix": ANSWERED}

pytestmark = pytest.mark.timeout(300)


@asynccontextmanager
async def calling(
    directory: Path, database: Scratch, port: int, **config: object
) -> AsyncIterator[tuple[Launcher, Simulator]]:
    """Run a simulator without limits in this process, and yield a launcher for the others."""
    defaults = {
        "api_keys": (SIMULATOR_KEY,),
        "webhook_key": LOCAL_WEBHOOK_SECRET,
        "webhook_url": f"http://127.0.0.1:{port}/functions/v1/retell-webhook",
        "concurrency_limit": 1000,
        "calls_per_second": None,
        "outcome_mix": ANSWERED,
    }
    async with running(SimulatorConfig(**(defaults | config))) as (url, simulator):  # type: ignore[arg-type]
        with launcher(directory, database, port=port, simulator_url=url) as launch:
            yield launch, simulator


def asked(simulator: Simulator) -> int:
    return sum(entry.operation == "create-phone-call" for entry in simulator.workspace.ledger.read())


async def statuses(connection: asyncpg.Connection, table: str) -> dict[str, int]:
    rows = await connection.fetch(f"select status, count(*) as count from {table} group by status")  # noqa: S608
    return {row["status"]: row["count"] for row in rows}


async def test_a_stopping_dialer_finishes_its_requests(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path, port: int
) -> None:
    async with calling(tmp_path, database, port, create_latency_s=1.0) as (launch, simulator):
        await start_campaign(database, 300, calls_per_second=50)
        dialer = await launch.dialer().ready()

        async def requests_are_under_way() -> bool:
            return asked(simulator) > 20

        await until(requests_are_under_way, "20 requests")
        assert (await statuses(connection, "calls")).get("placing", 0) > 0, "no request was under way"
        assert await dialer.terminate() == 0

        calls = await statuses(connection, "calls")
        assert set(calls) == {"placed"}
        # The claimed calls were sent, and nothing more was claimed.
        assert calls["placed"] == asked(simulator) < 300
        assert dialer.log_lines("dialer.stopped")


async def test_another_dialer_resolves_the_calls_of_a_killed_one(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path, port: int
) -> None:
    async with calling(tmp_path, database, port, create_latency_s=1.0) as (launch, simulator):
        await start_campaign(database, 100, calls_per_second=100)
        dialer = await launch.dialer().ready()

        async def requests_are_under_way() -> bool:
            return asked(simulator) > 20

        await until(requests_are_under_way, "20 requests")
        await dialer.kill()
        orphans = (await statuses(connection, "calls"))["placing"]
        assert orphans > 20
        heir = await launch.dialer().ready()

        async def all_are_known() -> bool:
            calls = await statuses(connection, "calls")
            return calls.keys() <= {"placed", "ongoing", "ended"} and sum(calls.values()) == 100

        await until(all_are_known, lambda: statuses(connection, "calls"))
        assert await heir.terminate() == 0
        accepted = [
            entry.idempotency_key for entry in simulator.workspace.ledger.read(result="accepted") if entry.to_number
        ]
        assert len(accepted) == len(set(accepted)) == 100
        assert len(simulator.workspace.calls) == 100


async def test_two_dialers_share_the_limits_of_one_account(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path, port: int
) -> None:
    # Calls last half a second, so that a busy machine places the next ones before they end.
    async with calling(tmp_path, database, port, **(FAST | {"speed": 20.0})) as (launch, simulator):
        functions = await launch.functions(port).ready()
        dialers = [launch.dialer(), launch.dialer()]
        for dialer in dialers:
            await dialer.ready()
        await start_campaign(database, 60, concurrency_limit=6, calls_per_second=40, batch_size=3)

        async def is_completed() -> bool:
            return bool(await connection.fetchval("select status = 'completed' from campaigns"))

        await until(is_completed, lambda: statuses(connection, "campaign_contacts"))
        assert [await process.terminate() for process in (*dialers, functions)] == [0, 0, 0]

        assert simulator.workspace.peak_live == 6, "the limit was never reached, or it was exceeded"
        # A call that missed its start on a busy machine is released unsent, and its contact claimed again.
        placed = "select requested_at from calls where retell_call_id is not null order by 1"
        starts = [row["requested_at"] for row in await connection.fetch(placed)]
        apart = spacing(Pace(40, 1.0, NOW, None))
        assert len(starts) == 60
        assert min(later - earlier for earlier, later in pairwise(starts)) >= apart


async def test_a_dialer_names_the_missing_key(database: Scratch, tmp_path: Path, port: int) -> None:
    with launcher(tmp_path, database, port=port) as launch:
        dialer = launch.dialer(RETELL_ENCRYPTION_KEY="")
        assert await dialer.ended() == 1
        [line] = dialer.output().splitlines()
        assert line.startswith("Error: RETELL_API_KEY is not set")


async def test_a_dialer_reports_an_unreachable_database(database: Scratch, tmp_path: Path, port: int) -> None:
    nowhere = f"postgresql://postgres@/postgres?host={tmp_path}"
    with launcher(tmp_path, database, port=port) as launch:
        dialer = launch.dialer(RETELL_API_KEY=SIMULATOR_KEY, SUPABASE_DB_URL=nowhere)
        assert await dialer.ended() == 1
        [line] = dialer.output().splitlines()
        assert line.startswith("Error: cannot connect to the database")


async def test_a_dialer_reports_a_database_without_migrations(
    empty_database: Scratch, tmp_path: Path, port: int
) -> None:
    with launcher(tmp_path, empty_database, port=port) as launch:
        dialer = launch.dialer(RETELL_API_KEY=SIMULATOR_KEY)
        assert await dialer.ended() == 1
        [line] = dialer.output().splitlines()
        assert line.endswith("run outdial db push")


@pytest.fixture
def private_server() -> Iterator[EmbeddedPostgres]:
    with postgres.server() as server:
        yield server


async def test_dialer_and_functions_survive_a_restart_of_the_database(
    private_server: EmbeddedPostgres, tmp_path: Path, port: int
) -> None:
    await postgres.make_template(private_server)
    async with (
        postgres.scratch(private_server, template=postgres.TEMPLATE) as database,
        calling(tmp_path, database, port, **FAST) as (launch, simulator),
    ):
        functions, dialer = await launch.functions(port).ready(), await launch.dialer().ready()
        await start_campaign(database, 150, calls_per_second=40)

        async def some_have_ended() -> bool:
            return simulator.workspace.webhook_counts["call_ended"] > 30

        await until(some_have_ended, "30 ended calls")
        private_server.stop()
        assert functions.running
        assert dialer.running
        await asyncio.sleep(0.5)  # an outage that affects requests, responses and events
        private_server.start()

        connection = await asyncpg.connect(database.dsn)
        try:

            async def is_completed() -> bool:
                return bool(await connection.fetchval("select status = 'completed' from campaigns"))

            await until(is_completed, lambda: statuses(connection, "campaign_contacts"))
            assert await statuses(connection, "calls") == {"ended": len(simulator.workspace.calls)}
        finally:
            await connection.close()
        assert [await dialer.terminate(), await functions.terminate()] == [0, 0]
        # It noticed, and paused between its attempts to reconnect.
        assert 0 < len(dialer.log_lines("dialer.failed")) + len(dialer.log_lines("dialer.settle_failed")) < 50
