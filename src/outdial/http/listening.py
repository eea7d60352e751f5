"""Listening sockets, opened here or inherited from a parent process."""

import socket

from outdial.http.errors import CannotListen

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on `host` and `port`; port 0 picks a free one. Raise CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        name = f"[{host}]" if ":" in host else host
        raise CannotListen(f"{name}:{port}: {error.strerror or error}") from error
    return _configure(listener)


def adopt(descriptor: int) -> socket.socket:
    """Return the listening socket inherited as file descriptor `descriptor`. Raise CannotListen when it is not one."""
    try:
        listener = socket.socket(fileno=descriptor)
    except OSError as error:
        raise CannotListen(f"file descriptor {descriptor}: {error.strerror or error}") from error
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listener.detach()
        raise CannotListen(f"file descriptor {descriptor}: the socket does not listen")
    return _configure(listener)


def url_of(listener: socket.socket, *, tls: bool = False) -> str:
    """Return the base URL of `listener`, without a path."""
    host, port = listener.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _configure(listener: socket.socket) -> socket.socket:
    listener.setblocking(False)
    if listener.family in (socket.AF_INET, socket.AF_INET6):
        # With Nagle's algorithm on, a response in two segments waits 40 ms for an acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
