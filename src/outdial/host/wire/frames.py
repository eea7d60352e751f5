"""What gateway and worker say to each other: msgpack, each frame behind its length in four bytes, big-endian."""

from typing import Generic, Literal, TypeVar

import msgspec

from outdial.host.wire.errors import BadFrame
from outdial.host.wire.invocation import Invocation

LARGEST = 64 << 20
_LENGTH = 4

Level = Literal["debug", "info", "warning", "error"]
Resource = Literal["cpu", "memory"]


class InvokeFrame(msgspec.Struct, array_like=True, tag=1, gc=False):
    """Gateway to worker: answer this request; `number` is unique on this socket."""

    number: int
    invocation: Invocation


class RetireFrame(msgspec.Struct, array_like=True, tag=2, gc=False):
    """Gateway to worker: finish what is under way, the work in the background included, and exit."""


class EnvironmentFrame(msgspec.Struct, array_like=True, tag=8, gc=False):
    """Gateway to worker, before all else: the environment, which so never passes through the zygote."""

    env: dict[str, str]

    def __repr__(self) -> str:
        return f"Begin({len(self.env)} settings)"


class ReadyFrame(msgspec.Struct, array_like=True, tag=3, gc=False):
    """Worker to gateway: the function is imported and started; `missing` names the fences this kernel has not."""

    boot_ms: float
    missing: list[str] = []


class BootFailedFrame(msgspec.Struct, array_like=True, tag=4, gc=False):
    """Worker to gateway: the function did not start, for the reason told in `message` and `traceback`."""

    message: str
    traceback: str


class ResponseFrame(msgspec.Struct, array_like=True, tag=5, gc=False):
    """Worker to gateway: the answer; `headers` are lines that end with CRLF, `cpu_us` what the request itself used."""

    number: int
    status: int
    headers: bytes
    body: bytes
    cpu_us: int


class LimitFrame(msgspec.Struct, array_like=True, tag=6, gc=False):
    """Worker to gateway: the request was ended, since it met a limit; ms for cpu, MiB for memory.

    After `memory` the worker is not to be trusted with more: the gateway retires it, and may send what it had begun to.
    """

    number: int
    resource: Resource
    limit: int
    used: int


class LogLine(msgspec.Struct, array_like=True, gc=False):
    """What a function logged or printed; `request_id` is empty outside a request, `at_ms` is Unix time."""

    at_ms: int
    level: Level
    request_id: str
    text: str


class LogFrame(msgspec.Struct, array_like=True, tag=7, gc=False):
    """Worker to gateway: lines of the log, and how many more there were that were not kept.

    Without either it is a sign of life: a step of a request is over that took a while.
    """

    lines: list[LogLine]
    dropped: int


ToWorker = InvokeFrame | RetireFrame | EnvironmentFrame
ToGateway = ReadyFrame | BootFailedFrame | ResponseFrame | LimitFrame | LogFrame
Frame = TypeVar("Frame")

_encode = msgspec.msgpack.Encoder().encode


def encode(frame: ToWorker | ToGateway) -> bytes:
    """Return `frame` as it goes over the socket."""
    content = _encode(frame)
    return len(content).to_bytes(_LENGTH, "big") + content


def gateway_frame_reader() -> "FrameReader[ToWorker]":
    """Return a reader of what a worker is told."""
    return FrameReader(msgspec.msgpack.Decoder(ToWorker))


def worker_frame_reader() -> "FrameReader[ToGateway]":
    """Return a reader of what a worker tells."""
    return FrameReader(msgspec.msgpack.Decoder(ToGateway))


class FrameReader(Generic[Frame]):
    """Cuts what comes over a socket into frames, in time linear to its length however it comes in pieces."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[Frame]) -> None:
        self._decode = decoder.decode
        self._pieces: list[bytes] = []
        self._waiting = self._needed = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes; raise BadFrame for what is none."""
        if self._waiting:
            self._pieces.append(data)
            self._waiting += len(data)
            if self._waiting < self._needed:
                return []
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._waiting = 0
        frames: list[Frame] = []
        rest = self._cut(memoryview(data), frames)
        if rest < len(data):
            self._pieces.append(data[rest:])
            self._waiting = len(data) - rest
        return frames

    def _cut(self, data: memoryview, frames: list[Frame]) -> int:
        start, end = 0, len(data)
        self._needed = _LENGTH
        while end - start >= _LENGTH:
            length = int.from_bytes(data[start : start + _LENGTH], "big")
            if length > LARGEST:
                raise BadFrame(f"a frame of {length} bytes is longer than {LARGEST}")
            following = start + _LENGTH + length
            if following > end:
                self._needed = following - start
                break
            try:
                frames.append(self._decode(data[start + _LENGTH : following]))
            except msgspec.MsgspecError as error:
                raise BadFrame(str(error)) from error
            start = following
        return start
