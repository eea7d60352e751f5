"""Spins: within one step, by `/spins/in-steps` giving way now and then, by `/spins/printing` with many words.

`/spins/forging` spins in a thread that sends heartbeats of the worker.
"""

import asyncio
import os
import threading
import time

from outdial.functions import Context, Request, Response, with_supabase


@with_supabase(auth="none")
async def fetch(request: Request, ctx: Context) -> Response:
    """Spin, but for /spins/well."""
    mode = request.path.rpartition("/")[2]
    if mode == "well":
        return Response.json({"ok": True})
    print("about to spin")  # noqa: T201
    if mode == "forging":
        threading.Thread(target=spin_with_heartbeats, daemon=True).start()
        await asyncio.Event().wait()
    turns = 0
    while True:
        turns += 1
        if mode == "in-steps" and turns % 100_000 == 0:
            await asyncio.sleep(0)
        if mode == "printing":
            print("still spinning")  # noqa: T201


def spin_with_heartbeats() -> None:
    """Report every 20 ms that a step of a request is over."""
    due = 0.0
    while True:
        if time.monotonic() > due:
            due = time.monotonic() + 0.02
            os.write(3, b"\x00\x00\x00\x04\x93\x07\x90\x00")
