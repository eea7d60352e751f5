"""Frames between gateway and worker: msgpack, each frame after its length in four bytes, big-endian."""

from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from outdial.host.wire.errors import BadFrame
from outdial.host.wire.invocation import Invocation

MAX_FRAME = 64 << 20
# Everything from a worker but the body of a response: two texts of MAX_LINE characters of four bytes fit.
MAX_FROM_WORKER = 128 << 10
MAX_RESPONSE_HEADERS = 1_000
_LENGTH = 4
# Supabase's limit for a log line (docs: Edge Functions, Limits).
MAX_LINE = 10_000
_HALF_LINE = MAX_LINE // 2 - 50
# A worker's log keeps at most this many lines and characters per second, and sends at most these lines at once.
MAX_LINES = 1_000
MAX_CHARACTERS = 1 << 20

Level = Literal["debug", "info", "warning", "error"]
Resource = Literal["cpu", "memory", "threads"]


class InvokeFrame(msgspec.Struct, array_like=True, tag=1, gc=False):
    """Gateway to worker: run this invocation; `number` is unique on the socket."""

    number: int
    invocation: Invocation


class RetireFrame(msgspec.Struct, array_like=True, tag=2, gc=False):
    """Gateway to worker: finish requests in flight and background tasks, then exit."""


class EnvironmentFrame(msgspec.Struct, array_like=True, tag=8, gc=False):
    """Gateway to worker, first of all: the environment. It must not pass through the zygote."""

    env: dict[str, str]

    def __repr__(self) -> str:
        return f"EnvironmentFrame({len(self.env)} settings)"


class ReadyFrame(msgspec.Struct, array_like=True, tag=3, gc=False):
    """Worker to gateway: the function has started; `missing` lists sandbox layers that this kernel lacks."""

    boot_ms: float
    missing: list[str] = []


class BootFailedFrame(msgspec.Struct, array_like=True, tag=4, gc=False):
    """Worker to gateway: the function did not start."""

    message: str
    traceback: str


class ResponseFrame(msgspec.Struct, array_like=True, tag=5, gc=False):
    """Worker to gateway: the function's response; `cpu_us` is the CPU time of this request alone."""

    number: int
    status: int
    headers: Annotated[list[tuple[bytes, bytes]], Meta(max_length=MAX_RESPONSE_HEADERS)]
    body: bytes
    cpu_us: int


class LimitFrame(msgspec.Struct, array_like=True, tag=6, gc=False):
    """Worker to gateway: the request exceeded a limit and was aborted; ms for cpu, MiB for memory.

    After `memory` the worker may be damaged: the gateway retires it.
    """

    number: int
    resource: Resource
    limit: int
    used: int


class LogLine(msgspec.Struct, array_like=True, gc=False):
    """A line that a function logged or printed. `request_id` is empty outside a request; `at_ms` is Unix time."""

    at_ms: int
    level: Level
    request_id: str
    text: Annotated[str, Meta(max_length=MAX_LINE)]


class LogFrame(msgspec.Struct, array_like=True, tag=7, gc=False):
    """Worker to gateway: log lines, and the number of lines that were dropped.

    An empty frame is a heartbeat: one long step of a request is over.
    """

    lines: Annotated[list[LogLine], Meta(max_length=MAX_LINES)]
    dropped: Annotated[int, Meta(ge=0, le=1 << 40)]


ToWorker = InvokeFrame | RetireFrame | EnvironmentFrame
ToGateway = ReadyFrame | BootFailedFrame | ResponseFrame | LimitFrame | LogFrame
Frame = TypeVar("Frame")

_encode = msgspec.msgpack.Encoder().encode
# The first two bytes of a ResponseFrame: an array of six, and its tag.
_RESPONSE = b"\x96\x05"
_BEGIN = _LENGTH + len(_RESPONSE)


def encode(frame: ToWorker | ToGateway) -> bytes:
    """Return `frame` with its length prefix."""
    content = _encode(frame)
    return len(content).to_bytes(_LENGTH, "big") + content


def encode_log(frame: LogFrame) -> list[bytes]:
    """Return `frame` with its length prefix, split into frames that are not too long for the gateway."""
    encoded = encode(frame)
    if len(encoded) <= MAX_FROM_WORKER or len(frame.lines) <= 1:
        return [encoded]
    middle = len(frame.lines) // 2
    first, second = LogFrame(frame.lines[:middle], 0), LogFrame(frame.lines[middle:], frame.dropped)
    return [*encode_log(first), *encode_log(second)]


def shorten_line(text: str) -> str:
    """Return `text`, cut in the middle to MAX_LINE characters: a traceback ends with the cause."""
    if len(text) <= MAX_LINE:
        return text
    return f"{text[:_HALF_LINE]} ... {len(text) - 2 * _HALF_LINE} characters cut ... {text[-_HALF_LINE:]}"


def gateway_frame_reader() -> "FrameReader[ToWorker]":
    """Return a reader of frames from the gateway."""
    return FrameReader(msgspec.msgpack.Decoder(ToWorker))


def worker_frame_reader() -> "FrameReader[ToGateway]":
    """Return a reader of frames from a worker."""
    return FrameReader(msgspec.msgpack.Decoder(ToGateway), MAX_FROM_WORKER)


class FrameReader(Generic[Frame]):
    """Splits a byte stream into frames, in linear time however the stream is fragmented.

    Only the body of a response may be longer than `max_length`: decoding a million small values would block the loop
    for seconds.
    """

    def __init__(self, decoder: msgspec.msgpack.Decoder[Frame], max_length: int = MAX_FRAME) -> None:
        self._decode = decoder.decode
        self._max_length = max_length
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._needed = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes. Raise BadFrame on invalid data."""
        if self._buffered:
            self._pieces.append(data)
            self._buffered += len(data)
            if self._buffered < self._needed:
                return []
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._buffered = 0
        frames: list[Frame] = []
        rest = self._split(memoryview(data), frames)
        if rest < len(data):
            self._pieces.append(data[rest:])
            self._buffered = len(data) - rest
        return frames

    def _split(self, data: memoryview, frames: list[Frame]) -> int:
        """Append the complete frames of `data` to `frames`; return where the incomplete rest begins."""
        start, end = 0, len(data)
        self._needed = _LENGTH
        while end - start >= _LENGTH:
            length = int.from_bytes(data[start : start + _LENGTH], "big")
            following = start + _LENGTH + length
            if length > self._max_length:
                if length > MAX_FRAME:
                    raise BadFrame(f"a frame of {length} bytes is longer than {MAX_FRAME}")
                begin = data[start + _LENGTH : start + _BEGIN]
                if begin != _RESPONSE[: len(begin)]:
                    raise BadFrame(f"a frame of {length} bytes is longer than {self._max_length} and no response")
            if following > end:
                # At first only enough to tell whether it may be so long.
                self._needed = following - start if end - start >= _BEGIN else min(following - start, _BEGIN)
                break
            try:
                frame = self._decode(data[start + _LENGTH : following])
            except msgspec.MsgspecError as error:
                raise BadFrame(str(error)) from error
            if isinstance(frame, ResponseFrame) and length - len(frame.body) > self._max_length:
                raise BadFrame(f"the headers of a response have more than {self._max_length} bytes")
            frames.append(frame)
            start = following
        return start
