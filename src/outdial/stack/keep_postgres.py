"""The database process of the local stack: keeps the embedded Postgres running."""

import asyncio
import time

from outdial.db.embedded import EmbeddedPostgres
from outdial.process import notify_ready, stop_event, wait_for_event
from outdial.stack.errors import StackUnavailable

START_TIMEOUT_S = 15.0
CHECK_EVERY_S = 1.0


def keep_postgres(port: int) -> int:
    """Run the server of OUTDIAL_HOME on `port` until a signal, and restart it when it dies. Return the exit status."""
    server = EmbeddedPostgres(listen_port=port)
    try:
        asyncio.run(_keep(server))
    finally:
        server.stop()
    return 0


async def _keep(server: EmbeddedPostgres) -> None:
    stop = stop_event()
    deadline = time.monotonic() + START_TIMEOUT_S
    # A command in another terminal may run the server; it stops it when it ends.
    while not server.start():
        if time.monotonic() > deadline:
            raise StackUnavailable(f"another outdial process runs the database of {server.home}: stop it first")
        if await wait_for_event(stop, CHECK_EVERY_S):
            return
    notify_ready()
    while not await wait_for_event(stop, CHECK_EVERY_S):
        server.start()
