"""Holds the listening socket above the gateway process, so that the socket outlives each run of it."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from outdial.host.wire.errors import GatewayFailed
from outdial.log import log
from outdial.process import start_child_process, wait_ready

# How the gateway process is told of the listener that it inherits.
LISTENER_FD = "OUTDIAL_LISTENER_FD"
# What a gateway is told whose successor serves already: to go when all that it has taken is answered.
RETIRE = signal.SIGUSR1
# The first restart comes at once: what waits in the socket's backlog waits for it.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
# A gateway that has run for so long has recovered: its next restart does not wait for the former ones.
RECOVERED_S = 30.0
READY_WITHIN_S = 90.0


@dataclass(slots=True, eq=False)
class GatewayRun:
    """One run of the gateway process; `ended` gives its exit status."""

    process: asyncio.subprocess.Process
    ended: asyncio.Task[int]
    began: float

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self.process.pid

    async def stop(self, grace_s: float, by: signal.Signals = signal.SIGTERM) -> None:
        """Let it drain, and end it when its grace is over."""
        self._send(by)
        done, _ = await asyncio.wait([self.ended], timeout=grace_s)
        if not done:
            log("launcher.gateway_killed", level="warning", pid=self.pid, after_s=grace_s)
            self._send(signal.SIGKILL)
            await self.ended

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


class GatewayLauncher:
    """Keeps one gateway serving on `listener`: a new one before the old one goes, and one in place of one that died.

    `command` starts a gateway that finds the listener by LISTENER_FD and tells by READY_FD when it serves. `grace_s`
    is the time that it has to answer what it has taken, when all is to end (SIGTERM); `retire_s` when another serves
    already (RETIRE). The listener is closed in the end.
    """

    def __init__(
        self,
        command: Sequence[str],
        listener: socket.socket,
        env: Mapping[str, str] = os.environ,
        *,
        grace_s: float = 30.0,
        retire_s: float = 320.0,
    ) -> None:
        self._command, self._listener, self._env = command, listener, env
        self._grace_s, self._retire_s = grace_s, retire_s
        self._serving: GatewayRun | None = None
        self._runs: set[GatewayRun] = set()
        self._retiring: set[asyncio.Task[None]] = set()
        self._pause_s = 0.0

    @property
    def pid(self) -> int | None:
        """The number of the process that serves."""
        return self._serving.pid if self._serving is not None else None

    async def run(
        self, stop: asyncio.Event, restart: asyncio.Event, on_ready: Callable[[], None] = lambda: None
    ) -> None:
        """Serve until `stop` is set, renewing the gateway each time that `restart` is; `on_ready` is called once.

        Raises GatewayFailed when the first one ends before it serves.
        """
        try:
            self._serving = await self._launch(stop)
            if self._serving is None:
                if stop.is_set():
                    return
                raise GatewayFailed
            on_ready()
            while not stop.is_set():
                await _first_of(stop.wait(), restart.wait(), asyncio.shield(self._serving.ended))
                if restart.is_set():
                    restart.clear()
                    await self._replace(stop)
                elif self._serving.ended.done() and not stop.is_set():
                    await self._revive(stop, restart)
        finally:
            await self._end_all()

    async def _launch(self, stop: asyncio.Event) -> GatewayRun | None:
        """Start a gateway, and return it when it serves; None when it ended, took too long, or `stop` was set."""
        descriptor = self._listener.fileno()
        env = {**self._env, LISTENER_FD: str(descriptor)}
        process, reader = await start_child_process(self._command, env, inherit=(descriptor,))
        run = self._keep(process)
        ready = asyncio.create_task(wait_ready(reader))
        await _first_of(_done(ready), stop.wait(), timeout_s=READY_WITHIN_S)
        if ready.done() and ready.result() and not stop.is_set():
            log("launcher.gateway_serves", pid=run.pid)
            return run
        ready.cancel()
        await run.stop(self._grace_s)
        return None

    def _keep(self, process: asyncio.subprocess.Process) -> GatewayRun:
        run = GatewayRun(process, asyncio.create_task(process.wait()), asyncio.get_running_loop().time())
        self._runs.add(run)
        run.ended.add_done_callback(lambda _: self._runs.discard(run))
        return run

    async def _replace(self, stop: asyncio.Event) -> None:
        successor = await self._launch(stop)
        if successor is None:
            if not stop.is_set():
                log("launcher.restart_failed", level="error", still_serving=self.pid)
            return
        assert self._serving is not None
        retired, self._serving = self._serving, successor
        log("launcher.gateway_retires", pid=retired.pid)
        task = asyncio.create_task(retired.stop(self._retire_s, RETIRE))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _revive(self, stop: asyncio.Event, restart: asyncio.Event) -> None:
        assert self._serving is not None
        died = self._serving
        if asyncio.get_running_loop().time() - died.began > RECOVERED_S:
            self._pause_s = 0.0
        status = _told(died.ended.result())
        log("launcher.gateway_died", level="error", pid=died.pid, ended_with=status, again_in_s=self._pause_s)
        if self._pause_s:
            await _first_of(stop.wait(), restart.wait(), timeout_s=self._pause_s)
        self._pause_s = min(max(FIRST_PAUSE_S, self._pause_s * 2), LONGEST_PAUSE_S)
        if not stop.is_set():
            restart.clear()
            self._serving = await self._launch(stop) or died

    async def _end_all(self) -> None:
        # Who comes now is to be refused at once rather than to wait in the backlog of a host that goes.
        self._listener.close()
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*(run.stop(self._grace_s) for run in list(self._runs)))


async def _first_of(
    *conditions: Coroutine[Any, Any, object] | asyncio.Future[Any], timeout_s: float | None = None
) -> None:
    tasks = [asyncio.ensure_future(condition) for condition in conditions]
    try:
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _done(task: asyncio.Task[Any]) -> None:
    await asyncio.wait([task])


def _told(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
