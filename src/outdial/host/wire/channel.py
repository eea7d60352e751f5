"""One end of the socket between gateway and worker: reads what comes, and writes once per turn of the loop."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress

# Larger pieces would make malloc ask the kernel for each.
_PIECE = 1 << 16
# As much as one send takes without a copy being felt.
_SMALL = 1 << 17


class Channel:
    """A non-blocking stream socket on the running loop; nothing is read before `start_reading`.

    `on_data` is given what has come, `on_end` is called once, when the other end is gone or `close` was called.
    """

    def __init__(self, end: socket.socket, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        end.setblocking(False)
        self._socket, self._on_data, self._on_end = end, on_data, on_end
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[bytes | memoryview] = deque()
        self._is_scheduled = self._is_full = self._is_closed = False

    @property
    def backlog(self) -> int:
        """Bytes that the other end has not taken yet, this turn's left out."""
        return sum(map(len, self._waiting)) if self._is_full else 0

    def send(self, data: bytes) -> None:
        """Write `data` at the end of this turn of the loop, with all else of this turn."""
        if self._is_closed:
            return
        self._waiting.append(data)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._flush_turn)

    def flush(self) -> None:
        """Write now what the socket takes."""
        while self._waiting and not self._is_closed:
            piece = self._next_piece()
            try:
                sent = self._socket.send(piece)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self.close()
                return
            if sent < len(piece):
                self._waiting.appendleft(memoryview(piece)[sent:])
                self._wait_for_room()
                return
        if self._is_full:
            self._is_full = False
            self._loop.remove_writer(self._socket)

    def start_reading(self) -> None:
        """Take what the other end sends."""
        self._loop.add_reader(self._socket, self._read)

    def stop_reading(self) -> None:
        """Take nothing more from the other end."""
        if not self._is_closed:
            self._loop.remove_reader(self._socket)

    def close(self) -> None:
        """Let go of the socket; what is not written is lost."""
        if not self._is_closed:
            self._let_go()
            self._on_end()

    def finish(self, timeout_s: float) -> None:
        """Write all there is, waiting for room, and let go without a call of `on_end`: for a process about to end."""
        if not self._is_closed:
            self._socket.settimeout(timeout_s)
            with suppress(OSError):
                self._socket.sendall(b"".join(self._waiting))
            self._let_go()

    def _let_go(self) -> None:
        self._is_closed = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._waiting.clear()

    def _flush_turn(self) -> None:
        self._is_scheduled = False
        if not self._is_full:
            self.flush()

    def _next_piece(self) -> bytes | memoryview:
        if len(self._waiting) == 1 or len(self._waiting[0]) >= _SMALL:
            return self._waiting.popleft()
        whole = b"".join(self._waiting)
        self._waiting.clear()
        return whole

    def _wait_for_room(self) -> None:
        if not self._is_full:
            self._is_full = True
            self._loop.add_writer(self._socket, self.flush)

    def _read(self) -> None:
        try:
            data = self._socket.recv(_PIECE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._on_data(data)
        else:
            self.close()
