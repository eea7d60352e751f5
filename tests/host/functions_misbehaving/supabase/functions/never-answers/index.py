"""Never answers."""

import asyncio

from outdial.functions import Context, Request, Response, with_supabase


@with_supabase(auth="none")
async def fetch(request: Request, ctx: Context) -> Response:
    """Wait for what never comes, but for /never-answers/well."""
    if not request.path.endswith("/well"):
        await asyncio.Event().wait()
    return Response.json({"ok": True})
