"""Size and time limits of the HTTP server."""

from dataclasses import dataclass

from outdial.request_limits import RequestLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits(RequestLimits):
    """Limits of a server and its connections. Times are in seconds, enforced within `sweep_s`; sizes are in bytes."""

    header_lines: int = 200
    # A connection without a request.
    idle_s: float = 75.0
    # A client that does not read its response.
    unread_s: float = 30.0
    # How much of a rejected body is read to keep the connection usable. A longer body closes the connection.
    discard: int = 256 * 1024
    # How long, and for how many bytes, a client may keep sending after the response that closes its connection.
    linger_s: float = 5.0
    linger_bytes: int = 64 * 1024 * 1024
    # Requests pipelined in one connection.
    pipelined: int = 64
    # Over this many connections, the longest idle one closes, or else the slowest request.
    connections: int = 10_000
    # Bytes of all requests that are being received or served. Over it, the server ends requests that are still
    # arriving, first those that have held the most for the longest. An application has to limit what it holds itself.
    # The senders of these bytes are not authenticated yet.
    held_bytes: int = 256 * 1024 * 1024
    handshake_s: float = 10.0
