"""Starts per second hold at the provider, although dialers stand still and limits are lowered."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from benchmarks.faults.arrivals import PauseWatch, crowded_seconds
from outdial.retell.simulator import SimulatorConfig
from outdial.retell.simulator.runtime import Simulator
from outdial.retell.simulator.server import running
from outdial.stack.local import SIMULATOR_KEY
from tests.support.postgres import Scratch
from tests.support.processes import Launcher, Process, launcher, start_campaign, until

RATE = 15
# Calls stay live and are never looked up: only create-call requests arrive.
QUIET = {"OUTDIAL_RECONCILE_AFTER": "600", "OUTDIAL_RESCUE_AFTER": "600"}

pytestmark = pytest.mark.timeout(300)


class ArrivalWitness:
    """Counts create-call requests as they arrive at a simulator in this process."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self.watch = PauseWatch()

    def arrivals_ms(self, since_ms: int = 0) -> list[int]:
        """Return when create-call requests arrived."""
        ledger = self._simulator.workspace.ledger
        arrived = [entry.arrived_ms for entry in ledger.read() if entry.operation == "create-phone-call"]
        return [moment for moment in arrived if moment >= since_ms]

    def excess(self, limit: int, since_ms: int = 0) -> list[str]:
        """Describe the seconds that held more than `limit` requests."""
        return crowded_seconds(self.arrivals_ms(since_ms), limit, self.watch)


@asynccontextmanager
async def witnessed(
    directory: Path, database: Scratch, port: int
) -> AsyncIterator[tuple[Launcher, ArrivalWitness, list[Process]]]:
    """Run a simulator without limits in this process, and two dialers."""
    config = SimulatorConfig(
        api_keys=(SIMULATOR_KEY,), concurrency_limit=1000, calls_per_second=None, silent=True, magic_numbers=False
    )
    async with running(config) as (url, simulator):
        witness = ArrivalWitness(simulator)
        watching = asyncio.create_task(witness.watch.run())
        with launcher(directory, database, port=port, simulator_url=url) as launch:
            dialers = [launch.dialer(**QUIET), launch.dialer(**QUIET)]
            for dialer in dialers:
                await dialer.ready()
            yield launch, witness, dialers
        watching.cancel()


async def some_more(witness: ArrivalWitness, requests: int) -> None:
    """Wait for that many requests more."""
    wanted = len(witness.arrivals_ms()) + requests

    async def have_arrived() -> bool:
        return len(witness.arrivals_ms()) >= wanted

    await until(have_arrived, f"{requests} more requests")


async def test_no_second_holds_more_requests_than_allowed_although_dialers_stand_still(
    database: Scratch, tmp_path: Path, port: int
) -> None:
    async with witnessed(tmp_path, database, port) as (_, witness, dialers):
        await start_campaign(database, 600, concurrency_limit=1000, calls_per_second=RATE, batch_size=10)
        await some_more(witness, 15)
        for number, pause_s in enumerate((1.0, 1.7, 2.5, 3.3, 4.0, 1.2)):
            stopped = dialers[number % 2]
            os.kill(stopped.pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(pause_s)  # as long as the process stands still
            finally:
                os.kill(stopped.pid, signal.SIGCONT)
            await some_more(witness, 15)
        assert witness.excess(RATE) == []


async def test_no_call_starts_above_a_lowered_limit(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path, port: int
) -> None:
    async with witnessed(tmp_path, database, port) as (_, witness, _):
        await start_campaign(database, 600, concurrency_limit=1000, calls_per_second=3 * RATE, batch_size=50)
        await some_more(witness, 3 * RATE)
        await connection.execute("update provider_accounts set calls_per_second = 5")
        lowered_ms = witness.watch.now_ms()
        await some_more(witness, 15)
        # A notification takes a moment to arrive, on a busy machine a longer one. The starts of a batch last a second.
        assert witness.excess(5, since_ms=lowered_ms + 400) == []
