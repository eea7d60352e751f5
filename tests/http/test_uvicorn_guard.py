"""What the studio's server bears from strangers: slow requests, many connections, many bytes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from starlette.types import Receive, Scope, Send

from outdial import request_limits, uvicorn_server
from outdial.http import listen
from outdial.uvicorn_guard import ConnectionLimits, GuardedState, RequestPhase
from tests.support.wire import Wire, get, post

QUICK = ConnectionLimits(sweep_s=0.0)


async def until(is_so: Callable[[], bool]) -> None:
    """Turn the event loop until something is so."""
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0)


class Reader:
    """An application that reads the body, unless told not to, then waits until it may respond."""

    def __init__(self) -> None:
        self.is_reading = True
        self.asked = 0
        self.read_some = asyncio.Event()
        self.may_respond = asyncio.Event()
        self.may_respond.set()
        self.disconnected = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        size, more = 0, self.is_reading
        self.asked += 1
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnected.set()
                return
            size += len(message["body"])
            more = message["more_body"]
            self.read_some.set()
        await self.may_respond.wait()
        body = b"%d" % size
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


@dataclass
class ServedApp:
    """A running server, its state, and its application."""

    port: int
    app: Reader
    state: GuardedState
    _stack: AsyncExitStack

    async def connect(self) -> Wire:
        wire = await Wire.open(self.port)
        self._stack.push_async_callback(wire.close)
        return wire


@asynccontextmanager
async def served(limits: ConnectionLimits, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServedApp]:
    states: list[GuardedState] = []

    class Recorded(GuardedState):
        def __init__(self, limits: ConnectionLimits) -> None:
            super().__init__(limits)
            states.append(self)

    monkeypatch.setattr(uvicorn_server, "GuardedState", Recorded)
    app, listener = Reader(), listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    async with (
        uvicorn_server.serving(app, listener, limits=limits, lifespan="off", timeout_graceful_shutdown=1),
        AsyncExitStack() as stack,
    ):
        yield ServedApp(port, app, states[0], stack)
        app.may_respond.set()


@pytest.mark.parametrize("begun", [b"P", get()[:-2], post(b"x" * 9)[:-12]], ids=["a byte", "a line", "two lines"])
async def test_headers_that_do_not_come_to_an_end_are_408(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(replace(QUICK, header_s=0.2), monkeypatch) as here:
        wire = await here.connect()
        reply = await wire.ask(begun)
        assert (reply.status, reply.headers["connection"]) == (408, "close")
        assert await wire.rest() == b""
    assert here.app.asked == 0


async def test_200_slow_heads_are_all_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(replace(QUICK, header_s=0.2), monkeypatch) as here:
        wires = [await here.connect() for _ in range(200)]
        for wire in wires:
            wire.send(b"GET / HTTP/1.1\r\nhost:")
        assert [(await wire.reply()).status for wire in wires] == [408] * 200


async def test_a_body_that_stops_is_408_and_its_application_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(replace(QUICK, body_s=0.2), monkeypatch) as here:
        wire = await here.connect()
        assert (await wire.ask(post(b"hell", length=5))).status == 408
        await here.app.disconnected.wait()


async def test_a_body_that_trickles_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(replace(QUICK, body_s=0.3, body_rate=1e6), monkeypatch) as here:
        wire = await here.connect()
        wire.send(post(length=1000))
        rest = asyncio.create_task(wire.rest())
        while not rest.done():
            wire.send(b".")
            await asyncio.wait({rest}, timeout=0.02)
        await here.app.disconnected.wait()


async def test_time_in_which_the_application_does_not_read_is_not_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(ConnectionLimits(), monkeypatch) as here:
        here.app.may_respond.clear()
        wire = await here.connect()
        wire.send(post(b"a") + post(b"x" * 300_000))  # the second waits for the response to the first
        await until(lambda: any(one.flow.read_paused for one in here.state.guarded()))
        [connection] = here.state.guarded()
        for minutes in range(1, 11):
            connection.check(connection.loop.time() + 60 * minutes, 60.0)
        here.app.may_respond.set()
        assert [(await wire.reply()).body for _ in range(2)] == [b"1", b"300000"]


async def test_a_connection_without_a_request_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(replace(QUICK, idle_s=0.2), monkeypatch) as here:
        assert await (await here.connect()).rest() == b""


async def test_headers_over_the_limit_are_431(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(replace(QUICK, header_bytes=1000), monkeypatch) as here:
        assert (await (await here.connect()).ask(get("x: " + "a" * 1100)[:-4])).status == 431


async def test_over_the_limit_the_longest_idle_connection_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(replace(QUICK, connections=2), monkeypatch) as here:
        first, second = await here.connect(), await here.connect()
        for wire in (first, second):
            assert (await wire.ask(get())).status == 200
            responded_at = asyncio.get_running_loop().time()
            await until(lambda: asyncio.get_running_loop().time() > responded_at)  # noqa: B023
        third = await here.connect()
        assert (await third.ask(get())).status == 200
        assert await first.rest() == b""
        assert (await second.ask(get())).status == 200


async def test_over_the_limit_the_slowest_request_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "_TOO_YOUNG_S", -1.0)
    async with served(replace(QUICK, connections=2), monkeypatch) as here:
        slowest, slow = await here.connect(), await here.connect()
        for wire, begun in ((slowest, post(length=9)), (slow, post(b"x" * 9_000, length=9_001))):
            wire.send(begun)
            await until(lambda: any(one.bytes_received == len(begun) for one in here.state.guarded()))  # noqa: B023
        assert (await (await here.connect()).ask(get())).status == 200
        assert (await slowest.reply()).status == 503
        assert (await slow.ask(b"x")).status == 200


async def test_over_the_limit_with_all_busy_a_new_connection_gets_503(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(replace(QUICK, connections=1), monkeypatch) as here:
        here.app.may_respond.clear()
        busy = await here.connect()
        busy.send(get())
        await until(lambda: here.app.asked == 1)
        assert (await (await here.connect()).reply()).status == 503
        here.app.may_respond.set()
        assert (await busy.reply()).status == 200


async def test_over_the_bound_on_bytes_the_costliest_request_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(replace(QUICK, body_bytes=25_000), monkeypatch) as here:
        first, second, third = [await here.connect() for _ in range(3)]
        first.send(post(b"x" * 15_000, length=16_000))
        await until(lambda: here.state.body_bytes == 15_000)
        second.send(post(b"x" * 9_000, length=10_000))
        await until(lambda: here.state.body_bytes == 24_000)
        third.send(post(b"x" * 6_000))
        assert (await third.reply()).status == 200
        assert (await first.reply()).status == 503
        assert (await second.ask(b"x" * 1_000)).status == 200
        await until(lambda: here.state.body_bytes == 0)


async def test_the_rest_of_a_refused_request_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(replace(QUICK, body_bytes=50_000), monkeypatch) as here:
        honest, greedy = await here.connect(), await here.connect()
        honest.send(post(b"x" * 20_000, length=21_000))
        await until(lambda: here.state.body_bytes == 20_000)
        greedy.send(post(b"y", length=70_000))
        await until(lambda: here.state.body_bytes == 20_001)
        [last] = [one for one in here.state.guarded() if one.held == 1]
        last.since -= 100  # the costliest from here on
        for _ in range(60):
            last.on_body(b"y" * 1000)  # as from one read
        assert here.state.body_bytes == 20_000
        assert (await greedy.reply()).status == 503
        assert (await honest.ask(b"x" * 1_000)).status == 200


async def test_a_large_upload_counts_only_with_what_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(replace(QUICK, body_bytes=100_000, counted_bytes=50_000), monkeypatch) as here:
        assert (await (await here.connect()).ask(post(b"x" * 1_000_000))).body == b"1000000"
        assert here.state.body_bytes == 0


async def test_a_body_that_comes_after_its_response_counts_nothing_and_the_connection_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with served(replace(QUICK, body_bytes=10_000), monkeypatch) as here:
        here.app.is_reading = False
        first = await here.connect()
        assert (await first.ask(post(length=9_000))).status == 200
        [connection] = here.state.guarded()
        first.send(b"x" * 9_000)
        await until(lambda: connection.phase is RequestPhase.IDLE)
        assert here.state.body_bytes == 0
        here.app.is_reading = True
        second = await here.connect()
        assert (await second.ask(post(b"x" * 9_000))).body == b"9000"
        # The first is idle: it may send another request, and uvicorn closes it when it does not.
        assert connection.timeout_keep_alive_task is not None
        assert not connection.timeout_keep_alive_task.cancelled()
        assert (await first.ask(post(b"abc"))).body == b"3"
        connection.timeout_keep_alive_handler()
        assert await first.rest() == b""


async def test_a_request_that_follows_such_a_body_at_once_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(QUICK, monkeypatch) as here:
        here.app.is_reading = False
        wire = await here.connect()
        assert (await wire.ask(post(length=4))).status == 200
        here.app.is_reading = True
        here.app.may_respond.clear()
        wire.send(b"late" + post(b"abc"))
        await until(lambda: here.app.asked == 2)
        [connection] = here.state.guarded()
        assert connection.phase is RequestPhase.RESPONSE
        # Else the timer would close the connection while the application works.
        assert connection.timeout_keep_alive_task is None
        here.app.may_respond.set()
        assert (await wire.reply()).body == b"3"
