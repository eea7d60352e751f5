"""Brings the log to Postgres in batches: what is told is buffered within bounds, so that no request waits for it."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from time import monotonic
from typing import Any, Final, Literal, NamedTuple, TypeVar
from urllib.parse import unquote

import asyncpg
import msgspec

from outdial.background import RepeatingTask
from outdial.clock import Clock
from outdial.db import host_logs as db
from outdial.db.session import Database
from outdial.db.statements import Statement
from outdial.functions.log import Redactor
from outdial.host.log.buffer import LogAllowance, RecordBuffer
from outdial.host.log.sink import EventKind, InvocationRecord
from outdial.host.wire.frames import Level, LogLine
from outdial.log import log

LONGEST_LINE: Final = 10_100  # a worker cuts a line at 10,000, and says so in it
LONGEST_PATH: Final = 2_000
MOST_WAITING: Final = 16 << 20
# What one function may log, in characters; a line weighs 100 more than its text.
LOG_PER_SECOND: Final = 1 << 18
LOG_AT_ONCE: Final = 1 << 20

_PAUSE = timedelta(milliseconds=500)
_PATIENCE_AT_STOP_S = 5.0
# Each step of a flush holds the event loop for half a millisecond or so.
_ENTRIES_A_STEP = 500
_TEXT_A_STEP = 1 << 15
# A worker's word about the time counts within these bounds.
_OLDEST_MS, _NEWEST_MS = -3_600_000, 5_000
_IN_THE_TEXT = ("message", "traceback")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# What Postgres or the encoder says of a value that cannot be stored; an absent database is another matter.
_UNFIT = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    msgspec.MsgspecError,
    UnicodeEncodeError,
    OverflowError,
)

Lost = Literal["invocations", "lines"]


class LineRecord(NamedTuple):
    """A line in the order that `insert_log_lines` takes; ids are empty when there is none."""

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
    """The sink of a host, and the duty that brings what it was told to the database.

    While the database is away, `most_waiting` bytes of invocations and as many of lines are kept; then the oldest go.
    What is lost is counted in `dropped`, and told by a line of the kind `dropped` when the database is back. A batch
    whose commit nobody answered is written again: an entry may come twice, and none is lost by it. Secrets are taken
    out of all text, and phone numbers masked, before they leave the process.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        env: Mapping[str, str],
        *,
        most_waiting: int = MOST_WAITING,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self._database, self._clock, self._seconds = database, clock, seconds
        self._invocations = RecordBuffer[InvocationRecord](most_waiting, _weight_of_invocation, self._lose)
        self._lines = RecordBuffer[LineRecord](most_waiting, _weight_of_line, self._lose)
        self._allowances: dict[str, LogAllowance] = {}
        self.dropped: Counter[tuple[str, str]] = Counter()
        self._untold: Counter[tuple[str, str]] = Counter()
        self._flushes = RepeatingTask("host.log_writer", self, _PAUSE)
        self.know_secrets(env)

    def know_secrets(self, env: Mapping[str, str], deployed: Iterable[str] = ()) -> None:
        """Take the secrets of `env`, and all of `deployed`, out of what is written from now on."""
        self._redact = Redactor(env, deployed)
        self._clean_path = lru_cache(4096)(self._redact_path)

    def start(self) -> None:
        """Begin to write in the background."""
        self._flushes.start()

    async def stop(self) -> None:
        """Write what is left; what the database does not take within some seconds is lost."""
        try:
            async with asyncio.timeout(_PATIENCE_AT_STOP_S):
                await self._flushes.stop()
                await self.run_once()
        except Exception as error:  # the host ends, with its log or without
            invocations, lines = len(self._invocations), len(self._lines)
            log("host.log_lost", level="error", reason=repr(error), invocations=invocations, lines=lines)

    # As a sink.

    def invocation(self, record: InvocationRecord) -> None:
        """Keep `record` for the next flush."""
        if len(record.path) > LONGEST_PATH:
            record = record._replace(path=record.path[:LONGEST_PATH])
        self._invocations.add(record)
        # At this length only: while the database is away, more of them must not wake the duty again and again.
        if len(self._invocations) == _ENTRIES_A_STEP:
            self._flushes.wake()

    def lines(self, slug: str, version: int, execution_id: str, lines: Sequence[LogLine], dropped: int) -> None:
        """Keep `lines` for the next flush, as far as the function's allowance reaches."""
        now, now_ms = self._seconds(), self._now_ms()
        allowance = self._allowances.get(slug)
        if allowance is None:
            allowance = self._allowances[slug] = LogAllowance(LOG_AT_ONCE, LOG_PER_SECOND, now)
        for number, line in enumerate(lines):
            text = line.text[:LONGEST_LINE]
            if not allowance.take(len(text) + 100, now):
                dropped += len(lines) - number
                break
            at_ms = line.at_ms if _OLDEST_MS < line.at_ms - now_ms < _NEWEST_MS else now_ms
            request_id = line.request_id if _UUID.fullmatch(line.request_id) else ""
            self._lines.add(LineRecord(at_ms, slug, version, execution_id, request_id, line.level, "log", text))
        if dropped > 0:
            self._count_loss(slug, "lines", dropped)

    def event(self, slug: str, version: int, execution_id: str, kind: EventKind, fields: Mapping[str, object]) -> None:
        """Keep that a worker came or went for the next flush."""
        level: Level = "error" if kind == "boot_failed" else "info"
        text = text_of_event(kind, fields)[:LONGEST_LINE]
        details = {name: self._clean_field(value) for name, value in fields.items() if name not in _IN_THE_TEXT}
        self._lines.add(LineRecord(self._now_ms(), slug, version, execution_id, "", level, kind, text, details or None))

    # As a duty.

    async def run_once(self) -> int:
        """Write what is buffered and tell what was lost; return how many entries that came to."""
        written = await self._tell_of_loss()
        written += await self._flush(self._invocations, db.INSERT_INVOCATIONS, self._encode_invocations, MOST_WAITING)
        return written + await self._flush(self._lines, db.INSERT_LOG_LINES, self._encode_lines, _TEXT_A_STEP)

    async def _flush(
        self, buffer: RecordBuffer[Record], insert: Statement[Any], encode: Encode[Record], weight: int
    ) -> int:
        written, waiting = 0, len(buffer)
        # Not until it is empty: under load, steps would become smaller and smaller.
        while written < waiting and (records := buffer.take(_ENTRIES_A_STEP, weight)):
            try:
                unfit = await self._store(insert, records, encode)
            except BaseException:
                buffer.put_back(records)
                raise
            for record in unfit:
                self._lose(record)
                log("host.log_unfit", level="error", record=self._redact(repr(record)))
            written += len(records)
        return written

    async def _store(self, insert: Statement[Any], records: Sequence[Record], encode: Encode[Record]) -> list[Record]:
        """Store `records`, in halves when one of them spoils the batch; return those that cannot be stored."""
        try:
            rows = encode(records).decode()
            async with self._database.transaction() as connection:
                await db.COMMIT_LOOSELY.run(connection)
                await insert.run(connection, rows=rows)
        except _UNFIT:
            if len(records) == 1:
                return list(records)
            half = len(records) // 2
            unfit = await self._store(insert, records[:half], encode)
            return unfit + await self._store(insert, records[half:], encode)
        return []

    async def _tell_of_loss(self) -> int:
        untold = Counter(self._untold)
        by_slug: dict[str, dict[str, object]] = {}
        for (slug, what), count in untold.items():
            by_slug.setdefault(slug, {})[what] = count
        records = [
            LineRecord(self._now_ms(), slug, 0, "", "", "warning", "dropped", _text_of_loss(lost), lost)
            for slug, lost in by_slug.items()
        ]
        if records:
            await self._store(db.INSERT_LOG_LINES, records, self._encode_lines)
            self._untold -= untold
        return len(records)

    def _encode_invocations(self, records: Sequence[InvocationRecord]) -> bytes:
        clean = self._clean_path
        return msgspec.json.encode(
            [
                record if (path := clean(record.path)) == record.path else record._replace(path=path)
                for record in records
            ]
        )

    def _encode_lines(self, records: Sequence[LineRecord]) -> bytes:
        return msgspec.json.encode([record._replace(text=self._clean(record.text)) for record in records])

    def _redact_path(self, path: str) -> str:
        # A number may be sent as %2B49...
        readable = unquote(path)
        cleaned = self._clean(readable)
        return path if cleaned == readable else cleaned

    def _clean(self, text: str) -> str:
        # Postgres knows no text with this character.
        return self._redact(text).replace("\0", "\N{REPLACEMENT CHARACTER}")

    def _clean_field(self, value: object) -> object:
        return value if value is None or isinstance(value, bool | int | float) else self._clean(str(value))

    def _lose(self, record: InvocationRecord | LineRecord) -> None:
        self._count_loss(record.slug, "invocations" if isinstance(record, InvocationRecord) else "lines", 1)

    def _count_loss(self, slug: str, what: Lost, count: int) -> None:
        self.dropped[slug, what] += count
        self._untold[slug, what] += count

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def text_of_event(kind: EventKind, fields: Mapping[str, object]) -> str:
    """Return how the log tells of a worker's coming or going; the wording of a boot is Supabase's."""
    if kind == "boot":
        return f"booted (time: {fields['boot_ms']:.0f}ms)" if "boot_ms" in fields else "booted"
    what = "failed to boot" if kind == "boot_failed" else "shut down"
    reason, *rest = [str(fields[name]) for name in ("reason", *_IN_THE_TEXT) if fields.get(name)] or [""]
    return "\n".join([f"{what}: {reason}" if reason else what, *rest])


def _text_of_loss(lost: Mapping[str, object]) -> str:
    return " and ".join(f"{count} {what}" for what, count in sorted(lost.items())) + " of the log were not kept"


def _weight_of_invocation(record: InvocationRecord) -> int:
    return 700 + len(record.path)


def _weight_of_line(record: LineRecord) -> int:
    return 400 + len(record.text)
