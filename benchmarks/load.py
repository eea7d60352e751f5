"""A closed-loop load generator: sends prebuilt HTTP requests over keep-alive connections."""

import asyncio
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit


class LoadFailed(Exception):
    """A response was not 200, a connection broke, or the run took too long."""


@dataclass(frozen=True, slots=True)
class Load:
    """Results of a run. `latencies_s` has one number per request, in the order of the responses."""

    elapsed_s: float
    latencies_s: "array[float]"

    @property
    def per_second(self) -> float:
        """Responses per second."""
        return len(self.latencies_s) / self.elapsed_s

    def __add__(self, other: "Load") -> "Load":
        return Load(self.elapsed_s + other.elapsed_s, self.latencies_s + other.latencies_s)

    def percentile_ms(self, percent: float) -> float:
        """Return the latency in ms that `percent` of the requests did not exceed (nearest rank)."""
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def request(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Return the bytes of a POST of `body` to `url`."""
    parts = urlsplit(url)
    lines = [
        f"POST {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def drive(url: str, requests: Sequence[bytes], *, connections: int, limit_s: float) -> Load:
    """Send every request once over `connections` connections; raise LoadFailed unless all get a 200 in time."""
    host, _, port = urlsplit(url).netloc.partition(":")
    run = _Run(requests)
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(lambda: _Connection(run), host, int(port)) for _ in range(connections)]
    started = time.perf_counter()
    for _, connection in opened:
        connection.send_next()
    try:
        await asyncio.wait_for(run.done, limit_s)
    except TimeoutError:
        raise LoadFailed(f"{len(run.latencies_s)} of {len(requests)} responses after {limit_s:.0f} s") from None
    finally:
        for transport, _ in opened:
            transport.close()
    return Load(time.perf_counter() - started, run.latencies_s)


class _Run:
    def __init__(self, requests: Sequence[bytes]) -> None:
        self.requests = iter(requests)
        self.total = len(requests)
        self.latencies_s = array("d")
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def count_response(self, latency_s: float) -> None:
        self.latencies_s.append(latency_s)
        if len(self.latencies_s) == self.total and not self.done.done():
            self.done.set_result(None)

    def fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(LoadFailed(reason))


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.fail(f"a connection was closed: {exc}")

    def send_next(self) -> None:
        assert self._transport is not None
        following = next(self._run.requests, None)
        if following is not None:
            self._sent_at = time.perf_counter()
            self._transport.write(following)

    def data_received(self, data: bytes) -> None:
        self._buffer = buffer = self._buffer + data if self._buffer else data
        head = buffer.find(b"\r\n\r\n")
        if head < 0 or len(buffer) < head + 4 + _content_length(buffer[:head]):
            return
        if not buffer.startswith(b"HTTP/1.1 200"):
            self._run.fail(buffer[:500].decode(errors="replace"))
            return
        self._buffer = b""
        self._run.count_response(time.perf_counter() - self._sent_at)
        self.send_next()


def _content_length(head: bytes) -> int:
    # A response without the header would be chunked; no server here sends one.
    start = head.lower().index(b"content-length:") + 15
    end = head.find(b"\r", start)
    return int(head[start : end if end >= 0 else len(head)])
