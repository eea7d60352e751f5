"""Fails at import, with a secret of its environment in the message."""

import os

from outdial.functions import Context, Request, Response, with_supabase


@with_supabase(auth="none")
async def fetch(request: Request, ctx: Context) -> Response:
    """Never called."""
    return Response.json({"ok": True})


def prepare() -> None:
    """Fail, a call deep."""
    raise LookupError(f"no table for {os.environ.get('OWN_SECRET', 'nobody')}")


prepare()
