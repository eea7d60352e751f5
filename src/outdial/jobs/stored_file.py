"""A file that lies in the database in pieces, read as if it were a file."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Any

FetchPiece = Callable[[int], Awaitable[bytes | None]]


class StoredFile(io.RawIOBase):
    """Reads pieces one after the other, from a thread, while the loop that fetches them goes on with its work."""

    def __init__(self, fetch: FetchPiece, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._fetch, self._loop = fetch, loop
        self._number = 0
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as the piece at hand goes; 0 at the end of the file."""
        if not self._piece:
            self._piece = memoryview(self._next() or b"")
        length = min(len(buffer), len(self._piece))
        buffer[:length] = self._piece[:length]
        self._piece = self._piece[length:]
        return length

    def _next(self) -> bytes | None:
        piece = asyncio.run_coroutine_threadsafe(self._fetch_next(), self._loop).result()
        self._number += 1
        return piece

    async def _fetch_next(self) -> bytes | None:
        return await self._fetch(self._number)
