"""The journal of a worker: every line, or a count of those that are not there, and no harm to whoever prints."""

import asyncio
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from outdial.clock import VirtualClock
from outdial.functions.log import Redactor
from outdial.host.wire.frames import MAX_CHARACTERS, MAX_LINE, MAX_LINES, LogFrame, LogLine
from outdial.host.worker import capture as capture_module
from outdial.host.worker.capture import WorkerLog, current_request
from outdial.host.worker.streams import CapturedStream, CapturingHandler, redirect_output
from outdial.log import log

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


class Gateway:
    """Takes batches, unless it is told to be slow."""

    def __init__(self) -> None:
        self.batches: list[LogFrame] = []
        self.is_slow = False
        self.news = asyncio.Event()

    def take(self, batch: LogFrame) -> bool:
        """Take a batch, or refuse it."""
        if self.is_slow:
            return False
        self.batches.append(batch)
        self.news.set()
        return True

    @property
    def lines(self) -> list[LogLine]:
        """All lines so far."""
        return [line for batch in self.batches for line in batch.lines]

    @property
    def texts(self) -> list[str]:
        """Their texts."""
        return [line.text for line in self.lines]

    @property
    def dropped(self) -> int:
        """How many were told to be missing."""
        return sum(batch.dropped for batch in self.batches)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when the condition holds."""
        async with asyncio.timeout(30):
            while not holds():
                self.news.clear()
                await self.news.wait()


@pytest.fixture
async def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
async def journal(gateway: Gateway) -> WorkerLog:
    return WorkerLog(gateway.take, VirtualClock(NOW), Redactor({"API_KEY": "hunter2hunter2"}))


@contextmanager
def captured(journal: WorkerLog) -> Iterator[None]:
    """Lead the standard streams and logging into the journal, and put them back afterwards."""
    names = ("stdout", "stderr", "__stdout__", "__stderr__")
    before = {name: getattr(sys, name) for name in names}
    loggers = [logging.getLogger(), logging.getLogger("outdial")]
    kept = [(each, each.handlers[:], each.level, each.propagate) for each in loggers]
    redirect_output(journal)
    try:
        yield
    finally:
        for name, stream in before.items():
            setattr(sys, name, stream)
        for each, handlers, level, propagate in kept:
            each.handlers[:], each.propagate = handlers, propagate
            each.setLevel(level)


async def test_the_first_lines_are_sent_at_once(gateway: Gateway, journal: WorkerLog) -> None:
    journal.add("info", "about to spin")
    assert gateway.batches == [LogFrame([LogLine(int(NOW.timestamp() * 1000), "info", "", "about to spin")], 0)]


async def test_many_lines_go_in_batches(gateway: Gateway, journal: WorkerLog) -> None:
    for number in range(500):
        journal.add("info", str(number))
    await gateway.until(lambda: len(gateway.lines) == 500)
    assert gateway.texts == list(map(str, range(500)))
    assert len(gateway.batches) <= 10


async def test_a_line_names_its_request(gateway: Gateway, journal: WorkerLog) -> None:
    async def work(request_id: str) -> None:
        current_request.set(request_id)
        await asyncio.sleep(0)
        journal.add("info", f"of {request_id}")
        await asyncio.to_thread(journal.add, "info", f"thread of {request_id}")

    await asyncio.gather(*(asyncio.create_task(work(name)) for name in "abc"))
    await gateway.until(lambda: len(gateway.lines) == 6)
    assert all(line.text.endswith(line.request_id) for line in gateway.lines)


@pytest.fixture
def endless_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer than a second for the lines of a test."""
    monkeypatch.setattr(capture_module, "_WINDOW_S", 3600.0)


@pytest.mark.usefixtures("endless_second")
async def test_more_lines_than_a_second_may_have_are_counted(gateway: Gateway, journal: WorkerLog) -> None:
    for number in range(3 * MAX_LINES):
        journal.add("info", str(number))
    await gateway.until(lambda: len(gateway.lines) + gateway.dropped == 3 * MAX_LINES)
    assert gateway.texts == list(map(str, range(MAX_LINES)))


@pytest.mark.usefixtures("endless_second")
async def test_more_characters_than_a_second_may_have_are_counted(gateway: Gateway, journal: WorkerLog) -> None:
    for _ in range(300):
        journal.add("info", "x" * MAX_LINE)
    await gateway.until(lambda: len(gateway.lines) + gateway.dropped == 300)
    assert MAX_CHARACTERS <= sum(map(len, gateway.texts)) <= MAX_CHARACTERS + MAX_LINE


