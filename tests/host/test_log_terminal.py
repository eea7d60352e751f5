"""The terminal shows what functions log."""

import logging

import pytest

from outdial.host.log.terminal import TerminalSink
from outdial.host.wire.frames import LogLine


def lines(*texts: str) -> list[LogLine]:
    return [LogLine(0, "info", "", text) for text in texts]


def test_prints_lines_with_their_function() -> None:
    shown: list[str] = []
    TerminalSink(shown.append).lines(
        "hello", 3, "e-1", lines("printed", '{"event":"hello.done","function":"hello"}'), 0
    )
    assert shown == ["[hello] printed\n", '{"event":"hello.done","function":"hello"}\n']


def test_prints_the_reason_of_a_failed_start(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "outdial"):
        TerminalSink(lambda _: None).event("hello", 3, "e-1", "boot_failed", {"reason": "SyntaxError", "event": "odd"})
    [record] = caplog.records
    assert (record.message, record.levelname) == ("functions.boot_failed", "ERROR")
    assert getattr(record, "fields", {}) == {"reason": "SyntaxError", "event_": "odd", "function": "hello"}


def test_a_closed_terminal_is_ignored() -> None:
    def gone(_: str) -> None:
        raise BrokenPipeError

    TerminalSink(gone).lines("hello", 3, "e-1", lines("printed"), 0)
