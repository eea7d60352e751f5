"""Prints a gigabyte: `/prints-a-gigabyte` by print, `/prints-a-gigabyte/raw` past Python's streams."""

import asyncio
import os

from outdial.functions import Context, Request, Response, with_supabase

PIECE = "x" * (1 << 20)


@with_supabase(auth="none")
async def fetch(request: Request, ctx: Context) -> Response:
    """Print 1024 times a mebibyte, but for /prints-a-gigabyte/well."""
    mode = request.path.rpartition("/")[2]
    if mode == "well":
        return Response.json({"ok": True})
    refused = 0
    for _ in range(1024):
        if mode == "raw":
            try:
                os.write(1, PIECE.encode())
            except BlockingIOError:
                refused += 1
        else:
            print(PIECE)  # noqa: T201
        await asyncio.sleep(0)
    return Response.json({"refused": refused})
