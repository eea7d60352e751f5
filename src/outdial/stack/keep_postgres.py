"""Keeps the embedded Postgres running: the database part of the local stack."""

import asyncio
import time

from outdial.cli.errors import Refused
from outdial.cli.signals import set_within, stop_event
from outdial.db.embedded import EmbeddedPostgres
from outdial.process import notify_ready

PATIENCE_S = 15.0
LOOK_S = 1.0


def keep_postgres(port: int) -> int:
    """Own the server of OUTDIAL_HOME, with `port` open, until a signal comes; a server that dies is started again."""
    server = EmbeddedPostgres(listen_port=port)
    try:
        asyncio.run(_keep(server))
    finally:
        server.stop()
    return 0


async def _keep(server: EmbeddedPostgres) -> None:
    stop = stop_event()
    deadline = time.monotonic() + PATIENCE_S
    # A command in another terminal may hold the server for its own length.
    while not server.start():
        if time.monotonic() > deadline:
            raise Refused(f"another outdial process runs the database of {server.home}: stop it first")
        if await set_within(stop, LOOK_S):
            return
    notify_ready()
    while not await set_within(stop, LOOK_S):
        server.start()
