"""Write the log to Postgres in batches, from a bounded buffer: no request waits for the database."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from time import monotonic
from typing import Final, Literal, NamedTuple, Protocol, TypeVar
from urllib.parse import unquote

import asyncpg
import msgspec

from outdial.background import RepeatingTask
from outdial.clock import Clock
from outdial.db.queries.host import function_logs
from outdial.db.session import Connection, Database
from outdial.functions.log import Redactor
from outdial.host.log.buffer import LogAllowance, RecordBuffer
from outdial.host.log.sink import EventKind, InvocationRecord
from outdial.host.wire.frames import Level, LogLine
from outdial.log import log

LONGEST_LINE: Final = 10_100  # a worker cuts lines at 10,000 characters and appends a note
LONGEST_PATH: Final = 2_000
MAX_BUFFERED_BYTES: Final = 16 << 20
# Limits per function, in characters. A line counts as its text plus 100.
LOG_PER_SECOND: Final = 1 << 18
LOG_BURST: Final = 1 << 20

_PAUSE = timedelta(milliseconds=500)
_STOP_TIMEOUT_S = 5.0
# Each step of a flush blocks the event loop for about half a millisecond.
_ENTRIES_PER_STEP = 500
_TEXT_PER_STEP = 1 << 15
# Trust a worker's timestamp only within these bounds around our own clock.
_OLDEST_MS = -3_600_000
_NEWEST_MS = 5_000
_TEXT_FIELDS = ("message", "traceback")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Postgres or the encoder rejects a value. Connection errors are not among them: those are retried.
_INVALID_RECORD = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    msgspec.MsgspecError,
    UnicodeEncodeError,
    OverflowError,
)


class _Insert(Protocol):
    async def __call__(self, connection: Connection, *, rows: str) -> int: ...


LostKind = Literal["invocations", "lines"]


class LineRecord(NamedTuple):
    """A line, its fields in the order that `insert_log_lines` expects. Ids are empty if there is none."""

    at_ms: int
    slug: str
    version: int
    execution_id: str
    request_id: str
    level: Level
    kind: Literal["log", "dropped"] | EventKind
    text: str
    details: Mapping[str, object] | None = None


Record = TypeVar("Record", InvocationRecord, LineRecord)
Encode = Callable[[Sequence[Record]], bytes]


class LogWriter:
    """The sink that buffers entries, and the background task that writes them to the database.

    While the database is down, it buffers up to `max_buffered_bytes` of invocations and as many of lines, then drops
    the oldest. `dropped` counts losses; once the database is back, a line of kind `dropped` reports them. If a commit
    gets no reply, the batch is written again: an entry can appear twice, but none is lost that way. Secrets are removed
    from all text, and phone numbers masked, before anything leaves the process.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        env: Mapping[str, str],
        *,
        max_buffered_bytes: int = MAX_BUFFERED_BYTES,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self._seconds = seconds
        self._invocations = RecordBuffer[InvocationRecord](
            max_buffered_bytes, lambda record: 700 + len(record.path), self._count_lost
        )
        self._lines = RecordBuffer[LineRecord](
            max_buffered_bytes, lambda record: 400 + len(record.text), self._count_lost
        )
        self._allowances: dict[str, LogAllowance] = {}
        self.dropped: Counter[tuple[str, str]] = Counter()
        self._unreported: Counter[tuple[str, str]] = Counter()
        self._repeating = RepeatingTask("host.log_writer", self, _PAUSE)
        self.redact_secrets(env)

    def redact_secrets(self, env: Mapping[str, str], deployed: Iterable[str] = ()) -> None:
        """Redact the secrets of `env`, and all `deployed` values, in everything written from now on."""
        self._redact = Redactor(env, deployed)
        self._clean_path = lru_cache(4096)(self._redact_path)

    def start(self) -> None:
        self._repeating.start()

    async def stop(self) -> None:
        """Write what is buffered, for at most 5 s; the rest is lost."""
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._repeating.stop()
                await self.run_once()
        except Exception as error:  # do not keep the host from stopping
            invocations, lines = len(self._invocations), len(self._lines)
            log("host.log_lost", level="error", reason=repr(error), invocations=invocations, lines=lines)

    # LogSink.

    def invocation(self, record: InvocationRecord) -> None:
        """Buffer a record."""
        if len(record.path) > LONGEST_PATH:
            record = msgspec.structs.replace(record, path=record.path[:LONGEST_PATH])
        self._invocations.add(record)
        # Only at exactly this length: while the database is down, every further record would wake the task.
        if len(self._invocations) == _ENTRIES_PER_STEP:
            self._repeating.wake()

    def lines(self, slug: str, version: int, execution_id: str, lines: Sequence[LogLine], dropped: int) -> None:
        """Buffer lines, as far as the function's allowance permits."""
        now = self._seconds()
        now_ms = self._now_ms()
        allowance = self._allowances.get(slug)
        if allowance is None:
            allowance = self._allowances[slug] = LogAllowance(LOG_BURST, LOG_PER_SECOND, now)
        for number, line in enumerate(lines):
            text = line.text[:LONGEST_LINE]
            if not allowance.take(len(text) + 100, now):
                dropped += len(lines) - number
                break
            at_ms = line.at_ms if _OLDEST_MS < line.at_ms - now_ms < _NEWEST_MS else now_ms
            request_id = line.request_id if _UUID.fullmatch(line.request_id) else ""
            self._lines.add(
                LineRecord(
                    at_ms=at_ms,
                    slug=slug,
                    version=version,
                    execution_id=execution_id,
                    request_id=request_id,
                    level=line.level,
                    kind="log",
                    text=text,
                )
            )
        if dropped > 0:
            self._count_loss(slug, "lines", dropped)

    def event(self, slug: str, version: int, execution_id: str, kind: EventKind, fields: Mapping[str, object]) -> None:
        """Buffer the start or end of a worker."""
        level: Level = "error" if kind == "boot_failed" else "info"
        text = event_text(kind, fields)[:LONGEST_LINE]
        details = {
            name: value if value is None or isinstance(value, bool | int | float) else self._clean(str(value))
            for name, value in fields.items()
            if name not in _TEXT_FIELDS
        }
        self._lines.add(
            LineRecord(
                at_ms=self._now_ms(),
                slug=slug,
                version=version,
                execution_id=execution_id,
                request_id="",
                level=level,
                kind=kind,
                text=text,
                details=details or None,
            )
        )

    # Background task.

    async def run_once(self) -> int:
        """Report losses, write what is buffered, and return the number of entries written."""
        unreported = Counter(self._unreported)
        by_slug: dict[str, dict[str, object]] = {}
        for (slug, what), count in unreported.items():
            by_slug.setdefault(slug, {})[what] = count
        losses = [
            LineRecord(
                at_ms=self._now_ms(),
                slug=slug,
                version=0,
                execution_id="",
                request_id="",
                level="warning",
                kind="dropped",
                text=" and ".join(f"{count} {kind}" for kind, count in sorted(lost.items()))
                + " of the log were dropped",
                details=lost,
            )
            for slug, lost in by_slug.items()
        ]
        if losses:
            await self._store(function_logs.insert_log_lines, losses, self._encode_lines)
            self._unreported -= unreported
        written = len(losses)
        written += await self._flush(
            self._invocations, function_logs.insert_invocations, self._encode_invocations, MAX_BUFFERED_BYTES
        )
        return written + await self._flush(
            self._lines, function_logs.insert_log_lines, self._encode_lines, _TEXT_PER_STEP
        )

    async def _flush(self, buffer: RecordBuffer[Record], insert: _Insert, encode: Encode[Record], weight: int) -> int:
        written = 0
        waiting = len(buffer)
        # Stop at the initial length: while new entries arrive, batches would only get smaller.
        while written < waiting and (records := buffer.take(_ENTRIES_PER_STEP, weight)):
            try:
                invalid = await self._store(insert, records, encode)
            except BaseException:
                buffer.put_back(records)
                raise
            for record in invalid:
                self._count_lost(record)
                log("host.log_invalid", level="error", record=self._redact(repr(record)))
            written += len(records)
        return written

    async def _store(self, insert: _Insert, records: Sequence[Record], encode: Encode[Record]) -> list[Record]:
        """Store records and return the invalid ones. If the batch fails, store its halves separately."""
        try:
            rows = encode(records).decode()
            async with self._database.transaction() as connection:
                await function_logs.commit_without_flush(connection)
                await insert(connection, rows=rows)
        except _INVALID_RECORD:
            if len(records) == 1:
                return list(records)
            half = len(records) // 2
            invalid = await self._store(insert, records[:half], encode)
            return invalid + await self._store(insert, records[half:], encode)
        return []

    def _encode_invocations(self, records: Sequence[InvocationRecord]) -> bytes:
        clean = self._clean_path
        return msgspec.json.encode(
            [
                record if (path := clean(record.path)) == record.path else msgspec.structs.replace(record, path=path)
                for record in records
            ]
        )

    def _encode_lines(self, records: Sequence[LineRecord]) -> bytes:
        return msgspec.json.encode([record._replace(text=self._clean(record.text)) for record in records])

    def _redact_path(self, path: str) -> str:
        # A phone number can be encoded as %2B49...
        readable = unquote(path)
        cleaned = self._clean(readable)
        return path if cleaned == readable else cleaned

    def _clean(self, text: str) -> str:
        # Postgres rejects text with a zero byte.
        return self._redact(text).replace("\0", "\N{REPLACEMENT CHARACTER}")

    def _count_lost(self, record: InvocationRecord | LineRecord) -> None:
        self._count_loss(record.slug, "invocations" if isinstance(record, InvocationRecord) else "lines", 1)

    def _count_loss(self, slug: str, what: LostKind, count: int) -> None:
        self.dropped[slug, what] += count
        self._unreported[slug, what] += count

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def event_text(kind: EventKind, fields: Mapping[str, object]) -> str:
    """Return the log line for the start or end of a worker. The wording of a boot is Supabase's."""
    if kind == "boot":
        return f"booted (time: {fields['boot_ms']:.0f}ms)" if "boot_ms" in fields else "booted"
    what = "failed to boot" if kind == "boot_failed" else "shut down"
    reason, *rest = [str(fields[name]) for name in ("reason", *_TEXT_FIELDS) if fields.get(name)] or [""]
    return "\n".join([f"{what}: {reason}" if reason else what, *rest])
