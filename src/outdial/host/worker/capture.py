"""Collects what a function logs and prints, within limits, and sends it to the gateway in batches."""

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar

from outdial.clock import Clock
from outdial.host.wire.frames import MAX_CHARACTERS, MAX_LINES, Level, LogFrame, LogLine, shorten_line

_WINDOW_S = 1.0
_FLUSH_S = 0.1
# This many lines between flushes are sent at once, so that they are out if the function spins or crashes next.
_IMMEDIATE_LINES = 8

# The id of the request that the current task works for; empty outside a request.
current_request: ContextVar[str] = ContextVar("current_request", default="")


class WorkerLog:
    """Collects lines from any thread and passes them on in batches, from the loop's thread only.

    `send` returns whether it accepted the batch. While it does not, the lines wait and new ones are dropped. Dropped
    lines are counted, and the next batch reports the count.
    """

    def __init__(self, send: Callable[[LogFrame], bool], clock: Clock, redact: Callable[[str], str]) -> None:
        self._send = send
        self._clock = clock
        self._redact = redact
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._lock = threading.RLock()
        self._lines: list[LogLine] = []
        self._dropped = 0
        self._is_flush_scheduled = False
        self._immediate_left = _IMMEDIATE_LINES
        self._window_ends = 0.0
        self._lines_left = 0
        self._characters_left = 0

    def add(self, level: Level, text: str, *, redacted: bool = False) -> None:
        """Add a line, cut to MAX_LINE characters; drop it when the limit of this second is reached."""
        with self._lock:
            if self.has_room():
                if not redacted:
                    text = self._redact(text)
                text = shorten_line(text)
                self._lines_left -= 1
                self._characters_left -= len(text)
                at_ms = int(self._clock.now().timestamp() * 1000)
                self._lines.append(LogLine(at_ms, level, current_request.get(), text))
            else:
                self._dropped += 1
            self._request_flush()

    def drop(self, lines: int) -> None:
        """Count `lines` dropped lines."""
        with self._lock:
            self._dropped += lines
            self._request_flush()

    def has_room(self) -> bool:
        """Return whether a line would be kept now; if not, callers need not format it."""
        if self._lines_left > 0 and self._characters_left > 0:
            return True
        now = self._loop.time()
        if now < self._window_ends:
            return False
        if self._lines and self._is_loop_thread():
            self.flush()
        if self._lines:
            return False
        self._window_ends = now + _WINDOW_S
        self._lines_left = MAX_LINES
        self._characters_left = MAX_CHARACTERS
        return True

    def flush_lines(self) -> None:
        """Send the collected lines now. A count of dropped lines alone waits: it would be a frame for each request."""
        if self._lines:
            self.flush()

    def flush(self) -> None:
        """Send the collected lines and the count of dropped ones now."""
        with self._lock:
            if (self._lines or self._dropped) and self._send(LogFrame(self._lines, self._dropped)):
                self._lines = []
                self._dropped = 0

    def _request_flush(self) -> None:
        in_loop = self._is_loop_thread()
        if in_loop and self._immediate_left > 0:
            self._immediate_left -= 1
            self.flush()
        if self._is_flush_scheduled:
            return
        self._is_flush_scheduled = True
        if in_loop:
            self._loop.call_later(_FLUSH_S, self._flush_on_time)
        else:
            self._loop.call_soon_threadsafe(self._loop.call_later, _FLUSH_S, self._flush_on_time)

    def _flush_on_time(self) -> None:
        with self._lock:
            self._is_flush_scheduled = False
            self._immediate_left = _IMMEDIATE_LINES
            self.flush()
            if self._lines or self._dropped:
                self._is_flush_scheduled = True
                self._loop.call_later(_FLUSH_S, self._flush_on_time)

    def _is_loop_thread(self) -> bool:
        return threading.get_ident() == self._thread
