"""Connections are kept, closed and given up as they should be, and nobody holds one for ever."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from outdial import request_limits
from outdial.http import HttpResponse, RequestHead, ServerLimits
from tests.support.wire import App, Wire, get, post, served

# Long enough for a loaded machine, short enough to be waited for.
QUICK = ServerLimits(sweep_s=0.05)
OUT_OF_REACH = 60.0


class Gate:
    """An application whose answers wait to be let go, in the order of the requests."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[str] = asyncio.Queue()
        self.let_go = asyncio.Semaphore(0)
        self.answered: list[str] = []

    async def respond(self, head: RequestHead, body: bytes) -> HttpResponse:
        await self.arrived.put(head.path)
        await self.let_go.acquire()
        self.answered.append(head.path)
        return HttpResponse(200, [], head.path.encode())


async def until(is_so: Callable[[], bool]) -> None:
    """Return when something has come about, which the event loop has to be turned for."""
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def is_open(wire: Wire) -> bool:
    """Tell whether a connection still answers."""
    wire.send(get())
    return await wire.read_line() == b"HTTP/1.1 200 OK\r\n"


async def test_http_1_1_keeps_the_connection_without_a_header() -> None:
    async with served() as here:
        wire = await here.connect()
        assert "connection" not in (await wire.ask(get())).headers
        assert await is_open(wire)


async def test_a_client_that_wants_to_close_is_closed() -> None:
    async with served() as here:
        wire = await here.connect()
        assert (await wire.ask(get("connection: close"))).headers["connection"] == "close"
        assert await wire.rest() == b""


async def test_http_1_0_keeps_the_connection_only_when_asked() -> None:
    async with served() as here:
        wire = await here.connect()
        reply = await wire.ask(get("connection: keep-alive", version="1.0"))
        assert reply.headers["connection"] == "keep-alive"
        assert (await wire.ask(get(version="1.0"))).headers["connection"] == "close"
        assert await wire.rest() == b""


async def test_pipelined_requests_run_one_at_a_time_and_respond_in_order() -> None:
    gate = Gate()
    async with served(App(gate.respond)) as here:
        wire = await here.connect()
        wire.send(get(path="/1") + post(b"x", path="/2") + get(path="/3"))
        assert await gate.arrived.get() == "/1"
        wire.send(get(path="/4") + get(path="/5")[:20])
        assert gate.arrived.empty(), "the second has to wait for the first"
        for _ in range(5):
            gate.let_go.release()
        wire.send(get(path="/5")[20:])
        assert [(await wire.reply()).body for _ in range(5)] == [b"/1", b"/2", b"/3", b"/4", b"/5"]


async def test_too_many_pipelined_requests_close_the_connection_after_the_accepted_ones() -> None:
    async with served(limits=replace(QUICK, pipelined=3)) as here:
        wire = await here.connect()
        wire.send(get() * 10)
        assert (await wire.rest()).count(b"HTTP/1.1 200 OK") == 4
    assert len(here.app.asked) == 4


@pytest.mark.parametrize("how", ["hangs up", "is torn off"])
async def test_a_request_runs_even_when_its_client_is_gone(how: str) -> None:
    gate = Gate()
    async with served(App(gate.respond)) as here:
        wire = await here.connect()
        wire.send(get(path="/1"))
        await gate.arrived.get()
        if how == "is torn off":
            wire.tear_off()
            await until(lambda: not here.server.connections)
        await wire.close()
        assert here.server.in_flight == 1
        gate.let_go.release()
        await until(lambda: not here.server.connections and not here.server.in_flight)
    assert gate.answered == ["/1"]


async def test_a_client_that_half_closes_gets_its_responses() -> None:
    gate = Gate()
    async with served(App(gate.respond)) as here:
        wire = await here.connect()
        wire.send(get(path="/1") + get(path="/2"))
        wire.send_eof()
        await gate.arrived.get()
        gate.let_go.release()
        gate.let_go.release()
        assert [(await wire.reply()).body for _ in range(2)] == [b"/1", b"/2"]
        assert await wire.rest() == b""


async def test_an_idle_connection_is_closed() -> None:
    async with served(limits=replace(QUICK, idle_s=0.2)) as here:
        silent, used = await here.connect(), await here.connect()
        await used.ask(get())
        assert await silent.rest() == b""
        assert await used.rest() == b""


@pytest.mark.parametrize("begun", [b"P", b"POST / HTTP/1.1\r\nhost:", post(b"x" * 9)[:-12]])
async def test_headers_that_do_not_come_to_an_end_are_408(begun: bytes) -> None:
    async with served(limits=replace(QUICK, header_s=0.2)) as here:
        wire = await here.connect()
        reply = await wire.ask(begun)
        assert (reply.status, reply.headers["connection"]) == (408, "close")
        assert await wire.rest() == b""


async def test_headers_are_timed_from_their_first_byte_and_not_from_the_last() -> None:
    async with served(limits=replace(QUICK, header_s=0.3)) as here:
        wire = await here.connect()
        reply = asyncio.create_task(wire.reply())
        wire.send(b"GET / HTTP/1.1\r\nhost: ")
        while not reply.done():
            wire.send(b"x")
            await asyncio.wait({reply}, timeout=0.02)
        assert reply.result().status == 408


async def test_a_body_that_stops_is_408() -> None:
    async with served(limits=replace(QUICK, body_s=0.2)) as here:
        wire = await here.connect()
        assert (await wire.ask(post(b"hell", length=5))).status == 408
        assert await wire.rest() == b""
    assert here.app.asked == []


