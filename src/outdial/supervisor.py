"""Child processes that are kept running: restarted with a growing pause, and stopped within a grace period."""

import asyncio
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from outdial.process import signal_child, start_child_process, wait_for_event, wait_ready

_MAX_LINE_BYTES = 1024 * 1024
_KEPT_LINES = 20


class ProcessFailed(Exception):
    """A process ended before it was ready; the message quotes the last line of its output."""

    def __init__(self, name: str, last_lines: Sequence[str]) -> None:
        errors = [line.removeprefix("Error: ") for line in last_lines if line.startswith("Error: ")]
        reason = (errors or list(last_lines) or ["it printed nothing"])[-1]
        super().__init__(f"the {name} did not start: {reason.strip()}")
        self.last_lines = tuple(last_lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """A command to keep running. It has `grace_s` to exit after SIGTERM before it is killed."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    grace_s: float = 10.0


class RestartBackoff:
    """The pause before each restart: it doubles up to `longest_s`, and starts over after a run that lasted.

    The first pause is `initial_s`, which may be 0; the second is `least_s` or more.
    """

    def __init__(
        self, *, initial_s: float, longest_s: float, least_s: float = 0.1, recovered_after_s: float = 30.0
    ) -> None:
        self._initial_s = initial_s
        self._least_s = least_s
        self._longest_s = longest_s
        self._recovered_after_s = recovered_after_s
        self._next_s = initial_s

    def pause_after(self, ran_for_s: float) -> float:
        """Return how many seconds to wait before the next start, given how long the last run lasted."""
        if ran_for_s > self._recovered_after_s:
            self._next_s = self._initial_s
        pause_s = self._next_s
        self._next_s = min(max(self._least_s, pause_s * 2), self._longest_s)
        return pause_s


class ChildProcess:
    """One run of a command. It ends with this process, however this process ends."""

    def __init__(self, process: asyncio.subprocess.Process, ready_pipe: int) -> None:
        self._process = process
        self._ready_pipe = ready_pipe
        self._started_at = asyncio.get_running_loop().time()
        self._exited_at: float | None = None
        self._reading: asyncio.Task[None] | None = None
        self.last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.exited = asyncio.create_task(self._wait_for_exit())

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        inherit: Sequence[int] = (),
        on_line: Callable[[str], None] | None = None,
    ) -> Self:
        """Start the command with the file descriptors in `inherit`.

        `on_line` receives each line of its output; without it, the child writes to our own standard streams.
        """
        if on_line is None:
            return cls(*await start_child_process(command, env, inherit=inherit))
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT, "limit": _MAX_LINE_BYTES}
        child = cls(*await start_child_process(command, env, inherit=inherit, **pipes))
        child._reading = asyncio.create_task(child._read_lines(on_line))
        return child

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def ran_for_s(self) -> float:
        """Return the seconds from the start to the exit, or to now."""
        return (self._exited_at or asyncio.get_running_loop().time()) - self._started_at

    async def ready(self) -> bool:
        """Wait until the child reports readiness. Return False when it ends first. Call it once."""
        return await wait_ready(self._ready_pipe)

    async def wait(self) -> int:
        """Return the exit status, negative for a signal, once the process has ended and its output is read."""
        status = await asyncio.shield(self.exited)
        if self._reading is not None:
            await self._reading
        return status

    async def stop(self, grace_s: float, by: signal.Signals = signal.SIGTERM) -> bool:
        """Send `by`, and SIGKILL when the process still runs after `grace_s`. Return whether it had to be killed."""
        signal_child(self._process, by)
        exited, _ = await asyncio.wait([self.exited], timeout=grace_s)
        if not exited:
            signal_child(self._process, signal.SIGKILL)
        await self.wait()
        return not exited

    async def _wait_for_exit(self) -> int:
        status = await self._process.wait()
        self._exited_at = asyncio.get_running_loop().time()
        return status

    async def _read_lines(self, on_line: Callable[[str], None]) -> None:
        assert self._process.stdout is not None
        while True:
            try:
                line = await self._process.stdout.readline()
            except ValueError:
                continue  # the line is longer than _MAX_LINE_BYTES
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            self.last_lines.append(text)
            on_line(text)


class Supervisor:
    """Keeps processes running. Starts each when the one before is ready, and stops them in reverse order.

    `on_line` receives the name of a process and a line of its output.
    """

    def __init__(self, on_line: Callable[[str, str], None]) -> None:
        self._on_line = on_line
        self._children: dict[str, tuple[ProcessSpec, ChildProcess]] = {}
        self._restarting: dict[str, asyncio.Task[None]] = {}

    async def start(self, spec: ProcessSpec) -> None:
        """Start a process and return when it is ready; raises ProcessFailed when it ends first."""
        child = await self._launch(spec)
        if not await child.ready():
            await self._stop(spec, child)
            raise ProcessFailed(spec.name, [line for line in child.last_lines if line.strip()])
        self._restarting[spec.name] = asyncio.create_task(self._restart(spec), name=f"restart {spec.name}")

    async def stop(self) -> None:
        """Stop every process, the last one first; none is left when this returns."""
        for name in reversed(list(self._children)):
            if restarting := self._restarting.pop(name, None):
                restarting.cancel()
                await asyncio.wait([restarting])
            await self._stop(*self._children[name])
        self._children.clear()

    async def _launch(self, spec: ProcessSpec) -> ChildProcess:
        child = await ChildProcess.start(spec.command, spec.env, on_line=lambda line: self._on_line(spec.name, line))
        self._children[spec.name] = (spec, child)
        return child

    async def _stop(self, spec: ProcessSpec, child: ChildProcess) -> None:
        if await child.stop(spec.grace_s):
            self._on_line(spec.name, f"killed: still running after {spec.grace_s:g} s")

    async def _restart(self, spec: ProcessSpec) -> None:
        backoff = RestartBackoff(initial_s=0.5, longest_s=15.0)
        never = asyncio.Event()
        while True:
            _, child = self._children[spec.name]
            status = await child.wait()
            pause_s = backoff.pause_after(child.ran_for_s())
            self._on_line(spec.name, f"ended with {describe_status(status)}; restarting in {pause_s:g} s")
            await wait_for_event(never, pause_s)
            child = await self._launch(spec)
            if await child.ready():
                self._on_line(spec.name, "running again")


def describe_status(status: int) -> str:
    """Return an exit status as text: `exit status 1` or `signal SIGKILL`."""
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