async def test_the_next_second_has_room_again(
    gateway: Gateway, journal: WorkerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture_module, "_WINDOW_S", 0.0)
    for number in range(MAX_LINES):
        journal.add("info", str(number))
    assert journal.has_room()


async def test_lines_wait_while_the_gateway_is_slow_and_are_bounded(
    gateway: Gateway, journal: WorkerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture_module, "_WINDOW_S", 0.0)
    gateway.is_slow = True
    for number in range(5 * MAX_LINES):
        journal.add("info", str(number))
    gateway.is_slow = False
    await gateway.until(lambda: len(gateway.lines) + gateway.dropped == 5 * MAX_LINES)
    assert gateway.texts == list(map(str, range(MAX_LINES)))


async def test_a_long_line_is_cut(gateway: Gateway, journal: WorkerLog) -> None:
    journal.add("info", "begin " + "x" * 50_000 + " end")
    (text,) = gateway.texts
    assert MAX_LINE - 100 < len(text) <= MAX_LINE
    assert text.startswith("begin ")
    assert text.endswith(" end")
    assert " characters cut " in text


async def test_secrets_and_phone_numbers_are_not_in_it(gateway: Gateway, journal: WorkerLog) -> None:
    journal.add("info", "hunter2hunter2 called +14155550100")
    assert gateway.texts == ["[secret] called +14***00"]


async def test_printed_text_becomes_lines(gateway: Gateway, journal: WorkerLog) -> None:
    with captured(journal):
        print("one", "two")  # noqa: T201
        print("three\nfour", file=sys.stderr)  # noqa: T201
        sys.stdout.write("half")
        sys.stdout.write(" a line\nthe rest")
        sys.stdout.flush()
        sys.stdout.buffer.write(b"raw \xff\n")
    journal.flush()
    assert [(line.level, line.text) for line in gateway.lines] == [
        ("info", "one two"),
        ("error", "three"),
        ("error", "four"),
        ("info", "half a line"),
        ("info", "the rest"),
        ("info", "raw �"),
    ]


async def test_log_records_keep_their_level(gateway: Gateway, journal: WorkerLog) -> None:
    with captured(journal):
        log("call.placed", level="warning", call="c1")
        logging.getLogger("library").error("it %s", "broke")
        logging.getLogger("library").debug("too much")
    journal.flush()
    assert [line.level for line in gateway.lines] == ["warning", "error"]
    assert '"event":"call.placed"' in gateway.texts[0]
    assert gateway.texts[1] == "library: it broke"


async def test_a_record_that_cannot_be_formatted_is_reported(gateway: Gateway, journal: WorkerLog) -> None:
    logger = logging.getLogger("library.of.its.own")
    logger.propagate = False
    logger.addHandler(CapturingHandler(journal, logging.Formatter()))
    logger.warning("%d", "no number")
    assert "could not be formatted" in gateway.texts[0]


async def test_printing_without_end_of_line_does_not_pile_up(gateway: Gateway, journal: WorkerLog) -> None:
    stream = CapturedStream(journal, "info", 1)
    for _ in range(1000):
        stream.write("x" * 10_000)
    stream.write("\n")
    journal.flush()
    (text,) = gateway.texts
    assert len(text) <= MAX_LINE


async def test_lines_over_the_limit_are_not_formatted(gateway: Gateway, journal: WorkerLog) -> None:
    stream = CapturedStream(journal, "info", 1)
    stream.write("line\n" * 1_000_000)
    journal.flush()
    assert len(gateway.lines) == MAX_LINES
    assert gateway.dropped == 1_000_000 - MAX_LINES


async def test_threads_may_print(gateway: Gateway, journal: WorkerLog) -> None:
    def work() -> None:
        for number in range(100):
            journal.add("info", str(number))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    await gateway.until(lambda: len(gateway.lines) == 400)


async def test_a_captured_stream_behaves_like_a_text_stream(journal: WorkerLog) -> None:
    stream: Any = CapturedStream(journal, "info", 1)
    assert (stream.writable(), stream.readable(), stream.isatty(), stream.encoding) == (True, False, False, "utf-8")
    assert isinstance(stream, io.TextIOBase)
    assert stream.fileno() == 1
