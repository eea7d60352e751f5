"""The gateway's end of one worker process: its socket, its output, and its resource usage."""

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
from outdial.host.pool.output_quota import OutputQuota
from outdial.host.pool.raw_output import RawOutput
from outdial.host.pool.stats import ProcessStatus
from outdial.host.wire import frames
from outdial.host.wire.channel import Channel
from outdial.host.wire.errors import BadFrame
from outdial.log import log

# A worker's ends of socket and pipes close with it, unless it passed them to a child.
_CLOSE_S = 1.0
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """How a process ended: its exit status, or the signal that killed it (else 0), and its CPU time.

    `memory_mb` is its memory in MiB when the kernel killed it for that, otherwise 0.
    """

    status: int
    signal: int
    cpu_s: float
    memory_mb: int = 0


# Raises BadFrame for a frame that the worker must not send now.
OnFrame = Callable[[frames.ToGateway], None]
OnExit = Callable[[ProcessExit], None]


class ZygoteControl(Protocol):
    """What a worker process needs of its zygote."""

    memory_mb: float

    def kill(self, number: int) -> None:
        """Kill a worker, unless it has ended."""
        ...

    def on_worker_ready(self, ready: frames.ReadyFrame) -> None:
        """Handle the ready frame of a worker."""
        ...


class WorkerProcess:
    """One worker process. `exited` is done when it has ended and all its output has been passed on."""

    def __init__(
        self, zygote: ZygoteControl, *, number: int, env: Mapping[str, str], on_frame: OnFrame, on_exit: OnExit
    ) -> None:
        self.pid = 0
        self.exited: asyncio.Future[ProcessExit] = asyncio.get_running_loop().create_future()
        self._zygote = zygote
        self._number = number
        self._env = env
        self._on_frame = on_frame
        self._on_exit = on_exit
        self._reader = frames.worker_frame_reader()
        self._quota = OutputQuota(time.monotonic())
        self._open_streams = 0
        self._streams_closed = asyncio.Event()
        self._cpu_ms = 0.0
        self._redact: Redactor | None = None

    def connect(self) -> tuple[int, int, int]:
        """Open socket and pipes and send the environment. Return the worker's descriptors, which the caller closes.

        They are the frame socket, standard output and standard error. Raises OSError when descriptors run out.
        """
        with ExitStack() as undo:
            ours, theirs = (undo.enter_context(end) for end in socket.socketpair())
            output, their_output = _pipe(undo)
            errors, their_errors = _pipe(undo)
            undo.pop_all()
        self._channel = Channel(ours, self._on_data, self._stream_closed)
        self._channel.start_reading()
        self._channel.send(frames.encode(frames.EnvironmentFrame(dict(self._env))))
        self._outputs = (self._read_output(output, "info"), self._read_output(errors, "error"))
        self._open_streams = 1 + len(self._outputs)
        return theirs.detach(), their_output, their_errors

    def send(self, frame: bytes) -> None:
        """Send a frame at the end of this turn of the loop. No-op when the process has ended."""
        self._channel.send(frame)

    def kill(self) -> None:
        """Kill the process. No-op when it has ended."""
        if not self.exited.done():
            self._zygote.kill(self._number)

    def cpu_ms(self) -> float:
        """Return the CPU time used so far, in ms."""
        # The CPU clock of another process (man 3 clock_getcpuclockid); /proc has a resolution of 10 ms.
        with suppress(OSError):
            self._cpu_ms = time.clock_gettime_ns((~self.pid << 3) | 2) / 1e6
        return self._cpu_ms

    def status(self) -> ProcessStatus:
        """Return the memory used beyond the zygote's, and the number of threads; zeros when the process has ended."""
        status = read_status(self.pid)
        return ProcessStatus(max(0.0, status.memory_mb - self._zygote.memory_mb), status.threads)

    def disconnect(self) -> None:
        """Close socket and pipes."""
        for output in self._outputs:
            output.finish()
        self._channel.close()

    async def finish(self, result: ProcessExit) -> None:
        """Pass on the remaining output of the ended process, then call `on_exit`."""
        for output in self._outputs:
            output.finish()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._streams_closed.wait()
        self.disconnect()
        if not self.exited.done():
            self.exited.set_result(result)
        self._on_exit(result)

    def _on_data(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                if type(frame) is frames.LogFrame:
                    self._quota.charge(frame, time.monotonic())
                elif type(frame) is frames.ReadyFrame:
                    self._zygote.on_worker_ready(frame)
                self._on_frame(frame)
        except BadFrame as error:
            log("host.bad_frame", level="error", pid=self.pid, reason=str(error))
            self._channel.close()
            self.kill()

    def _read_output(self, descriptor: int, level: frames.Level) -> RawOutput:
        def on_lines(texts: list[str], dropped: int) -> None:
            if self._redact is None:
                self._redact = Redactor(self._env)
            at_ms = int(_CLOCK.now().timestamp() * 1000)
            lines = [frames.LogLine(at_ms, level, "", self._redact(text)) for text in texts]
            self._on_frame(frames.LogFrame(lines, dropped))

        return RawOutput(descriptor, on_lines, self._stream_closed)

    def _stream_closed(self) -> None:
        self._open_streams -= 1
        if self._open_streams == 0:
            self._streams_closed.set()


def _pipe(undo: ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe()
    undo.callback(os.close, reading)
    undo.callback(os.close, writing)
    # A full pipe must not block the function: writes fail instead, as on a full disk.
    os.set_blocking(writing, False)
    return reading, writing


def read_status(pid: int) -> ProcessStatus:
    """Return the anonymous and shared memory and the threads of a process; zeros when it has ended."""
    try:
        with open(f"/proc/{pid}/status", "rb") as status:
            text = status.read()
    except OSError:
        return ProcessStatus(0.0, 0)
    anonymous, shared, threads = (_number_after(name, text) for name in (b"RssAnon:", b"RssShmem:", b"Threads:"))
    return ProcessStatus((anonymous + shared) / 1024, threads)


def _number_after(name: bytes, text: bytes) -> int:
    start = text.find(name)
    return int(text[start + len(name) :].split(None, 1)[0]) if start >= 0 else 0
