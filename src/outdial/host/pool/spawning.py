"""The gateway's side of the zygote: starts it and orders workers from it."""

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, assert_never

from outdial.host.pool.cgroups import WorkerCgroups, memory_when_killed, remove_cgroup
from outdial.host.pool.process import OnExit, OnFrame, ProcessExit, WorkerProcess, read_status
from outdial.host.pool.scratch import ScratchDirectory
from outdial.host.wire import frames, orders
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import HostError, ZygoteLost
from outdial.log import log
from outdial.settings import read_environment

# What the interpreter itself needs. Any other variable would be in every worker's memory.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")
_START_TIMEOUT_S = 60.0
_EXIT_TIMEOUT_S = 10.0


class CannotSpawn(HostError):
    """The system refused to start another process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """The worker to start. `uid` is its user; None when the host does not run as root."""

    slug: str
    execution_id: str
    bundle: Bundle
    env: Mapping[str, str] = field(repr=False)
    config: FunctionConfig
    uid: int | None = None


class ZygoteProcess:
    """The process that forks workers. When it is lost, its workers are lost too, and a new one can be started.

    `missing` lists the sandbox layers that this machine lacks. `control` and `theirs` are the two ends of its socket;
    the caller closes `theirs`.
    """

    def __init__(
        self,
        control: socket.socket,
        theirs: socket.socket,
        scratch: ScratchDirectory,
        cgroups: WorkerCgroups | None = None,
    ) -> None:
        self.lost = asyncio.Event()
        self.memory_mb = 0.0
        self.missing: list[str] = []
        self._control = control
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-m", "outdial.host.worker.zygote", str(theirs.fileno())],
            env={name: value for name, value in read_environment().items() if name in _ENVIRONMENT},
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            # Ctrl-C must reach only the gateway.
            start_new_session=True,
        )
        self._scratch = scratch
        self._cgroups = cgroups
        self._cgroup_of: dict[int, Path] = {}
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._numbers = itertools.count(1)
        self._workers: dict[int, WorkerProcess] = {}
        self._forking: dict[int, asyncio.Future[None]] = {}
        self._packets: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._cleanups: set[asyncio.Task[None]] = set()
        control.setblocking(False)
        self._loop.add_reader(control, self._read)

    @classmethod
    @asynccontextmanager
    async def running(cls, cgroups: WorkerCgroups | None = None) -> AsyncIterator[Self]:
        """Run a zygote while the block runs; its workers end with it. Raise ZygoteLost when it does not start."""
        scratch = await asyncio.to_thread(ScratchDirectory.create)
        ours, theirs = orders.socket_pair()
        with theirs:
            zygote = cls(ours, theirs, scratch, cgroups)
        try:
            try:
                async with asyncio.timeout(_START_TIMEOUT_S):
                    await zygote._ready
            except TimeoutError:
                raise ZygoteLost(f"the zygote was not ready within {_START_TIMEOUT_S:g} s") from None
            zygote.memory_mb = read_status(zygote.pid).memory_mb
            yield zygote
        finally:
            zygote._on_lost()
            scratch.close_soon()
            if zygote._cleanups:
                await asyncio.wait(zygote._cleanups)
            try:
                await asyncio.to_thread(zygote._popen.wait, _EXIT_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                zygote._popen.kill()
                await asyncio.to_thread(zygote._popen.wait)
            await asyncio.to_thread(scratch.remove)

    @property
    def pid(self) -> int:
        """The pid of the zygote."""
        return self._popen.pid

    async def spawn(self, spec: WorkerSpec, on_frame: OnFrame, on_exit: OnExit) -> WorkerProcess:
        """Start a worker. `on_frame` receives its frames; `on_exit` is called once, after the last frame.

        Both may be called before this returns. Raises CannotSpawn or ZygoteLost.
        """
        if self.lost.is_set():
            raise ZygoteLost
        number = next(self._numbers)
        worker = WorkerProcess(self, number=number, env=spec.env, on_frame=on_frame, on_exit=on_exit)
        try:
            temporary = self._scratch.create_for_worker(str(number), spec.uid)
            descriptors = worker.connect()
        except OSError as error:
            await self._remove_files(number)
            raise CannotSpawn(str(error)) from error
        if self._cgroups is not None and (cgroup := self._cgroups.create(spec.config, self.memory_mb)) is not None:
            self._cgroup_of[number] = cgroup
        forked = self._forking[number] = self._loop.create_future()
        self._workers[number] = worker
        bundle = spec.bundle
        order = orders.SpawnOrder(
            number=number,
            slug=spec.slug,
            version=bundle.version,
            root=str(bundle.root),
            entrypoint=bundle.entrypoint,
            config=spec.config,
            temporary=str(temporary),
            uid=spec.uid,
            cgroup=str(self._cgroup_of.get(number, "")),
        )
        self._send(order, descriptors)
        await forked
        return worker

    def kill(self, number: int) -> None:
        """Kill a worker, unless it has ended."""
        self._send(orders.KillOrder(number))

    def on_worker_ready(self, ready: frames.ReadyFrame) -> None:
        """Log the sandbox layers of a worker that are missing, unless they are known to be."""
        self._note_missing(ready.missing)

    def _note_missing(self, missing: Sequence[str]) -> None:
        if new := [layer for layer in missing if layer not in self.missing]:
            self.missing += new
            log("host.sandbox_incomplete", level="warning", missing=new)

    def _send(self, order: orders.ToZygote, descriptors: tuple[int, ...] = ()) -> None:
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
                pass  # the zygote is gone; the next read reports it
            self._packets.popleft()
            for descriptor in descriptors:
                os.close(descriptor)
        if not self.lost.is_set():
            self._loop.remove_writer(self._control)

    def _read(self) -> None:
        try:
            packet = self._control.recv(orders.MAX_PACKET)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            self._on_lost()
            return
        report = orders.decode_report(packet)
        match report:
            case orders.ZygoteReady(missing):
                self._note_missing(missing)
                self._ready.set_result(None)
            case orders.WorkerForked(number, pid):
                worker, forked = self._workers[number], self._forking.pop(number)
                worker.pid = pid
                if forked.cancelled():
                    worker.kill()
                else:
                    forked.set_result(None)
            case orders.ForkFailed(number, reason):
                self._fork_failed(number, CannotSpawn(reason))
            case orders.WorkerExited(number, wait_status, cpu_s):
                code = os.waitstatus_to_exitcode(wait_status)
                cgroup = self._cgroup_of.get(number)
                memory_mb = memory_when_killed(cgroup) if cgroup is not None else 0
                result = ProcessExit(max(code, 0), max(-code, 0), cpu_s, memory_mb)
                self._start_cleanup(self._finish_worker(number, self._workers.pop(number), result))
            case _:
                assert_never(report)

    def _fork_failed(self, number: int, error: HostError) -> None:
        forked = self._forking.pop(number)
        self._workers.pop(number).disconnect()
        if not forked.done():
            forked.set_exception(error)
        self._start_cleanup(self._remove_files(number))

    async def _finish_worker(self, number: int, worker: WorkerProcess, result: ProcessExit) -> None:
        await worker.finish(result)
        await self._remove_files(number)

    async def _remove_files(self, number: int) -> None:
        if (cgroup := self._cgroup_of.pop(number, None)) is not None:
            remove_cgroup(cgroup)
        await asyncio.to_thread(self._scratch.remove_for_worker, str(number))

    def _on_lost(self) -> None:
        if self.lost.is_set():
            return
        self.lost.set()
        self._loop.remove_reader(self._control)
        self._loop.remove_writer(self._control)
        self._control.close()
        self._send_packets()
        if not self._ready.done():
            self._ready.set_exception(ZygoteLost("the zygote ended while it started: see standard error"))
        for number in tuple(self._forking):
            self._fork_failed(number, ZygoteLost())
        for number in tuple(self._workers):
            worker = self._workers.pop(number)
            # The kernel kills a worker with the zygote, but not the children of the worker.
            if worker.pid > 0:
                with suppress(OSError):
                    os.killpg(worker.pid, signal.SIGKILL)
            self._start_cleanup(self._finish_worker(number, worker, ProcessExit(0, signal.SIGKILL, 0.0)))

    def _start_cleanup(self, cleanup: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(cleanup)
        self._cleanups.add(task)
        task.add_done_callback(self._cleanups.discard)
