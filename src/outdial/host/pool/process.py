"""The process of one worker as the gateway holds it: its socket, its output, and what the system tells of it."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Protocol

from outdial.clock import SystemClock
from outdial.functions.log import Redactor
from outdial.host.pool.raw_output import RawOutput
from outdial.host.wire import frames
from outdial.host.wire.channel import Channel
from outdial.host.wire.errors import BadFrame
from outdial.log import log

# The ends that a worker holds close with it, unless it was allowed to pass them on.
_CLOSES_S = 1.0
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """How a process ended: its exit status, or the signal that ended it (else 0), and the CPU time that it used."""

    status: int
    signal: int
    cpu_s: float


OnFrame = Callable[[frames.ToGateway], None]
OnExit = Callable[[ProcessExit], None]


class ZygoteControl(Protocol):
    """The zygote, as far as its workers need it."""

    memory_mb: float

    def kill(self, number: int) -> None:
        """End a worker at once, unless it has ended."""
        ...

    def heard(self, ready: frames.ReadyFrame) -> None:
        """Learn that a worker is ready."""
        ...


class WorkerProcess:
    """One worker. `ended` is done when it has ended and all that it said has been handed on."""

    def __init__(
        self, parent: ZygoteControl, number: int, env: Mapping[str, str], on_frame: OnFrame, on_end: OnExit
    ) -> None:
        self.pid = 0
        self.ended: asyncio.Future[ProcessExit] = asyncio.get_running_loop().create_future()
        self._parent, self._number, self._env, self._on_frame, self._on_end = parent, number, env, on_frame, on_end
        self._reader = frames.worker_frame_reader()
        self._open = 0
        self._is_heard_out = asyncio.Event()
        self._cpu_ms = 0.0
        self._redact: Redactor | None = None

    def connect(self) -> tuple[int, int, int]:
        """Open this side, send the environment ahead, and return the other side's descriptors, the caller's to close.

        They are the socket of frames, standard output and standard error. Raises OSError when there are no more.
        """
        with ExitStack() as undo:
            ours, theirs = (undo.enter_context(end) for end in socket.socketpair())
            output, their_output = _pipe(undo)
            errors, their_errors = _pipe(undo)
            undo.pop_all()
        self._channel = Channel(ours, self._read, self._close_one)
        self._channel.start_reading()
        self._channel.send(frames.encode(frames.EnvironmentFrame(dict(self._env))))
        self._outputs = (self._raw(output, "info"), self._raw(errors, "error"))
        self._open = 1 + len(self._outputs)
        return theirs.detach(), their_output, their_errors

    def send(self, frame: bytes) -> None:
        """Write a frame at the end of this turn of the loop; nothing happens when the process has ended."""
        self._channel.send(frame)

    def kill(self) -> None:
        """End the process at once; nothing happens when it has ended."""
        if not self.ended.done():
            self._parent.kill(self._number)

    def cpu_ms(self) -> float:
        """Return the CPU time used so far, in ms."""
        # The clock of another process (man 3 clock_getcpuclockid); /proc would tell it in steps of 10 ms.
        with suppress(OSError):
            self._cpu_ms = time.clock_gettime_ns((~self.pid << 3) | 2) / 1e6
        return self._cpu_ms

    def memory_mb(self) -> float:
        """Return the memory that it has come to use beside what the zygote had, in MiB; 0 when it has ended."""
        return max(0.0, memory_mb(self.pid) - self._parent.memory_mb)

    def disconnect(self) -> None:
        """Let go of what is open."""
        for output in self._outputs:
            output.finish()
        self._channel.close()

    async def end(self, ended: ProcessExit) -> None:
        """Hand on what it has left to say, then that it ended."""
        for output in self._outputs:
            output.finish()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSES_S):
                await self._is_heard_out.wait()
        self.disconnect()
        if not self.ended.done():
            self.ended.set_result(ended)
        self._on_end(ended)

    def _read(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                if type(frame) is frames.ReadyFrame:
                    self._parent.heard(frame)
                self._on_frame(frame)
        except BadFrame as error:
            log("host.bad_frame", level="error", pid=self.pid, reason=str(error))
            self._channel.close()
            self.kill()

    def _raw(self, descriptor: int, level: frames.Level) -> RawOutput:
        return RawOutput(descriptor, lambda lines, dropped: self._keep(level, lines, dropped), self._close_one)

    def _keep(self, level: frames.Level, texts: list[str], dropped: int) -> None:
        if self._redact is None:
            self._redact = Redactor(self._env)
        at_ms = int(_CLOCK.now().timestamp() * 1000)
        lines = [frames.LogLine(at_ms, level, "", self._redact(text)) for text in texts]
        self._on_frame(frames.LogFrame(lines, dropped))

    def _close_one(self) -> None:
        self._open -= 1
        if self._open == 0:
            self._is_heard_out.set()


def _pipe(undo: ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe()
    undo.callback(os.close, reading)
    undo.callback(os.close, writing)
    # A full pipe must not hold up who prints: it fails, as on a full disk.
    os.set_blocking(writing, False)
    return reading, writing


def memory_mb(pid: int) -> float:
    """Return the memory of a process that no file stands behind, in MiB; 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/status", "rb") as status:
            text = status.read()
    except OSError:
        return 0.0
    kib = 0
    for name in (b"RssAnon:", b"RssShmem:"):
        start = text.find(name)
        if start >= 0:
            kib += int(text[start + len(name) :].split(None, 1)[0])
    return kib / 1024
