"""Reads what C code and os.write print past Python's streams, from a pipe, in lines and within limits."""

import asyncio
import os
from collections.abc import Callable

from outdial.host.wire.frames import MAX_LINE, shorten_line

# Bytes and lines to read per second. The rest stays in the pipe, and a full pipe rejects further writes.
_MAX_BYTES = 128 << 10
_MAX_LINES = 200
_READ_SIZE = 1 << 15
_WINDOW_S = 1.0


class RawOutput:
    """The read end of a pipe. `on_lines` receives lines, and the number of lines that were dropped."""

    def __init__(self, descriptor: int, on_lines: Callable[[list[str], int], None], on_end: Callable[[], None]) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._on_lines = on_lines
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._bytes_left = _MAX_BYTES
        self._lines_left = _MAX_LINES
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._loop.add_reader(descriptor, self._read)

    def finish(self) -> None:
        """Read what is left, within the limit, and close."""
        for _ in range(_MAX_BYTES // _READ_SIZE):
            if not self._is_closed and not self._read():
                break
        self._close()

    def _read(self) -> bool:
        try:
            data = os.read(self._descriptor, _READ_SIZE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._close()
            return False
        self._bytes_left -= len(data)
        *whole, rest = (self._rest + data).split(b"\n")
        self._rest = rest[: MAX_LINE + 1]
        kept = whole[: max(0, self._lines_left)]
        self._lines_left -= len(kept)
        if whole:
            self._on_lines(list(map(_decode, kept)), len(whole) - len(kept))
        if self._timer is None:
            self._timer = self._loop.call_later(_WINDOW_S, self._start_window)
        if self._bytes_left <= 0:
            self._loop.remove_reader(self._descriptor)
        return True

    def _start_window(self) -> None:
        self._timer = None
        self._bytes_left = _MAX_BYTES
        self._lines_left = _MAX_LINES
        if not self._is_closed:
            self._loop.add_reader(self._descriptor, self._read)

    def _close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        if self._rest:
            self._on_lines([_decode(self._rest)], 0)
        self._on_end()


def _decode(line: bytes) -> str:
    return shorten_line(line.decode("utf-8", "replace"))
