"""Writes frames to the worker's socket itself, past all limits of the worker: one kind for each path."""

import os
import socket
import struct
from collections.abc import Callable

from outdial.functions import Context, Request, Response, with_supabase

LINE = b"\x94\x00\xa4info\xa0\xa0"
PIECE = 1 << 20


def frame(content: bytes) -> bytes:
    """Return a frame."""
    return struct.pack(">I", len(content)) + content


def log_frame(lines: int) -> bytes:
    """Return a frame of empty lines."""
    return frame(b"\x93\x07\xdd" + struct.pack(">I", lines) + LINE * lines + b"\x00")


def response(number: int, headers: int, body: int) -> bytes:
    """Return a response with empty headers."""
    values = b"\xdd" + struct.pack(">I", headers) + b"\x92\xc4\x00\xc4\x00" * headers
    return frame(
        b"\x96\x05" + bytes([number]) + b"\xcc\xc8" + values + b"\xc6" + struct.pack(">I", body) + bytes(body) + b"\x00"
    )


KINDS: dict[str, Callable[[], bytes]] = {
    "one-huge-log": lambda: log_frame((63 << 20) // len(LINE)),
    "many-logs": lambda: log_frame(1_000) * 100,
    "many-heartbeats": lambda: frame(b"\x93\x07\x90\x00") * 100_000,
    "long-line": lambda: frame(
        b"\x93\x07\x91\x94\x00\xa4info\xa0\xda" + struct.pack(">H", 60_000) + b"x" * 60_000 + b"\x00"
    ),
    "many-characters": lambda: (
        frame(b"\x93\x07\x91\x94\x00\xa4info\xa0\xda" + struct.pack(">H", 10_000) + b"x" * 10_000 + b"\x00") * 1_000
    ),
    "many-headers": lambda: response(1, 12 << 20, 0),
    "long-headers": lambda: frame(
        b"\x96\x05\x01\xcc\xc8\x91\x92\xc4\x01x\xc6" + struct.pack(">I", 32 << 20) + bytes(32 << 20) + b"\xc4\x00\x00"
    ),
    "another-response": lambda: response(99, 0, 10),
    "another-limit": lambda: frame(b"\x95\x06\x63\xa3cpu\x01\x01"),
    "ready-again": lambda: frame(b"\x93\x03\xca\x00\x00\x00\x00\x90"),
}


@with_supabase(auth="none")
async def fetch(request: Request, ctx: Context) -> Response:
    """Write, and respond as if nothing had happened."""
    kind = request.path.rpartition("/")[2]
    if kind != "well":
        end = socket.socket(fileno=os.dup(3))
        end.setblocking(True)
        end.sendall(KINDS[kind]())
    return Response.json({"ok": True})
