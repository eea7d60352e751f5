"""Opens sockets: the body is `{"unix": path, "tcp": port}`, the answer tells what came of each kind."""

import ctypes
import socket
from collections.abc import Callable
from typing import Any

from outdial.functions import Context, Request, Response, with_supabase


def connect_unix(path: str) -> None:
    """Connect as a client of Postgres would."""
    with socket.socket(socket.AF_UNIX) as opened:
        opened.connect(path)


def connect_unix_through_a_pair(path: str) -> None:
    """Connect a socket that was made in a pair, and so needed no socket()."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.connect(path)


def reconnect_a_pair_of_streams(path: str) -> None:
    """Connect one of a pair of streams elsewhere."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.connect(path)


def make_ring() -> None:
    """Ask for an io_uring, whose operations no filter sees."""
    libc = ctypes.CDLL(None, use_errno=True)
    parameters = ctypes.create_string_buffer(120)
    if libc.syscall(425, 1, parameters) < 0:
        raise OSError(ctypes.get_errno(), "io_uring_setup")


def listen() -> None:
    """Serve the network."""
    with socket.create_server(("127.0.0.1", 0)):
        pass


def listen_without_bind(family: int) -> None:
    """Serve the network, at a port that the kernel chooses."""
    with socket.socket(family) as opened:
        opened.listen()


@with_supabase(auth="none")
async def fetch(request: Request, ctx: Context) -> Response:
    """Try every kind."""
    if request.path.endswith("/well"):
        return Response.json({"ok": True})
    wanted: dict[str, Any] = await request.json()
    ways: dict[str, Callable[[], object]] = {
        "unix": lambda: connect_unix(wanted["unix"]),
        "unix by a pair": lambda: connect_unix_through_a_pair(wanted["unix"]),
        "unix by a pair of streams": lambda: reconnect_a_pair_of_streams(wanted["unix"]),
        "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
        "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close(),
        "ring": make_ring,
        "listening": listen,
        "listening anywhere": lambda: listen_without_bind(socket.AF_INET),
        "listening on IPv6": lambda: listen_without_bind(socket.AF_INET6),
        "MPTCP": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close(),
        "SCTP": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).close(),
        "tcp": lambda: socket.create_connection(("127.0.0.1", wanted["tcp"])).close(),
        "names": lambda: socket.getaddrinfo("localhost", 80),
    }
    return Response.json({name: attempt(act) for name, act in ways.items()})


def attempt(act: Callable[[], object]) -> str:
    """Return what came of it."""
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"
