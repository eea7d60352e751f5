"""Starts as many threads as it can, up to 1,000; returns how many ran at once."""

import _thread
import asyncio
import threading

from outdial.functions import Context, Request, Response, with_supabase

MOST = 1_000
done = threading.Event()


@with_supabase(auth="none")
async def fetch(request: Request, ctx: Context) -> Response:
    """Start threads that wait, and end them unless asked to hold them.

    Each has a small stack, so that memory is not what limits them.
    """
    done.clear()
    before = threading.stack_size(64 << 10)
    started = 0
    try:
        while started < MOST:
            _thread.start_new_thread(done.wait, ())
            started += 1
    except RuntimeError:
        pass
    threading.stack_size(before)
    if request.path.endswith("/hold"):
        await asyncio.sleep(3600)
    done.set()
    return Response.json({"started": started})
