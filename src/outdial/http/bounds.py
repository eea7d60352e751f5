"""How much, and for how long: what a client may cost before it has been answered."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Times are in seconds and end within `sweep_s` of what they say; sizes are in bytes."""

    # All header lines with the request line, and how many there may be.
    header_bytes: int = 64 * 1024
    header_lines: int = 200
    # From the first byte of a request to the end of its headers.
    header_s: float = 10.0
    # A body must go on: this long without a byte, or fewer than `body_rate` bytes per second over the whole, is 408.
    body_s: float = 30.0
    body_rate: float = 4096.0
    # A connection without a request.
    idle_s: float = 75.0
    # A client that takes nothing of its answer.
    unread_s: float = 30.0
    # How much of a refused body is read so that the connection can be used again; beyond, it is closed.
    discard: int = 256 * 1024
    # How long, and for how many bytes, a client may go on sending after the answer that closes its connection.
    linger_s: float = 5.0
    linger_bytes: int = 64 * 1024 * 1024
    # Requests sent ahead of their answers in one connection.
    pipelined: int = 64
    connections: int = 10_000
    handshake_s: float = 10.0
    sweep_s: float = 1.0
