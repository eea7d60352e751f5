"""Holds the listening socket above the gateway processes, so that it outlives each of them."""

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from outdial.host.wire.errors import GatewayFailed
from outdial.log import log
from outdial.supervisor import ChildProcess, RestartBackoff, describe_status

# Tells a gateway the file descriptor of the listener that it inherits.
LISTENER_FD = "OUTDIAL_LISTENER_FD"
# Tells a gateway that its successor serves: it finishes the requests that it has accepted, then exits.
RETIRE = signal.SIGUSR1
READY_WITHIN_S = 90.0


class GatewayLauncher:
    """Keeps one gateway serving on `listener`: replaces it on request, restarts it after a crash.

    `command` starts a gateway that reads the listener from LISTENER_FD and reports readiness on READY_FD. A gateway has
    `grace_s` to finish its requests after SIGTERM, and `retire_s` after RETIRE, when another gateway serves. The
    launcher closes the listener at the end.
    """

    def __init__(
        self,
        command: Sequence[str],
        listener: socket.socket,
        env: Mapping[str, str],
        *,
        grace_s: float = 30.0,
        retire_s: float = 320.0,
    ) -> None:
        self._command = command
        self._listener = listener
        self._env = env
        self._grace_s = grace_s
        self._retire_s = retire_s
        self._serving: ChildProcess | None = None
        self._children: set[ChildProcess] = set()
        self._retiring: set[asyncio.Task[None]] = set()
        # The first restart is immediate, because clients wait in the socket's backlog.
        self._backoff = RestartBackoff(initial_s=0.0, least_s=0.1, longest_s=10.0)

    @property
    def pid(self) -> int | None:
        """The process id of the gateway that serves."""
        return self._serving.pid if self._serving is not None else None

    async def run(
        self, stop: asyncio.Event, restart: asyncio.Event, on_ready: Callable[[], None] = lambda: None
    ) -> None:
        """Serve until `stop` is set, and replace the gateway whenever `restart` is set.

        Call `on_ready` once. Raises GatewayFailed when the first gateway ends before it serves.
        """
        try:
            self._serving = await self._launch(stop)
            if self._serving is None:
                if stop.is_set():
                    return
                raise GatewayFailed
            on_ready()
            while not stop.is_set():
                await _first_of(stop.wait(), restart.wait(), asyncio.shield(self._serving.exited))
                if restart.is_set():
                    restart.clear()
                    await self._replace(stop)
                elif self._serving.exited.done() and not stop.is_set():
                    await self._revive(self._serving, stop, restart)
        finally:
            # Refuse new connections at once, instead of letting them wait in the backlog of a stopping host.
            self._listener.close()
            for task in self._retiring:
                task.cancel()
            await asyncio.gather(*(self._stop(child, self._grace_s) for child in list(self._children)))

    async def _launch(self, stop: asyncio.Event) -> ChildProcess | None:
        """Start a gateway and return it once it serves; None when it ends, takes too long, or `stop` is set."""
        descriptor = self._listener.fileno()
        env = {**self._env, LISTENER_FD: str(descriptor)}
        child = await ChildProcess.start(self._command, env, inherit=(descriptor,))
        self._children.add(child)
        child.exited.add_done_callback(lambda _: self._children.discard(child))
        ready = asyncio.create_task(child.ready())
        await _first_of(asyncio.wait([ready]), stop.wait(), timeout_s=READY_WITHIN_S)
        if ready.done() and ready.result() and not stop.is_set():
            log("launcher.gateway_serves", pid=child.pid)
            return child
        ready.cancel()
        await self._stop(child, self._grace_s)
        return None

    async def _stop(self, child: ChildProcess, grace_s: float, by: signal.Signals = signal.SIGTERM) -> None:
        if await child.stop(grace_s, by):
            log("launcher.gateway_killed", level="warning", pid=child.pid, after_s=grace_s)

    async def _replace(self, stop: asyncio.Event) -> None:
        successor = await self._launch(stop)
        if successor is None:
            if not stop.is_set():
                log("launcher.restart_failed", level="error", still_serving=self.pid)
            return
        assert self._serving is not None
        retired = self._serving
        self._serving = successor
        log("launcher.gateway_retires", pid=retired.pid)
        task = asyncio.create_task(self._stop(retired, self._retire_s, RETIRE))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _revive(self, crashed: ChildProcess, stop: asyncio.Event, restart: asyncio.Event) -> None:
        status = describe_status(crashed.exited.result())
        ran_for_s = crashed.ran_for_s()
        while not stop.is_set():
            pause_s = self._backoff.pause_after(ran_for_s)
            log("launcher.gateway_died", level="error", pid=crashed.pid, ended_with=status, again_in_s=pause_s)
            if pause_s:
                await _first_of(stop.wait(), restart.wait(), timeout_s=pause_s)
            if stop.is_set():
                return
            restart.clear()
            successor = await self._launch(stop)
            if successor is not None:
                self._serving = successor
                return
            # A gateway that does not start must not reset the backoff.
            ran_for_s = 0.0


async def _first_of(
    *conditions: Coroutine[Any, Any, object] | asyncio.Future[Any], timeout_s: float | None = None
) -> None:
    tasks = [asyncio.ensure_future(condition) for condition in conditions]
    try:
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
