"""One dialer as `outdial dialer` runs it, until SIGTERM; then it writes down how long each of its claims took."""

import asyncio
import signal
import sys
import time
from pathlib import Path
from uuid import UUID

import msgspec
import uvloop

from benchmarks.dial.campaign import KEY
from outdial.clock import SystemClock
from outdial.db.session import Database, assert_no_transaction
from outdial.dialer.claim import Claim, Claimed, Claimer
from outdial.dialer.worker import Dialer
from outdial.duties import Repeating
from outdial.retell.client import RetellClient
from outdial.settings import DialerSettings


class TimedClaim(msgspec.Struct):
    """A claim that brought calls: when it ended (Unix seconds), how long it took, and for which campaign."""

    ended_at: float
    seconds: float
    calls: int
    campaign_id: UUID


class TimingClaimer(Claimer):
    """A claimer that holds a watch."""

    timed: list[TimedClaim]

    async def claim(self, organization_id: UUID, campaign_id: UUID) -> Claim:
        """Claim, and note how long it took if it brought calls."""
        began = time.perf_counter()
        claim = await super().claim(organization_id, campaign_id)
        if isinstance(claim, Claimed) and claim.calls:
            seconds = time.perf_counter() - began
            self.timed.append(TimedClaim(time.time(), seconds, len(claim.calls), campaign_id))
        return claim


async def run(dsn: str, retell_url: str, claims: Path) -> None:
    """Dial until SIGTERM; the first line printed says that this process listens."""
    clock, settings = SystemClock(), DialerSettings()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    client = RetellClient.connect(KEY, retell_url, timeout=settings.request_timeout, guard=assert_no_transaction)
    async with await Database.connect(dsn, application_name="outdial dialer") as database:
        dialer = Dialer(database, {"default": client}, clock, settings)
        claimer = TimingClaimer(database, clock, settings)
        claimer.timed = []
        dialer._claimer = claimer
        duties = [
            Repeating("dialer", dialer, dialer.pause),
            Repeating("rescuer", dialer.rescuer, settings.poll_interval),
            Repeating("scheduler", dialer.scheduler, settings.poll_interval),
        ]

        def wake(*notification: object) -> None:
            dialer.wake_for(str(notification[-1]))
            duties[0].wake()

        async with database.pool.acquire() as listening:
            await listening.add_listener("outdial_campaigns", wake)
            for duty in duties:
                duty.start()
            print("listening", flush=True)
            await stopping.wait()
            stopped = asyncio.gather(*(duty.stop() for duty in duties))
            await dialer.stop()
            await stopped
            await listening.remove_listener("outdial_campaigns", wake)
    await client.close()
    claims.write_bytes(msgspec.json.encode(claimer.timed))


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
