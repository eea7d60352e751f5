"""What C code and os.write print past Python's streams: read from a pipe, in lines, and bounded."""

import asyncio
import os
from collections.abc import Callable

from outdial.host.worker.capture import LONGEST_LINE, shorten_line

# Bytes and lines per second that are taken; what is beyond stays in the pipe, and a full pipe refuses more at once.
_MOST = 128 << 10
_MOST_LINES = 200
_PIECE = 1 << 15
_WINDOW_S = 1.0


class RawOutput:
    """The reading end of a pipe; `keep` is given lines, and how many more there were that are not kept."""

    def __init__(self, descriptor: int, keep: Callable[[list[str], int], None], on_end: Callable[[], None]) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor, self._keep, self._on_end = descriptor, keep, on_end
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._bytes_left, self._lines_left = _MOST, _MOST_LINES
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._loop.add_reader(descriptor, self._read)

    def finish(self) -> None:
        """Take what is left, and close."""
        for _ in range(_MOST // _PIECE):
            if not self._is_closed and not self._read():
                break
        self._close()

    def _read(self) -> bool:
        try:
            data = os.read(self._descriptor, _PIECE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._close()
            return False
        self._cut(data)
        if self._timer is None:
            self._timer = self._loop.call_later(_WINDOW_S, self._renew)
        if self._bytes_left <= 0:
            self._loop.remove_reader(self._descriptor)
        return True

    def _cut(self, data: bytes) -> None:
        self._bytes_left -= len(data)
        *whole, rest = (self._rest + data).split(b"\n")
        self._rest = rest[: LONGEST_LINE + 1]
        kept = whole[: max(0, self._lines_left)]
        self._lines_left -= len(kept)
        if whole:
            self._keep(list(map(_text, kept)), len(whole) - len(kept))

    def _renew(self) -> None:
        self._timer = None
        self._bytes_left, self._lines_left = _MOST, _MOST_LINES
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
            self._keep([_text(self._rest)], 0)
        self._on_end()


def _text(line: bytes) -> str:
    return shorten_line(line.decode("utf-8", "replace"))
