"""A channel: one write per turn of the loop, in order, however slowly the other end reads."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from outdial.host.wire.channel import Channel


class Pair:
    """A channel, what it has read, and the other end."""

    def __init__(self) -> None:
        ours, self.other = socket.socketpair()
        self.other.setblocking(False)
        self.read: list[bytes] = []
        self.ended = asyncio.Event()
        self.news = asyncio.Event()
        self.channel = Channel(ours, self._take, self.ended.set)
        self.channel.start_reading()

    def _take(self, data: bytes) -> None:
        self.read.append(data)
        self.news.set()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair()
    yield made
    made.channel.close()
    made.other.close()


async def test_frames_of_one_turn_go_out_in_one_write(pair: Pair) -> None:
    for number in range(100):
        pair.channel.send(b"%d," % number)
    with pytest.raises(BlockingIOError):
        pair.other.recv(1)
    await asyncio.sleep(0)
    assert pair.other.recv(10_000) == b"".join(b"%d," % number for number in range(100))


async def test_flush_writes_without_the_loop(pair: Pair) -> None:
    pair.channel.send(b"about to spin")
    pair.channel.flush()
    assert pair.other.recv(100) == b"about to spin"


async def test_more_than_the_socket_holds_arrives_whole_and_in_order(pair: Pair) -> None:
    sent = [bytes([number]) * 300_000 for number in range(20)] + [b"end"]
    for piece in sent:
        pair.channel.send(piece)
    loop, got = asyncio.get_running_loop(), bytearray()
    await asyncio.sleep(0)
    assert pair.channel.backlog > 1 << 20
    while len(got) < sum(map(len, sent)):
        got += await loop.sock_recv(pair.other, 1 << 16)
    assert bytes(got) == b"".join(sent)
    assert pair.channel.backlog == 0


async def test_finish_waits_for_room(pair: Pair) -> None:
    sent = bytes(5 << 20)
    pair.channel.send(sent)
    pair.other.setblocking(True)

    def read_all() -> int:
        total = 0
        while data := pair.other.recv(1 << 16):
            total += len(data)
        return total

    reading = asyncio.create_task(asyncio.to_thread(read_all))
    await asyncio.sleep(0)
    pair.channel.finish(20)
    assert await reading == len(sent)
    assert not pair.ended.is_set()


async def test_on_end_is_called_once_when_the_peer_closes(pair: Pair) -> None:
    pair.other.send(b"last")
    pair.other.close()
    await pair.ended.wait()
    assert pair.read == [b"last"]
    pair.ended.clear()
    pair.channel.close()
    assert not pair.ended.is_set()


async def test_nothing_is_read_after_stop_reading(pair: Pair) -> None:
    pair.channel.stop_reading()
    pair.other.send(b"more")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert pair.read == []


async def test_sending_after_close_does_nothing(pair: Pair) -> None:
    pair.other.close()
    await pair.ended.wait()
    pair.channel.send(b"late")
    pair.channel.flush()
