"""A socket between gateway and worker that batches writes: one send per turn of the event loop."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress

# malloc would ask the kernel for memory on every larger read.
_READ_SIZE = 1 << 16
# Larger pieces are sent on their own, because joining them would cost a noticeable copy.
_JOIN_BELOW = 1 << 17


class Channel:
    """A non-blocking stream socket on the running loop. It reads nothing before `start_reading`.

    `on_data` receives what arrives. `on_end` is called once, when the peer is gone or after `close`.
    """

    def __init__(self, end: socket.socket, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        end.setblocking(False)
        self._socket = end
        self._on_data = on_data
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._unsent: deque[bytes | memoryview] = deque()
        self._is_scheduled = False
        self._is_full = False
        self._is_closed = False

    @property
    def backlog(self) -> int:
        """Bytes that the socket did not accept; 0 while only this turn's data is unsent."""
        return sum(map(len, self._unsent)) if self._is_full else 0

    def send(self, data: bytes) -> None:
        """Queue `data` for the end of this turn of the loop."""
        if self._is_closed:
            return
        self._unsent.append(data)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._flush_turn)

    def flush(self) -> None:
        """Write what the socket accepts now."""
        while self._unsent and not self._is_closed:
            piece = self._unsent.popleft()
            if self._unsent and len(piece) < _JOIN_BELOW:
                piece = b"".join((piece, *self._unsent))
                self._unsent.clear()
            try:
                sent = self._socket.send(piece)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self.close()
                return
            if sent < len(piece):
                self._unsent.appendleft(memoryview(piece)[sent:])
                if not self._is_full:
                    self._is_full = True
                    self._loop.add_writer(self._socket, self.flush)
                return
        if self._is_full:
            self._is_full = False
            self._loop.remove_writer(self._socket)

    def start_reading(self) -> None:
        """Start passing received data to `on_data`."""
        self._loop.add_reader(self._socket, self._read)

    def stop_reading(self) -> None:
        """Stop reading."""
        if not self._is_closed:
            self._loop.remove_reader(self._socket)

    def close(self) -> None:
        """Close the socket and drop unsent data."""
        if not self._is_closed:
            self._release()
            self._on_end()

    def finish(self, timeout_s: float) -> None:
        """Write all unsent data, blocking, and close without calling `on_end`; for a process about to exit."""
        if not self._is_closed:
            self._socket.settimeout(timeout_s)
            with suppress(OSError):
                self._socket.sendall(b"".join(self._unsent))
            self._release()

    def _release(self) -> None:
        self._is_closed = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._unsent.clear()

    def _flush_turn(self) -> None:
        self._is_scheduled = False
        if not self._is_full:
            self.flush()

    def _read(self) -> None:
        try:
            data = self._socket.recv(_READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._on_data(data)
        else:
            self.close()
