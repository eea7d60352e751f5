"""Ports that nothing else on this machine gets while a test uses them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port() -> Iterator[int]:
    """Reserve a port: only who names it can listen on it, one after another. Until then, it refuses connections.

    The kernel hands out a port that was found free and let go again to whatever asks for one next.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
