"""Workers that live in the test's own process, and speak real frames over a real socket."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from outdial.host.pool.process import ProcessExit
from outdial.host.pool.spawning import WorkerSpec
from outdial.host.wire import frames
from outdial.host.wire.channel import Channel
from outdial.host.wire.errors import HostError
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
    """Let the loop run until it is so; the test's own time-out ends what never comes."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


class HandClock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


class Workman:
    """The other end of one worker: a test lets it be ready, answer, and end, or sets the memory and CPU it uses."""

    def __init__(
        self,
        shop: "Workshop",
        order: WorkerSpec,
        on_frame: Callable[[Any], None],
        on_exit: Callable[[ProcessExit], None],
    ) -> None:
        self.shop, self.order = shop, order
        self.pid = 100_000 + len(shop.workmen)
        self.cpu, self.memory = 0.0, 10.0
        self.requests: asyncio.Queue[InvokeFrame] = asyncio.Queue()
        self.retired, self.is_over = asyncio.Event(), False
        self._open: set[int] = set()
        self._on_exit = on_exit
        theirs, ours = socket.socketpair()
        self._reader, self._heard = frames.gateway_frame_reader(), frames.worker_frame_reader()
        self._on_frame = on_frame
        self._gateway = Channel(theirs, self._be_heard, self._end_now)
        self._channel = Channel(ours, self._hear, lambda: None)
        self._gateway.start_reading()
        self._channel.start_reading()
        self._ended = ProcessExit(0, 0, 0.1)

    # As the gateway sees it.
    def send(self, frame: bytes) -> None:
        self._gateway.send(frame)

    def kill(self) -> None:
        self.end(ProcessExit(0, 9, 0.1))

    def cpu_ms(self) -> float:
        return self.cpu

    def memory_mb(self) -> float:
        return self.memory

    def let_go(self) -> None:
        self._gateway.close()

    # As the test sees it.
    def tell(self, frame: frames.ToGateway) -> None:
        self._channel.send(frames.encode(frame))

    def be_ready(self) -> None:
        self.tell(ReadyFrame(1.5))

    def be_ready_at_once(self) -> None:
        """Be heard before the process is known."""
        self._on_frame(ReadyFrame(1.5))

    def fail(self, message: str, traceback: str = "") -> None:
        self.tell(BootFailedFrame(message, traceback))

    def answer(self, request: InvokeFrame, status: int = 200, body: bytes = b"") -> None:
        self._open.discard(request.number)
        self.tell(ResponseFrame(request.number, status, [], body or request.invocation.path.encode(), 7))
        self._end_when_done()

    def say(self, *texts: str) -> None:
        self.tell(LogFrame([LogLine(0, "info", "", text) for text in texts], 0))

    def end(self, ended: ProcessExit) -> None:
        """End as a process does: what it has said before is still heard."""
        if not self.is_over:
            self.is_over, self._ended = True, ended
            self._channel.flush()
            self._channel.close()

    def _be_heard(self, data: bytes) -> None:
        for frame in self._heard.feed(data):
            self._on_frame(frame)

    def _end_now(self) -> None:
        asyncio.get_running_loop().call_soon(self._on_exit, self._ended)

    def _hear(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            if isinstance(frame, InvokeFrame):
                self._open.add(frame.number)
                self.requests.put_nowait(frame)
                self.shop.on_request(self, frame)
            elif isinstance(frame, RetireFrame):
                self.retired.set()
                self._end_when_done()

    def _end_when_done(self) -> None:
        if self.retired.is_set() and not self._open:
            self.end(ProcessExit(0, 0, 0.1))


def answer_at_once(workman: Workman, request: InvokeFrame) -> None:
    workman.answer(request)


def keep(workman: Workman, request: InvokeFrame) -> None:
    """Leave it to the test to answer."""


class Workshop:
    """A spawner whose workers are workmen: ready at once and answering with the path, unless told otherwise."""

    def __init__(
        self,
        on_request: Callable[[Workman, InvokeFrame], None] = answer_at_once,
        on_start: Callable[[Workman], None] = Workman.be_ready,
    ) -> None:
        self.on_request, self.on_start = on_request, on_start
        self.workmen: list[Workman] = []
        self.refusal: HostError | None = None
        self._started: asyncio.Queue[Workman] = asyncio.Queue()

    async def spawn(
        self, order: WorkerSpec, on_frame: Callable[[Any], None], on_exit: Callable[[ProcessExit], None]
    ) -> Workman:
        if self.refusal is not None:
            raise self.refusal
        workman = Workman(self, order, on_frame, on_exit)
        self.workmen.append(workman)
        self._started.put_nowait(workman)
        self.on_start(workman)
        return workman

    async def next(self) -> Workman:
        """Return the next worker that was started, in order, as soon as it is."""
        return await self._started.get()

    @property
    def alive(self) -> list[Workman]:
        return [workman for workman in self.workmen if not workman.is_over]

    def close(self) -> None:
        """End all workers and let go of their sockets."""
        for workman in self.workmen:
            workman.kill()
            workman.let_go()


class Shops:
    """Opens workshops, and closes them all."""

    def __init__(self) -> None:
        self._open: list[Workshop] = []

    def __call__(
        self,
        on_request: Callable[[Workman, InvokeFrame], None] = answer_at_once,
        on_start: Callable[[Workman], None] = Workman.be_ready,
    ) -> Workshop:
        return self.add(Workshop(on_request, on_start))

    def add(self, shop: Workshop) -> Workshop:
        self._open.append(shop)
        return shop

    def close(self) -> None:
        for shop in self._open:
            shop.close()
