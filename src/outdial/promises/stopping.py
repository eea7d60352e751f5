"""Stops all calls in the middle of the demo, and checks that no create-call request arrives while they read stopped."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.operations.stop import StopState, StopStatus, read_stop, resume_all_calls, stop_all_calls
from outdial.clock import SystemClock
from outdial.db.session import Database
from outdial.process import wait_for_event
from outdial.promises.checks import LedgerRequest, PromiseCheck
from outdial.promises.evidence import SimulatorClient
from outdial.promises.promise import Promise

AFTER_REQUESTS: Final = 10
"""Create-call requests before the stop, so that calls are under way."""
HELD_S: Final = 1.0
"""How long the calls stay stopped. A dialer that ignored the stop would send many requests meanwhile."""
READS_WITHIN_S: Final = 45.0
"""A request whose dialer has died counts as in flight until its deadline."""
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class ObservedStop:
    """When the organization was seen to read stopped, and when the calls were resumed, in Unix milliseconds.

    `read_ms` is None when it never read stopped.
    """

    read_ms: int | None
    resumed_ms: int


@asynccontextmanager
async def stopping_once(
    database: Database, simulator: SimulatorClient, organization_id: UUID
) -> AsyncIterator[Sequence[ObservedStop]]:
    """Stop all calls meanwhile, once some are under way. Yields the stops, of which a short run has none."""
    stops: list[ObservedStop] = []
    task = asyncio.create_task(_stop(database, simulator, organization_id, stops))
    try:
        yield stops
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _stop(
    database: Database, simulator: SimulatorClient, organization_id: UUID, stops: list[ObservedStop]
) -> None:
    clock, never = SystemClock(), asyncio.Event()
    while sum((await simulator.state())["requests"].get("create-phone-call", {}).values()) < AFTER_REQUESTS:
        await wait_for_event(never, _POLL_S)
    async with database.as_service() as connection:
        state = await stop_all_calls(
            connection,
            organization_id=organization_id,
            by="the demo",
            reason="to check that no request leaves",
            actor=Actor(),
            now=clock.now(),
        )
    read_ms: int | None = None
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(READS_WITHIN_S):
                while not (isinstance(state, StopState) and state.status is StopStatus.STOPPED):
                    await wait_for_event(never, _POLL_S)
                    async with database.as_service() as connection:
                        state = await read_stop(connection, organization_id, clock.now())
                read_ms = _now_ms(clock)
                await wait_for_event(never, HELD_S)
    finally:
        resumed_ms = _now_ms(clock)
        async with database.as_service() as connection:
            await resume_all_calls(
                connection, organization_id=organization_id, reason="checked", actor=Actor(), now=clock.now()
            )
    stops.append(ObservedStop(read_ms, resumed_ms))


def check_stops(stops: Sequence[ObservedStop], requests: Sequence[LedgerRequest]) -> PromiseCheck:
    """Check Promise.STOP with the provider's own record of requests as the witness."""
    held = sum(stop.resumed_ms - stop.read_ms for stop in stops if stop.read_ms is not None)
    times = "once" if len(stops) == 1 else f"{len(stops)} times"
    return PromiseCheck(
        promise=Promise.STOP,
        examined=f"all calls stopped {times}, and read stopped for {held / 1000:.1f} s",
        breaches=list(_requests_during(stops, requests)),
    )


def _requests_during(stops: Sequence[ObservedStop], requests: Sequence[LedgerRequest]) -> Iterator[str]:
    for stop in stops:
        if stop.read_ms is None:
            yield f"after {READS_WITHIN_S:g} s, the calls did not read stopped"
            continue
        late = [request for request in requests if stop.read_ms < request.arrived_ms < stop.resumed_ms]
        if late:
            first = min(request.arrived_ms for request in late) - stop.read_ms
            yield f"{len(late)} requests arrived while all calls read stopped, the first after {first} ms"


def _now_ms(clock: SystemClock) -> int:
    return round(clock.now().timestamp() * 1000)
