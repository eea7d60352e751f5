"""Sinks."""

from collections.abc import Mapping, Sequence

from outdial.host.log.sink import EventKind, FanOutSink, InvocationRecord, LogSink, NullSink
from outdial.host.wire.frames import LogLine
from tests.support.function_log import WORKER, invocation, line


class RecordingSink:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def invocation(self, record: InvocationRecord) -> None:
        self.told.append(record)

    def lines(self, slug: str, version: int, execution_id: str, lines: Sequence[LogLine], dropped: int) -> None:
        self.told.append((slug, version, execution_id, lines, dropped))

    def event(self, slug: str, version: int, execution_id: str, kind: EventKind, fields: Mapping[str, object]) -> None:
        self.told.append((slug, version, execution_id, kind, fields))


def test_fans_out_to_every_sink() -> None:
    one, other = RecordingSink(), RecordingSink()
    sink: LogSink = FanOutSink(one, NullSink(), other)
    record, said = invocation(), [line()]

    sink.invocation(record)
    sink.lines("hello", 3, WORKER, said, 2)
    sink.event("hello", 3, WORKER, "boot", {"boot_ms": 30.0})

    told = [record, ("hello", 3, WORKER, said, 2), ("hello", 3, WORKER, "boot", {"boot_ms": 30.0})]
    assert one.told == other.told == told
