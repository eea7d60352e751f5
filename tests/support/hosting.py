"""Functions for tests of the host: bundles made of source text, workers to talk to, and sinks that are lists."""

import asyncio
import os
import select
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any
from uuid import uuid4

from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY
from outdial.host.log.sink import EventKind, InvocationRecord
from outdial.host.pool.process import ProcessExit, WorkerProcess
from outdial.host.pool.spawning import WorkerSpec, ZygoteProcess
from outdial.host.wire import frames
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.invocation import Invocation

# Generous: other tests may have the processors.
PATIENCE_S = 30.0
MISBEHAVING = Path(__file__).parents[1] / "host" / "functions_misbehaving" / "supabase"
KEYS = {
    "SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET,
    "SUPABASE_ANON_KEY": LOCAL_PUBLISHABLE_KEY,
    "SUPABASE_SERVICE_ROLE_KEY": LOCAL_SECRET_KEY,
}
HELLO = """
    from outdial.functions import Context, Request, Response, with_supabase

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        return Response.json({"hello": request.path})
"""


def make_bundle(directory: Path, slug: str = "hello", source: str = HELLO, *, version: int = 1, **files: str) -> Bundle:
    """Write a function's `index.py`, and `files` by their names without .py beside it; return its bundle.

    A bundle is written once: a worker may be reading the files of the one before.
    """
    root = directory / f"{slug}-{version}"
    entrypoint = f"functions/{slug}/index.py"
    for name, text in {"index": source, **files}.items():
        path = root / "functions" / slug / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(dedent(text))
    return Bundle(slug, version, root, entrypoint)


def misbehaving(slug: str) -> Bundle:
    """Return a function of tests/host/functions_misbehaving."""
    return Bundle(slug, 0, MISBEHAVING, f"functions/{slug}/index.py")


@dataclass
class RecordingSink:
    """A sink that keeps everything, in order."""

    invocations: list[InvocationRecord] = field(default_factory=list)
    kept_lines: list[tuple[str, frames.LogLine]] = field(default_factory=list)
    events: list[tuple[str, EventKind, Mapping[str, object]]] = field(default_factory=list)
    dropped: int = 0

    def invocation(self, record: InvocationRecord) -> None:
        """Keep an invocation."""
        self.invocations.append(record)

    def lines(self, slug: str, version: int, execution_id: str, lines: Sequence[frames.LogLine], dropped: int) -> None:
        """Keep lines, with the slug of each."""
        self.kept_lines += [(slug, line) for line in lines]
        self.dropped += dropped

    def event(self, slug: str, version: int, execution_id: str, kind: EventKind, fields: Mapping[str, object]) -> None:
        """Keep an event."""
        self.events.append((slug, kind, fields))


class Talk:
    """A worker, and all that it has said: what a pool does for one worker, without any of its rules."""

    def __init__(self) -> None:
        self.said: list[frames.ToGateway] = []
        self.process: WorkerProcess
        self._news = asyncio.Event()
        self._number = 0
        self._ended: ProcessExit | None = None

    @classmethod
    async def begin(
        cls,
        zygote: ZygoteProcess,
        bundle: Bundle,
        env: Mapping[str, str] | None = None,
        *,
        uid: int | None = None,
        **config: Any,
    ) -> "Talk":
        """Start a worker of `bundle` with `config` as FunctionConfig has it; do not wait until it is ready."""
        talk = cls()
        order = WorkerSpec(
            slug=bundle.slug,
            execution_id=str(uuid4()),
            bundle=bundle,
            env=KEYS if env is None else env,
            config=FunctionConfig(**config),
            uid=uid,
        )
        talk.process = await zygote.spawn(order, talk._hear, talk._hear_end)
        return talk

    @property
    def lines(self) -> list[frames.LogLine]:
        """What it has logged and printed."""
        return [line for said in self.said if isinstance(said, frames.LogFrame) for line in said.lines]

    @property
    def texts(self) -> list[str]:
        """The texts of its lines."""
        return [line.text for line in self.lines]

    @property
    def dropped(self) -> int:
        """How many lines it has not kept."""
        return sum(said.dropped for said in self.said if isinstance(said, frames.LogFrame))

    async def ready(self) -> frames.ReadyFrame:
        """Return when it is ready; fails with what it says instead."""
        first = await self.next(frames.ReadyFrame | frames.BootFailedFrame)
        assert isinstance(first, frames.ReadyFrame), first
        return first

    async def ask(self, path: str = "/hello", body: bytes = b"", *, method: str = "POST") -> Any:
        """Send a request and return its Reply, or what else became of it: Exceeded, or Ended."""
        return await self.outcome(self.send(path, body, method=method))

    def send(self, path: str = "/hello", body: bytes = b"", *, method: str = "POST") -> int:
        """Send a request and return its number."""
        self._number += 1
        invoke = frames.InvokeFrame(self._number, Invocation(f"request-{self._number}", method, path, "", [], body))
        self.process.send(frames.encode(invoke))
        return self._number

    async def outcome(self, number: int) -> Any:
        """Return what became of a request."""
        return await self._until(lambda: next(self._outcomes(number), self._ended))

    async def next(self, kind: Any) -> Any:
        """Return the first thing of `kind` that it said; Ended when it ended without."""
        return await self._until(lambda: next((said for said in self.said if isinstance(said, kind)), self._ended))

    async def line(self, text: str) -> frames.LogLine:
        """Return the first line that holds `text`, once it is there."""
        found = await self._until(lambda: next((line for line in self.lines if text in line.text), self._ended))
        assert isinstance(found, frames.LogLine), f"it ended ({found}) with {self.texts}"
        return found

    async def ended(self) -> ProcessExit:
        """Return how it ended."""
        found: ProcessExit = await self._until(lambda: self._ended)
        return found

    def retire(self) -> None:
        """Let it finish."""
        self.process.send(frames.encode(frames.RetireFrame()))

    def _outcomes(self, number: int) -> Iterator[frames.ToGateway]:
        answers = (said for said in self.said if isinstance(said, frames.ResponseFrame | frames.LimitFrame))
        return (said for said in answers if said.number == number)

    async def _until(self, found: Any) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            while (value := found()) is None:
                self._news.clear()
                await self._news.wait()
        return value

    def _hear(self, frame: frames.ToGateway) -> None:
        self.said.append(frame)
        self._news.set()

    def _hear_end(self, ended: ProcessExit) -> None:
        self._ended = ended
        self._news.set()


def has_ended(descriptor: int) -> bool:
    """Wait until the process of a pidfd, which is closed, has ended: False when it has not after all."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    ended = bool(poll.poll(PATIENCE_S * 1000))
    os.close(descriptor)
    return ended
