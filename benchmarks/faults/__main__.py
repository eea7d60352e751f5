"""`python -m benchmarks.faults`: two dialers call for two accounts, and one account or one dialer has a fault.

For each fault: the requests per second of the *other* account before, during and after it, at the provider.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import psutil
import uvloop

from benchmarks.dial.campaign import activate
from benchmarks.faults.arrivals import PauseWatch, crowded_seconds
from benchmarks.faults.recovery import recovery_times
from benchmarks.report import report
from benchmarks.stack import Clone, clone, make_template, postgres, process
from outdial.db.embedded import EmbeddedPostgres
from outdial.domain.calling_hours import ALWAYS_OPEN
from outdial.domain.location import KEYS_VERSION
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.faults import Fault, FaultKind
from outdial.retell.simulator.runtime import Simulator
from outdial.retell.simulator.server import running

RATE = 10
"""Calls per second of each account."""
CONTACTS = 6000
KEYS = {"default": "key_benchmark_default", "acme": "key_benchmark_acme"}
FROM = {"default": "+12125550001", "acme": "+12125550002"}
ALWAYS = json.dumps(ALWAYS_OPEN)


@dataclass(frozen=True, slots=True)
class Account:
    """An account with its organization and a campaign that never runs out of contacts."""

    id: UUID
    organization_id: UUID
    campaign_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything that a fault can act on. `faulty` is the account that has the fault, `other` must not notice."""

    connection: asyncpg.Connection
    watch: PauseWatch
    database: Clone
    simulator: Simulator
    dialers: Sequence[psutil.Process]
    faulty: Account
    other: Account

    def arrivals_ms(self, credential: str) -> list[int]:
        """Return when the create-call requests of an account arrived."""
        ledger = self.simulator.workspace.ledger.read()
        return [
            entry.arrived_ms
            for entry in ledger
            if entry.operation == "create-phone-call" and entry.from_number == FROM[credential]
        ]


