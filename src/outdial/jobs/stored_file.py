"""A file-like object over chunks that are stored in the database."""

import asyncio
import io
from collections.abc import Callable, Coroutine
from typing import Any

FetchChunk = Callable[[int], Coroutine[Any, Any, bytes | None]]


class StoredFile(io.RawIOBase):
    """Reads chunks in order, from a thread; the event loop `loop` fetches them. It can be read again from its start."""

    def __init__(self, fetch: FetchChunk, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._fetch = fetch
        self._loop = loop
        self._rewind()

    def _rewind(self) -> None:
        self._number = self._position = 0
        self._chunk = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` from the current chunk; return the number of bytes, 0 at the end of the file."""
        if not self._chunk:
            fetched = asyncio.run_coroutine_threadsafe(self._fetch(self._number), self._loop).result()
            self._chunk = memoryview(fetched or b"")
            self._number += 1
        length = min(len(buffer), len(self._chunk))
        buffer[:length] = self._chunk[:length]
        self._chunk = self._chunk[length:]
        self._position += length
        return length

    def seekable(self) -> bool:
        """Return True: it goes back to its start."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to the start, or stay; raises UnsupportedOperation for any other position."""
        match offset, whence:
            case 0, io.SEEK_SET:
                self._rewind()
            case 0, io.SEEK_CUR:
                pass
            case _:
                raise io.UnsupportedOperation("only the start can be sought")
        return self._position
