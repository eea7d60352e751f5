"""The gateway's side of the zygote: starts it, orders workers of it, and hands on what each of them says."""

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

from outdial.host.pool.process import OnExit, OnFrame, ProcessExit, WorkerProcess, memory_mb
from outdial.host.pool.scratch import ScratchDirectory
from outdial.host.wire import frames, orders
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import HostError, ZygoteLost
from outdial.log import log
from outdial.settings import read_environment

__all__ = ["CannotSpawn", "ProcessExit", "WorkerProcess", "WorkerSpec", "ZygoteProcess"]

# What the interpreter itself needs; all else would be in every worker's memory.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")
_AWAKE_S = 60.0
_GONE_S = 10.0


class CannotSpawn(HostError):
    """The system has no room for another process."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What to start. `uid` is the user that the worker becomes; None where the host is not root."""

    slug: str
    execution_id: str
    bundle: Bundle
    env: Mapping[str, str] = field(repr=False)
    config: FunctionConfig
    uid: int | None = None


class ZygoteProcess:
    """The process that workers are forked from. When it is lost, so are they; another one can be started."""

    def __init__(self, control: socket.socket, popen: "subprocess.Popen[bytes]", scratch: ScratchDirectory) -> None:
        self.lost = asyncio.Event()
        self.memory_mb = 0.0
        self._control, self._popen, self._scratch = control, popen, scratch
        self._loop = asyncio.get_running_loop()
        self._awake: asyncio.Future[None] = self._loop.create_future()
        self._numbers = itertools.count(1)
        self._workers: dict[int, WorkerProcess] = {}
        self._forking: dict[int, asyncio.Future[None]] = {}
        self._packets: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._endings: set[asyncio.Task[None]] = set()
        self._missing: list[str] | None = None
        control.setblocking(False)
        self._loop.add_reader(control, self._listen)

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Self]:
        """Start a zygote for the length of the block; it and its workers end with it. Raises ZygoteLost."""
        scratch = await asyncio.to_thread(ScratchDirectory.make)
        ours, theirs = orders.pair()
        with theirs:
            zygote = cls(ours, _start(theirs), scratch)
        try:
            await zygote._waken()
            zygote.memory_mb = memory_mb(zygote.pid)
            yield zygote
        finally:
            await zygote._close()

    @property
    def pid(self) -> int:
        """The system's number of the process."""
        return self._popen.pid

    async def spawn(self, order: WorkerSpec, on_frame: OnFrame, on_end: OnExit) -> WorkerProcess:
        """Start a worker; `on_frame` is given all that it says, `on_end` is called once, after that.

        Both may be called before this returns. Raises CannotSpawn or ZygoteLost.
        """
        if self.lost.is_set():
            raise ZygoteLost
        number = next(self._numbers)
        worker = WorkerProcess(self, number, order.env, on_frame, on_end)
        try:
            temporary = self._scratch.make_one(str(number), order.uid)
            descriptors = worker.connect()
        except OSError as error:
            await self._tidy(number)
            raise CannotSpawn(str(error)) from error
        forked = self._forking[number] = self._loop.create_future()
        self._workers[number] = worker
        bundle = order.bundle
        self._post(
            orders.SpawnOrder(
                number,
                order.slug,
                bundle.version,
                str(bundle.root),
                bundle.entrypoint,
                order.config,
                str(temporary),
                order.uid,
            ),
            descriptors,
        )
        await forked
        return worker

    def kill(self, number: int) -> None:
        """End a worker at once, unless it has ended."""
        self._post(orders.KillOrder(number))

    def heard(self, ready: frames.ReadyFrame) -> None:
        """Tell, once, which fences this machine's workers do without."""
        if self._missing is None:
            self._missing = ready.missing
            if ready.missing:
                log("host.fences_missing", level="warning", missing=ready.missing)

    async def _waken(self) -> None:
        try:
            async with asyncio.timeout(_AWAKE_S):
                await self._awake
        except TimeoutError:
            raise ZygoteLost(f"the zygote was not ready within {_AWAKE_S:g} s") from None

    def _post(self, order: orders.ToZygote, descriptors: tuple[int, ...] = ()) -> None:
        self._packets.append((orders.encode(order), descriptors))
        self._send_packets()

    def _send_packets(self) -> None:
        while self._packets:
            packet, descriptors = self._packets[0]
            try:
                if not self.lost.is_set():
                    socket.send_fds(self._control, [packet], descriptors)
            except BlockingIOError:
                self._loop.add_writer(self._control, self._send_packets)
                return
            except OSError:
                pass  # it is gone, as the next look at the socket tells
            self._packets.popleft()
            for descriptor in descriptors:
                os.close(descriptor)
        if not self.lost.is_set():
            self._loop.remove_writer(self._control)

    def _listen(self) -> None:
        try:
            packet = self._control.recv(orders.LARGEST)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if packet:
            self._take(orders.decode_report(packet))
        else:
            self._lose()

    def _take(self, report: orders.FromZygote) -> None:
        match report:
            case orders.ZygoteReady():
                self._awake.set_result(None)
            case orders.WorkerForked(number, pid):
                worker, forked = self._workers[number], self._forking.pop(number)
                worker.pid = pid
                if forked.cancelled():
                    worker.kill()
                else:
                    forked.set_result(None)
            case orders.ForkFailed(number, reason):
                self._fail(number, CannotSpawn(reason))
            case orders.WorkerExited(number, wait_status, cpu_s):
                self._end(number, _ended(wait_status, cpu_s))

    def _fail(self, number: int, error: HostError) -> None:
        forked = self._forking.pop(number)
        self._workers.pop(number).disconnect()
        if not forked.done():
            forked.set_exception(error)
        self._later(self._tidy(number))

    def _end(self, number: int, ended: ProcessExit) -> None:
        self._later(self._bury(number, self._workers.pop(number), ended))

    async def _bury(self, number: int, worker: WorkerProcess, ended: ProcessExit) -> None:
        await worker.end(ended)
        await self._tidy(number)

    async def _tidy(self, number: int) -> None:
        await asyncio.to_thread(self._scratch.remove_one, str(number))

    def _lose(self) -> None:
        if self.lost.is_set():
            return
        self.lost.set()
        self._loop.remove_reader(self._control)
        self._loop.remove_writer(self._control)
        self._control.close()
        self._send_packets()
        if not self._awake.done():
            self._awake.set_exception(ZygoteLost("the zygote ended while it started: see standard error"))
        for number in tuple(self._forking):
            self._fail(number, ZygoteLost())
        for number in tuple(self._workers):
            # The kernel has ended them with it.
            self._end(number, ProcessExit(0, signal.SIGKILL, 0.0))

    def _later(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(ending)
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _close(self) -> None:
        self._lose()
        if self._endings:
            await asyncio.wait(self._endings)
        await asyncio.to_thread(_wait_for, self._popen)
        await asyncio.to_thread(self._scratch.remove)


def _start(control: socket.socket) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "outdial.host.worker.zygote", str(control.fileno())],
        env={name: value for name, value in read_environment().items() if name in _ENVIRONMENT},
        pass_fds=(control.fileno(),),
        stdin=subprocess.DEVNULL,
        # Of its own session, for a Ctrl-C is the gateway's to answer.
        start_new_session=True,
    )


def _wait_for(popen: "subprocess.Popen[bytes]") -> None:
    with suppress(subprocess.TimeoutExpired):
        popen.wait(_GONE_S)
        return
    popen.kill()
    popen.wait()


def _ended(wait_status: int, cpu_s: float) -> ProcessExit:
    code = os.waitstatus_to_exitcode(wait_status)
    return ProcessExit(code, 0, cpu_s) if code >= 0 else ProcessExit(0, -code, cpu_s)
