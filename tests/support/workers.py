"""Fake workers in the test's own process that exchange real frames over a real socket."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from outdial.host.pool.process import ProcessExit
from outdial.host.pool.spawning import WorkerSpec
from outdial.host.pool.stats import ProcessStatus
from outdial.host.wire import frames
from outdial.host.wire.channel import Channel
from outdial.host.wire.errors import BadFrame, HostError
from outdial.host.wire.frames import (
    BootFailedFrame,
    InvokeFrame,
    LogFrame,
    LogLine,
    ReadyFrame,
    ResponseFrame,
    RetireFrame,
)


async def until(condition: Callable[[], bool]) -> None:
    """Run the loop until the condition holds, or the test times out."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


class ManualClock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class FakeWorker:
    """The worker's end of a connection. The test makes it send frames, exit, or use memory and CPU."""

    def __init__(
        self,
        spawner: "FakeSpawner",
        spec: WorkerSpec,
        on_frame: Callable[[Any], None],
        on_exit: Callable[[ProcessExit], None],
    ) -> None:
        self.spawner, self.spec = spawner, spec
        self.pid = 100_000 + len(spawner.workers)
        self.cpu, self.memory, self.thread_count = 0.0, 10.0, 5
        self.requests: asyncio.Queue[InvokeFrame] = asyncio.Queue()
        self.retired, self.has_ended = asyncio.Event(), False
        self._open: set[int] = set()
        self._on_exit = on_exit
        theirs, ours = socket.socketpair()
        self._reader, self._worker_reader = frames.gateway_frame_reader(), frames.worker_frame_reader()
        self._on_frame = on_frame
        self._gateway = Channel(theirs, self._on_worker_data, self._on_disconnect)
        self._channel = Channel(ours, self._on_gateway_data, lambda: None)
        self._gateway.start_reading()
        self._channel.start_reading()
        self._ended = ProcessExit(0, 0, 0.1)

    # Called by the gateway.
    def send(self, frame: bytes) -> None:
        self._gateway.send(frame)

    def kill(self) -> None:
        self.end(ProcessExit(0, 9, 0.1))

    def cpu_ms(self) -> float:
        return self.cpu

    def status(self) -> ProcessStatus:
        return ProcessStatus(self.memory, self.thread_count)

    def disconnect(self) -> None:
        self._gateway.close()

    # Called by the test.
    def send_frame(self, frame: frames.ToGateway) -> None:
        self._channel.send(frames.encode(frame))

    def send_ready(self) -> None:
        self.send_frame(ReadyFrame(1.5))

    def send_ready_directly(self) -> None:
        """Send a ready frame before `spawn` has returned."""
        self._on_frame(ReadyFrame(1.5))

    def fail(self, message: str, traceback: str = "") -> None:
        self.send_frame(BootFailedFrame(message, traceback))

    def respond(self, request: InvokeFrame, status: int = 200, body: bytes = b"") -> None:
        self._open.discard(request.number)
        self.send_frame(ResponseFrame(request.number, status, [], body or request.invocation.path.encode(), 7))
        self._end_when_done()

    def log(self, *texts: str) -> None:
        self.send_frame(LogFrame([LogLine(0, "info", "", text) for text in texts], 0))

    def end(self, ended: ProcessExit) -> None:
        """Exit like a process: frames sent before still arrive."""
        if not self.has_ended:
            self.has_ended, self._ended = True, ended
            self._channel.flush()
            self._channel.close()

    def _on_worker_data(self, data: bytes) -> None:
        try:
            for frame in self._worker_reader.feed(data):
                self._on_frame(frame)
        except BadFrame:
            self.kill()

    def _on_disconnect(self) -> None:
        asyncio.get_running_loop().call_soon(self._on_exit, self._ended)

    def _on_gateway_data(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            if isinstance(frame, InvokeFrame):
                self._open.add(frame.number)
                self.requests.put_nowait(frame)
                self.spawner.on_request(self, frame)
            elif isinstance(frame, RetireFrame):
                self.retired.set()
                self._end_when_done()

    def _end_when_done(self) -> None:
        if self.retired.is_set() and not self._open:
            self.end(ProcessExit(0, 0, 0.1))


def respond_at_once(fake: FakeWorker, request: InvokeFrame) -> None:
    fake.respond(request)


def keep(fake: FakeWorker, request: InvokeFrame) -> None:
    """Let the test respond later."""


class FakeSpawner:
    """Spawns fake workers. By default they are ready at once and respond with the path."""

    def __init__(
        self,
        on_request: Callable[[FakeWorker, InvokeFrame], None] = respond_at_once,
        on_start: Callable[[FakeWorker], None] = FakeWorker.send_ready,
    ) -> None:
        self.on_request, self.on_start = on_request, on_start
        self.workers: list[FakeWorker] = []
        self.refusal: HostError | None = None
        self._started: asyncio.Queue[FakeWorker] = asyncio.Queue()

    async def spawn(
        self, spec: WorkerSpec, on_frame: Callable[[Any], None], on_exit: Callable[[ProcessExit], None]
    ) -> FakeWorker:
        if self.refusal is not None:
            raise self.refusal
        fake = FakeWorker(self, spec, on_frame, on_exit)
        self.workers.append(fake)
        self._started.put_nowait(fake)
        self.on_start(fake)
        return fake

    async def next(self) -> FakeWorker:
        """Wait for the next worker to start, in order."""
        return await self._started.get()

    @property
    def alive(self) -> list[FakeWorker]:
        return [fake for fake in self.workers if not fake.has_ended]

    def close(self) -> None:
        """Kill all workers and close their sockets."""
        for fake in self.workers:
            fake.kill()
            fake.disconnect()


class SpawnerFactory:
    """Creates spawners and closes them all."""

    def __init__(self) -> None:
        self._open: list[FakeSpawner] = []

    def __call__(
        self,
        on_request: Callable[[FakeWorker, InvokeFrame], None] = respond_at_once,
        on_start: Callable[[FakeWorker], None] = FakeWorker.send_ready,
    ) -> FakeSpawner:
        return self.add(FakeSpawner(on_request, on_start))

    def add(self, spawner: FakeSpawner) -> FakeSpawner:
        self._open.append(spawner)
        return spawner

    def close(self) -> None:
        for spawner in self._open:
            spawner.close()
