"""Eats memory: in its heap, by `/eats-memory/at-once` in one piece, by `/eats-memory/uncounted` where no rlimit counts.

`/eats-memory/for-good` keeps what it has eaten, to the last kilobyte. `/eats-memory/shared` tries to get memory that
stays when it leaves the process, and returns what came of each way.
"""

import ctypes
import mmap
import os
from collections.abc import Callable
from typing import Any

from outdial.functions import Context, Request, Response, with_supabase

PIECE = 4 << 20
kept: list[Any] = []
# As a stack, it does not count as data.
GROWS_DOWN = 0x100
SHARED_VALIDATE = 3


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
        return Response.json({name: attempt(act) for name, act in SHARED.items()})
    if mode == "uncounted":
        pages = mmap.mmap(-1, 256 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | GROWS_DOWN)
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


def map_zeros() -> None:
    """Map the device whose shared mappings are anonymous memory."""
    descriptor = os.open("/dev/zero", os.O_RDONLY)
    mmap.mmap(descriptor, PIECE, mmap.MAP_SHARED, mmap.PROT_READ)


def give_pages_to_a_pipe() -> None:
    """Keep pages alive in a pipe."""
    _, writing = os.pipe()
    part = (ctypes.c_size_t * 2)(ctypes.addressof(ctypes.create_string_buffer(4096)), 4096)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.vmsplice(writing, part, 1, 0) < 0:
        raise OSError(ctypes.get_errno(), "vmsplice")


SHARED: dict[str, Callable[[], object]] = {
    "anonymous": lambda: mmap.mmap(-1, PIECE),
    "validated": lambda: mmap.mmap(-1, PIECE, flags=SHARED_VALIDATE | mmap.MAP_ANONYMOUS),
    "zeros": map_zeros,
    "memfd": lambda: os.memfd_create("memory"),
    "pipe": give_pages_to_a_pipe,
}


def attempt(act: Callable[[], object]) -> str:
    """Return what came of it."""
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"