async def test_a_body_that_trickles_is_408() -> None:
    async with served(limits=replace(QUICK, body_s=0.3, body_rate=1e6)) as here:
        wire = await here.connect()
        wire.send(post(length=1000))
        reply = asyncio.create_task(wire.reply())
        while not reply.done():
            wire.send(b".")
            await asyncio.wait({reply}, timeout=0.02)
        assert reply.result().status == 408


async def test_a_client_that_does_not_read_is_cut() -> None:
    async def respond(head: RequestHead, body: bytes) -> HttpResponse:
        return HttpResponse(200, [], b"x" * 20_000_000)

    async with served(App(respond), limits=replace(QUICK, unread_s=0.3)) as here:
        wire = await here.connect(limit=1000)
        wire.send(get() + get())
        assert await wire.read_line() == b"HTTP/1.1 200 OK\r\n"
        await until(lambda: not here.server.connections)
    assert len(here.app.asked) == 1, "the second waits until the first has been taken"


async def test_a_slow_reader_gets_everything() -> None:
    async def respond(head: RequestHead, body: bytes) -> HttpResponse:
        return HttpResponse(200, [], head.path.encode() * 2_000_000)

    async with served(App(respond)) as here:
        wire = await here.connect(limit=1000)
        wire.send(get(path="/a") + get(path="/b"))
        for name in (b"/a", b"/b"):
            assert (await wire.reply()).body == name * 2_000_000


async def test_over_the_limit_the_longest_idle_connection_closes() -> None:
    async with served(limits=replace(QUICK, connections=2)) as here:
        first, second = await here.connect(), await here.connect()
        now = asyncio.get_running_loop().time
        for wire in (first, second, first):
            await wire.ask(get())
            asked_at = now()
            await until(lambda: now() > asked_at)  # noqa: B023
        third = await here.connect()
        assert (await third.ask(get())).status == 200
        assert await second.rest() == b""
        assert await is_open(first)


async def test_over_the_limit_with_all_busy_a_new_connection_gets_503() -> None:
    gate = Gate()
    async with served(App(gate.respond), limits=replace(QUICK, connections=1)) as here:
        busy = await here.connect()
        busy.send(get(path="/1"))
        await gate.arrived.get()
        late = await here.connect()
        reply = await late.reply()
        assert (reply.status, reply.headers["connection"]) == (503, "close")
        gate.let_go.release()
        assert (await busy.reply()).body == b"/1"


@pytest.mark.parametrize("sent", [post(b"x" * 10, length=20), get()[:10]], ids=["body", "headers"])
async def test_over_the_limit_the_slowest_request_makes_room(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "_TOO_YOUNG_S", -1.0)
    async with served(limits=replace(QUICK, connections=2)) as here:
        slowest, slow = await here.connect(), await here.connect()
        for wire, begun in ((slowest, sent[:5]), (slow, sent)):
            wire.send(begun)
            await until(lambda: any(one.bytes_received == len(begun) for one in here.server.connections))  # noqa: B023
        late = await here.connect()
        assert (await late.ask(get())).status == 200
        reply = await slowest.reply()
        assert (reply.status, reply.headers["connection"]) == (503, "close")
        assert await slowest.rest() == b""
        assert any(one.bytes_received == len(sent) for one in here.server.connections)


async def test_over_the_limit_a_young_request_stays_and_the_newcomer_gets_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "_TOO_YOUNG_S", OUT_OF_REACH)
    async with served(limits=replace(QUICK, connections=1)) as here:
        young = await here.connect()
        young.send(post(b"hel", length=5))
        await until(lambda: any(connection.bytes_received for connection in here.server.connections))
        assert (await (await here.connect()).reply()).status == 503
        assert (await young.ask(b"lo")).status == 200


async def test_draining_finishes_requests_in_flight_and_closes_the_rest() -> None:
    gate = Gate()
    async with served(App(gate.respond)) as here:
        idle, busy = await here.connect(), await here.connect()
        busy.send(get(path="/1"))
        await gate.arrived.get()
        draining = asyncio.create_task(here.server.drain(OUT_OF_REACH))
        assert await idle.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await here.connect()
        assert here.server.in_flight == 1
        gate.let_go.release()
        reply = await busy.reply()
        assert (reply.body, reply.headers["connection"]) == (b"/1", "close")
        assert await draining == 0


async def test_draining_serves_a_partly_received_request() -> None:
    async with served() as here:
        wire = await here.connect()
        wire.send(post(b"hel", length=5))
        await until(lambda: any(connection.phase for connection in here.server.connections))
        draining = asyncio.create_task(here.server.drain(OUT_OF_REACH))
        await asyncio.sleep(0)
        wire.send(b"lo")
        reply = await wire.reply()
        assert (reply.body, reply.headers["connection"]) == (b"POST /  hello", "close")
        assert await draining == 0


async def test_draining_with_grace_serves_requests_on_idle_connections() -> None:
    async with served(limits=QUICK) as here:
        wire = await here.connect()
        await wire.ask(get())
        draining = asyncio.create_task(here.server.drain(OUT_OF_REACH, grace_s=OUT_OF_REACH))
        await asyncio.sleep(0)
        assert (await wire.ask(get())).headers["connection"] == "close"
        assert await draining == 0


async def test_draining_ends_in_time_and_returns_the_unfinished_requests() -> None:
    gate = Gate()
    async with served(App(gate.respond)) as here:
        wire = await here.connect()
        wire.send(get(path="/1"))
        await gate.arrived.get()
        assert await here.server.drain(0.05) == 1
        assert await wire.rest() == b""
        gate.let_go.release()
        await until(lambda: not here.server.in_flight)
    assert gate.answered == ["/1"], "it is cut off, but carried out"
