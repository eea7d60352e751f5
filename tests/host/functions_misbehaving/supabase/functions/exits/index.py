"""Exits: by sys.exit, by `/exits/hard` past Python, by `/exits/crash` as C code does, by `/exits/later` in a task."""

import ctypes
import os
import sys

from outdial.functions import Context, Request, Response, with_supabase


async def leave() -> None:
    """Exit in the background."""
    sys.exit(4)


@with_supabase(auth="none")
async def fetch(request: Request, ctx: Context) -> Response:
    """Exit, but for /exits/well."""
    mode = request.path.rpartition("/")[2]
    if mode == "well":
        return Response.json({"ok": True})
    print("about to exit")  # noqa: T201
    if mode == "hard":
        os._exit(3)
    if mode == "crash":
        ctypes.string_at(0)
    if mode == "later":
        ctx.wait_until(leave())
        return Response.json({"ok": True})
    sys.exit(2)