FaultMaker = Callable[[Scene], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def account_locked(scene: Scene) -> AsyncIterator[None]:
    """A stalled transaction holds a campaign and its account."""
    holder = await asyncpg.connect(scene.database.dsn())
    try:
        async with holder.transaction():
            await holder.execute("select from campaigns where id = $1 for update", scene.faulty.campaign_id)
            await holder.execute("select from provider_accounts where id = $1 for update", scene.faulty.id)
            yield
    finally:
        await holder.close()


@asynccontextmanager
async def call_locked(scene: Scene) -> AsyncIterator[None]:
    """A stalled transaction holds the newest calls of the faulty account."""
    holder = await asyncpg.connect(scene.database.dsn())
    try:
        async with holder.transaction():
            await holder.execute(
                "select from calls where provider_account_id = $1 order by id desc limit 5 for update", scene.faulty.id
            )
            yield
    finally:
        await holder.close()


@asynccontextmanager
async def dialer_stopped(scene: Scene) -> AsyncIterator[None]:
    """One of the two dialers is stopped."""
    scene.dialers[0].send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        scene.dialers[0].send_signal(signal.SIGCONT)


@asynccontextmanager
async def dialer_stutters(scene: Scene) -> AsyncIterator[None]:
    """One dialer is stopped for 1 to 4 seconds, again and again."""

    async def stutter() -> None:
        for pause_s in (1.0, 2.5, 4.0, 1.7, 3.3) * 10:
            scene.dialers[0].send_signal(signal.SIGSTOP)
            await asyncio.sleep(pause_s)
            scene.dialers[0].send_signal(signal.SIGCONT)
            await asyncio.sleep(1)

    stuttering = asyncio.create_task(stutter())
    try:
        yield
    finally:
        stuttering.cancel()
        scene.dialers[0].send_signal(signal.SIGCONT)


@asynccontextmanager
async def hours_unreadable(scene: Scene) -> AsyncIterator[None]:
    """A hundred campaigns of the faulty account have calling hours that cannot be read."""
    async with scene.connection.transaction():
        await scene.connection.execute("set local session_replication_role = replica")
        for _ in range(100):
            campaign_id = await _campaign(scene.connection, scene.faulty, "default", hours='{"funday": []}')
            await scene.connection.execute(
                "insert into campaign_contacts (id, organization_id, campaign_id, contact_id, phone, zone_key,"
                " next_attempt_at) select uuidv7(), organization_id, $2, id, phone, zone_key, now() from contacts"
                " where organization_id = $1 limit 1",
                scene.faulty.organization_id,
                campaign_id,
            )
    yield
    await scene.connection.execute("update campaigns set status = 'pausing' where calling_hours ? 'funday'")


@asynccontextmanager
async def hang_up_hangs(scene: Scene) -> AsyncIterator[None]:
    """The faulty account cancels with hang-up, and the provider does not respond to stop-call."""
    scene.simulator.workspace.faults.replace([Fault(kind=FaultKind.hang_reply, operation="stop-call")])
    campaign_id = await _campaign(scene.connection, scene.faulty, "default", "paused")
    await scene.connection.execute(
        "update calls set campaign_id = $1, next_check_at = null where campaign_id = $2 and status = 'placed'",
        campaign_id,
        scene.faulty.campaign_id,
    )
    await scene.connection.execute(
        "update campaigns set status = 'cancelling', hang_up = true, next_batch_at = now() where id = $1", campaign_id
    )
    yield
    scene.simulator.workspace.faults.replace([])


@asynccontextmanager
async def number_refused(scene: Scene) -> AsyncIterator[None]:
    """Numbers of the faulty account are always refused with 429."""
    await _add_contact(scene.connection, scene.faulty, "+14155559946")
    yield


@asynccontextmanager
async def response_hangs(scene: Scene) -> AsyncIterator[None]:
    """A request of the faulty account gets no response."""
    await _add_contact(scene.connection, scene.faulty, "+14155559952")
    yield


@asynccontextmanager
async def limit_zero(scene: Scene) -> AsyncIterator[None]:
    """The provider allows the faulty account no call."""
    await scene.connection.execute("update provider_accounts set provider_limit = 0 where id = $1", scene.faulty.id)
    yield
    await scene.connection.execute("update provider_accounts set provider_limit = null where id = $1", scene.faulty.id)


FAULTS: dict[str, FaultMaker] = {
    "31 account locked": account_locked,
    "31 calls locked": call_locked,
    "31 a dialer stopped": dialer_stopped,
    "33 hours unreadable": hours_unreadable,
    "33 hang-up hangs": hang_up_hangs,
    "33 number refused": number_refused,
    "33 response hangs": response_hangs,
    "33 limit of zero": limit_zero,
    "34 a dialer stutters": dialer_stutters,
}


def main() -> None:
    """Run the faults one after the other, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each phase")
    parser.add_argument("--faults", nargs="*", default=list(FAULTS), choices=list(FAULTS), metavar="FAULT")
    parser.add_argument("--no-recovery", action="store_true", help="leave out the recovery times, which take a minute")
    options = parser.parse_args()
    with postgres() as server:
        rows, recoveries = uvloop.run(_measure(server, options))
    report("faults of one account, seen by the other", rows, recoveries, as_json=options.json)


async def _measure(
    server: EmbeddedPostgres, options: argparse.Namespace
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    await make_template(server, _seed)
    rows = []
    async with clone(server, "run") as database, _calling(database) as scene:
        await asyncio.sleep(options.seconds / 2)
        for name in options.faults:
            rows.append(await _observe(scene, name, options.seconds))
            print(rows[-1], file=sys.stderr, flush=True)
    if options.no_recovery:
        return rows, []
    async with clone(server, "recovery") as database:
        return rows, await recovery_times(database)


@asynccontextmanager
async def _calling(database: Clone) -> AsyncIterator[Scene]:
    config = SimulatorConfig(
        api_keys=tuple(KEYS.values()), concurrency_limit=1_000_000, calls_per_second=None, silent=True
    )
    async with AsyncExitStack() as stack:
        url, simulator = await stack.enter_async_context(running(config))
        connection = await asyncpg.connect(database.dsn())
        stack.push_async_callback(connection.close)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outdial-bench-")))
        env = {
            "SUPABASE_DB_URL": database.dsn(),
            "RETELL_API_KEY": KEYS["default"],
            "RETELL_API_KEY_ACME": KEYS["acme"],
            "RETELL_BASE_URL": url,
            "OUTDIAL_CALLING_RULES": "ignore",
            # Calls never end here, and none is looked up.
            "OUTDIAL_RECONCILE_AFTER": "36000",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        dialers = []
        for number in range(2):
            command = [sys.executable, "-m", "benchmarks.dial.dialer", str(directory / f"{number}.json")]
            _, dialer = await stack.enter_async_context(process(command, env))
            dialers.append(dialer)
        rows = await connection.fetch(
            "select a.id, a.organization_id, m.id as campaign_id from provider_accounts a"
            " join campaigns m on m.provider_account_id = a.id order by a.credential = 'acme'"
        )
        faulty, other = (Account(row["id"], row["organization_id"], row["campaign_id"]) for row in rows)
        await activate(connection, [faulty.campaign_id, other.campaign_id])
        watch = PauseWatch()
        watching = asyncio.create_task(watch.run())
        stack.callback(watching.cancel)
        yield Scene(
            connection=connection,
            watch=watch,
            database=database,
            simulator=simulator,
            dialers=dialers,
            faulty=faulty,
            other=other,
        )


async def _observe(scene: Scene, name: str, seconds: float) -> dict[str, object]:
    now_ms = scene.watch.now_ms
    marks = [now_ms()]
    await asyncio.sleep(seconds)
    marks.append(now_ms())
    async with FAULTS[name](scene):
        await asyncio.sleep(seconds)
        marks.append(now_ms())
    await asyncio.sleep(seconds)
    marks.append(now_ms())

    def rate(credential: str, phase: int) -> float:
        begin, end = marks[phase], marks[phase + 1]
        arrived = sum(begin <= moment < end for moment in scene.arrivals_ms(credential))
        return round(arrived / (end - begin) * 1000, 1)

    def crowded(credential: str) -> int:
        arrived = [moment for moment in scene.arrivals_ms(credential) if marks[0] <= moment < marks[3]]
        return len(crowded_seconds(arrived, RATE, scene.watch))

    before, during, after = (rate("acme", phase) for phase in range(3))
    return {
        "fault": name,
        "other_before": before,
        "other_during": during,
        "other_after": after,
        "during_to_before": round(during / before, 2) if before else 0.0,
        "after_to_before": round(after / before, 2) if before else 0.0,
        "faulty_during": rate("default", 1),
        "faulty_after": rate("default", 2),
        "seconds_above_limit": crowded("default") + crowded("acme"),
    }


async def _seed(connection: asyncpg.Connection) -> None:
    for number, credential in enumerate(KEYS):
        organization_id, account_id = uuid4(), uuid4()
        await connection.execute("insert into organizations (id, name) values ($1, $2)", organization_id, credential)
        await connection.execute(
            "insert into provider_accounts (id, organization_id, name, credential, concurrency_limit, calls_per_second)"
            " values ($1, $2, 'Retell', $3, 100000, $4)",
            *(account_id, organization_id, credential, float(RATE)),
        )
        await connection.execute(
            "insert into contacts (id, organization_id, phone, zone_key, zone_source, keys_version)"
            " select uuidv7(), $1, '+1212' || lpad(($2::integer * 1000000 + n)::text, 7, '2'), 'America/New_York',"
            " 'number', $4 from generate_series(1, $3::integer) as n",
            *(organization_id, number + 2, CONTACTS, KEYS_VERSION),
        )
        campaign_id = await _campaign(connection, Account(account_id, organization_id, uuid4()), credential, "draft")
        await connection.execute(
            "insert into campaign_contacts (id, organization_id, campaign_id, contact_id, phone, zone_key,"
            " next_attempt_at) select uuidv7(), organization_id, $2, id, phone, zone_key, now() from contacts"
            " where organization_id = $1",
            *(organization_id, campaign_id),
        )


async def _campaign(
    connection: asyncpg.Connection, account: Account, credential: str, status: str = "active", hours: str = ALWAYS
) -> UUID:
    campaign_id: UUID = await connection.fetchval(
        "insert into campaigns (id, organization_id, provider_account_id, name, status, retell_agent_id, from_number,"
        " batch_size, calling_hours, next_batch_at) values (uuidv7(), $1, $2, 'Recall', $3, 'agent_1', $4, 10, $5,"
        " now()) returning id",
        *(account.organization_id, account.id, status, FROM[credential], hours),
    )
    return campaign_id


async def _add_contact(connection: asyncpg.Connection, account: Account, phone: str) -> None:
    contact_id = await connection.fetchval(
        "insert into contacts (id, organization_id, phone, zone_key, zone_source, keys_version)"
        " values (uuidv7(), $1, $2, 'America/New_York', 'number', $3) returning id",
        *(account.organization_id, phone, KEYS_VERSION),
    )
    await connection.execute(
        "insert into campaign_contacts (id, organization_id, campaign_id, contact_id, phone, zone_key, next_attempt_at)"
        " values (uuidv7(), $1, $2, $3, $4, 'America/New_York', now() - interval '1 day')",
        *(account.organization_id, account.campaign_id, contact_id, phone),
    )


if __name__ == "__main__":
    main()
