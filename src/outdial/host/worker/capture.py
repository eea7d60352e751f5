"""What a function logs and prints, on its way to the gateway: bounded, in batches, and never in the request's way."""

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar

from outdial.clock import Clock
from outdial.host.wire.frames import Level, LogFrame, LogLine

# Supabase's bound for a line (docs: Edge Functions, Limits); the others are ours, per worker and second.
LONGEST_LINE = 10_000
MOST_LINES, MOST_CHARACTERS = 1_000, 1 << 20
_HALF = LONGEST_LINE // 2 - 50
_WINDOW_S = 1.0
_FLUSH_S = 0.1
# So many lines go out one by one between flushes: they are out when the function spins or crashes next.
_AT_ONCE = 8

# The request that this task works for; empty outside of one.
current_request: ContextVar[str] = ContextVar("current_request", default="")


def shorten_line(text: str) -> str:
    """Return a line of LONGEST_LINE characters at most: a longer one loses its middle, as a traceback ends with why."""
    if len(text) <= LONGEST_LINE:
        return text
    return f"{text[:_HALF]} ... {len(text) - 2 * _HALF} characters cut ... {text[-_HALF:]}"


class WorkerLog:
    """Collects lines, from any thread, and hands them on in batches, in the loop's thread only.

    `send` returns whether it took the batch: while it does not, the lines wait, and there is no room for others.
    Lines for which there is no room are counted, and told with the next batch.
    """

    def __init__(self, send: Callable[[LogFrame], bool], clock: Clock, redact: Callable[[str], str]) -> None:
        self._send, self._clock, self._redact = send, clock, redact
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._lock = threading.RLock()
        self._lines: list[LogLine] = []
        self._dropped = 0
        self._is_due = False
        self._at_once = _AT_ONCE
        self._window_ends = 0.0
        self._lines_left = self._characters_left = 0

    def add(self, level: Level, text: str, *, redacted: bool = False) -> None:
        """Keep a line, cut to LONGEST_LINE characters."""
        with self._lock:
            if self.has_room():
                self._keep(level, text, redacted)
            else:
                self._dropped += 1
            self._see_to_flush()

    def drop(self, lines: int) -> None:
        """Count lines that are not kept."""
        with self._lock:
            self._dropped += lines
            self._see_to_flush()

    def has_room(self) -> bool:
        """Tell whether a line would be kept now; when not, it need not even be made."""
        if self._lines_left > 0 and self._characters_left > 0:
            return True
        now = self._loop.time()
        if now < self._window_ends:
            return False
        if self._lines and self._is_loops_thread():
            self.flush()
        if self._lines:
            return False
        self._window_ends = now + _WINDOW_S
        self._lines_left, self._characters_left = MOST_LINES, MOST_CHARACTERS
        return True

    def flush(self) -> None:
        """Hand on what there is, now."""
        with self._lock:
            if (self._lines or self._dropped) and self._send(LogFrame(self._lines, self._dropped)):
                self._lines, self._dropped = [], 0

    def _keep(self, level: Level, text: str, redacted: bool) -> None:
        if not redacted:
            text = self._redact(text)
        text = shorten_line(text)
        self._lines_left -= 1
        self._characters_left -= len(text)
        at_ms = int(self._clock.now().timestamp() * 1000)
        self._lines.append(LogLine(at_ms, level, current_request.get(), text))

    def _see_to_flush(self) -> None:
        in_loop = self._is_loops_thread()
        if in_loop and self._at_once > 0:
            self._at_once -= 1
            self.flush()
        if self._is_due:
            return
        self._is_due = True
        if in_loop:
            self._schedule()
        else:
            self._loop.call_soon_threadsafe(self._schedule)

    def _schedule(self) -> None:
        self._loop.call_later(_FLUSH_S, self._flush_on_time)

    def _flush_on_time(self) -> None:
        with self._lock:
            self._is_due = False
            self._at_once = _AT_ONCE
            self.flush()
            if self._lines or self._dropped:
                self._is_due = True
                self._schedule()

    def _is_loops_thread(self) -> bool:
        return threading.get_ident() == self._thread
