"""Eats memory: in its heap, by `/eats-memory/at-once` in one piece, by `/eats-memory/shared` where no limit counts.

`/eats-memory/for-good` keeps what it has eaten, to the last kilobyte.
"""

import mmap
from typing import Any

from outdial.functions import Context, Request, Response, with_supabase

PIECE = 4 << 20
kept: list[Any] = []


@with_supabase(auth="none")
async def fetch(request: Request, ctx: Context) -> Response:
    """Eat until there is no more, but for /eats-memory/well."""
    mode = request.path.rpartition("/")[2]
    if mode == "well":
        return Response.json({"ok": True})
    if mode == "at-once":
        kept.append(bytearray(1 << 40))
    if mode == "for-good":
        eat_for_good()
    if mode == "shared":
        pages = mmap.mmap(-1, 256 << 20)
        for _ in range(0, len(pages), PIECE):
            pages.write(bytes(PIECE))
        kept.append(pages)
        return Response.json({"ok": True})
    eaten = []
    while True:
        eaten.append(bytearray(PIECE))


def eat_for_good() -> None:
    """Leave nothing, and never give it back."""
    size = PIECE
    while size >= 512:
        try:
            kept.append(bytearray(size))
        except MemoryError:
            size //= 2
