"""Spins: within one step, by `/spins/in-steps` giving way now and then, by `/spins/printing` with many words."""

import asyncio

from outdial.functions import Context, Request, Response, with_supabase


@with_supabase(auth="none")
async def fetch(request: Request, ctx: Context) -> Response:
    """Spin, but for /spins/well."""
    mode = request.path.rpartition("/")[2]
    if mode == "well":
        return Response.json({"ok": True})
    print("about to spin")  # noqa: T201
    turns = 0
    while True:
        turns += 1
        if mode == "in-steps" and turns % 100_000 == 0:
            await asyncio.sleep(0)
        if mode == "printing":
            print("still spinning")  # noqa: T201
