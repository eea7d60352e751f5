"""What the host tells of invocations, of the lines that functions log, and of workers that come and go."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from outdial.host.wire.frames import LogLine

EventKind = Literal["boot", "boot_failed", "shutdown"]


class InvocationRecord(NamedTuple):
    """One request and what became of it.

    `at` is when it came, `ms` how long its answer took. `slug` is empty, and `version` 0, when its path names no
    function; `path` begins with the slug, as sent, without the query. `execution_id` is empty when no worker had it,
    `code` when the answer is the function's own. `cpu_us` is what the function used, `cold` tells that a worker was
    started for it.
    """

    at: datetime
    request_id: str
    slug: str
    version: int
    execution_id: str
    method: str
    path: str
    status: int
    code: str
    ms: float
    cpu_us: int
    cold: bool
    request_bytes: int
    response_bytes: int
    region: str


class LogSink(Protocol):
    """Takes what is to be logged; never blocks, never raises."""

    def invocation(self, record: InvocationRecord) -> None:
        """Keep that a request was answered."""
        ...

    def lines(self, slug: str, version: int, execution_id: str, lines: Sequence[LogLine], dropped: int) -> None:
        """Keep what a worker logged or printed, and that `dropped` more lines were not kept by it."""
        ...

    def event(self, slug: str, version: int, execution_id: str, kind: EventKind, fields: Mapping[str, object]) -> None:
        """Keep that a worker started, failed to start, or ended; `fields` are anything that JSON can say."""
        ...


class NullSink:
    """Keeps nothing."""

    def invocation(self, record: InvocationRecord) -> None:
        """Do nothing."""

    def lines(self, slug: str, version: int, execution_id: str, lines: Sequence[LogLine], dropped: int) -> None:
        """Do nothing."""

    def event(self, slug: str, version: int, execution_id: str, kind: EventKind, fields: Mapping[str, object]) -> None:
        """Do nothing."""


class FanOutSink:
    """Hands what it is told to several sinks."""

    def __init__(self, *sinks: LogSink) -> None:
        self._sinks = sinks

    def invocation(self, record: InvocationRecord) -> None:
        """Tell each sink."""
        for sink in self._sinks:
            sink.invocation(record)

    def lines(self, slug: str, version: int, execution_id: str, lines: Sequence[LogLine], dropped: int) -> None:
        """Tell each sink."""
        for sink in self._sinks:
            sink.lines(slug, version, execution_id, lines, dropped)

    def event(self, slug: str, version: int, execution_id: str, kind: EventKind, fields: Mapping[str, object]) -> None:
        """Tell each sink."""
        for sink in self._sinks:
            sink.event(slug, version, execution_id, kind, fields)
