"""Runs the parts of the local stack as child processes: in order, told when ready, restarted when they die."""

import asyncio
import contextlib
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from outdial.cli.errors import PartFailed
from outdial.process import start_child_process, wait_ready

_LONGEST_LINE = 1024 * 1024
_KEPT_LINES = 20
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
# A part that has run for so long has recovered: its next restart does not wait for the former ones.
_RECOVERED_S = 30.0

Tell = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Part:
    """A command that is to be kept running; `grace_s` is the time that it has to stop."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    grace_s: float = 10.0


class Child:
    """One run of a part. It ends with the process that started it, whatever ends that."""

    def __init__(self, part: Part, tell: Tell) -> None:
        self._part, self._tell = part, tell
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self.last_lines: deque[str] = deque(maxlen=_KEPT_LINES)

    async def start(self) -> bool:
        """Start it, and return when it is ready: False when it ended instead."""
        self._process, reader = await start_child_process(
            self._part.command,
            self._part.env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LONGEST_LINE,
        )
        self._reading = asyncio.create_task(self._read())
        return await wait_ready(reader)

    async def wait(self) -> int:
        """Return the exit status, once the process has ended and all that it wrote was told."""
        assert self._process is not None
        status = await self._process.wait()
        if self._reading is not None:
            await self._reading
        return status

    async def stop(self) -> None:
        """Ask it to end, and end it when its grace is over."""
        if self._process is None:
            return
        self._send(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._part.grace_s):
                await self._process.wait()
        except TimeoutError:
            self._tell(self._part.name, f"does not stop within {self._part.grace_s:g} s: killed")
            self._send(signal.SIGKILL)
        await self.wait()

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while True:
            try:
                line = await self._process.stdout.readline()
            except ValueError:
                continue  # longer than _LONGEST_LINE, and passed over
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            self.last_lines.append(text)
            self._tell(self._part.name, text)


class Supervisor:
    """Keeps parts running: started in the order given, each ready before the next, and stopped in reverse order."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._children: dict[str, Child] = {}
        self._keeping: dict[str, asyncio.Task[None]] = {}

    async def start(self, part: Part) -> None:
        """Start a part and return when it is ready; raises PartFailed when it ends instead."""
        child = Child(part, self._tell)
        self._children[part.name] = child
        if not await child.start():
            await child.stop()
            raise PartFailed(part.name, [line for line in child.last_lines if line.strip()])
        self._keeping[part.name] = asyncio.create_task(self._keep(part), name=f"keep {part.name}")

    async def stop(self) -> None:
        """Stop every part, the last one first; nothing is left when this returns."""
        for name, child in reversed(self._children.items()):
            if keeping := self._keeping.pop(name, None):
                keeping.cancel()
                await asyncio.wait([keeping])
            await self._children.get(name, child).stop()
        self._children.clear()

    async def _keep(self, part: Part) -> None:
        loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE_S
        while True:
            began = loop.time()
            status = await self._children[part.name].wait()
            if loop.time() - began > _RECOVERED_S:
                pause = _FIRST_PAUSE_S
            self._tell(part.name, f"ended with {_told(status)}; starts again in {pause:g} s")
            await _pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
            child = Child(part, self._tell)
            self._children[part.name] = child
            if await child.start():
                self._tell(part.name, "runs again")


async def _pause(seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().create_future()


def _told(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
