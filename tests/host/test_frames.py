"""Frames: cut from the stream however it comes in pieces, and nothing else taken for one."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outdial.host.wire import frames
from outdial.host.wire.errors import BadFrame
from outdial.host.wire.frames import (
    BootFailedFrame,
    EnvironmentFrame,
    InvokeFrame,
    LimitFrame,
    LogFrame,
    LogLine,
    ReadyFrame,
    ResponseFrame,
    RetireFrame,
)
from outdial.host.wire.invocation import Invocation

numbers = st.integers(0, 2**31)
headers = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=50)), max_size=4)
invocations = st.builds(Invocation, st.text(), st.text(), st.text(), st.text(), headers, st.binary(max_size=2000))
requests = st.one_of(
    st.builds(InvokeFrame, numbers, invocations),
    st.builds(EnvironmentFrame, st.dictionaries(st.text(), st.text(), max_size=5)),
    st.just(RetireFrame()),
)
lines = st.builds(LogLine, numbers, st.sampled_from(["debug", "info", "warning", "error"]), st.text(), st.text())
reports = st.one_of(
    st.builds(ReadyFrame, st.floats(0, 1e6), st.lists(st.text(), max_size=3)),
    st.builds(BootFailedFrame, st.text(), st.text()),
    st.builds(ResponseFrame, numbers, st.integers(100, 599), headers, st.binary(max_size=2000), numbers),
    st.builds(LimitFrame, numbers, st.sampled_from(["cpu", "memory"]), numbers, numbers),
    st.builds(LogFrame, st.lists(lines, max_size=5), numbers),
)


def pieces(data: st.DataObject, stream: bytes) -> list[bytes]:
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    return [stream[start:end] for start, end in pairwise([0, *cuts, len(stream)])]


@given(st.lists(requests, max_size=6), st.data())
def test_frames_to_a_worker_survive_any_fragmentation(sent: list[frames.ToWorker], data: st.DataObject) -> None:
    reader = frames.gateway_frame_reader()
    stream = b"".join(map(frames.encode, sent))
    assert [frame for piece in pieces(data, stream) for frame in reader.feed(piece)] == sent


@given(st.lists(reports, max_size=6), st.data())
def test_frames_from_a_worker_survive_any_fragmentation(sent: list[frames.ToGateway], data: st.DataObject) -> None:
    reader = frames.worker_frame_reader()
    stream = b"".join(map(frames.encode, sent))
    assert [frame for piece in pieces(data, stream) for frame in reader.feed(piece)] == sent


def test_frames_come_through_byte_by_byte() -> None:
    reader = frames.gateway_frame_reader()
    sent: list[frames.ToWorker] = [
        RetireFrame(),
        InvokeFrame(1, Invocation("r", "GET", "/hello", "", [], b"body")),
        RetireFrame(),
    ]
    stream = b"".join(map(frames.encode, sent))
    assert [frame for at in range(len(stream)) for frame in reader.feed(stream[at : at + 1])] == sent


def test_a_large_frame_takes_time_in_proportion_to_its_length() -> None:
    reader = frames.gateway_frame_reader()
    size = frames.MAX_FRAME - 1024
    stream = frames.encode(InvokeFrame(1, Invocation("r", "POST", "/hello", "", [], bytes(size))))
    parts = [stream[at : at + 16_384] for at in range(0, len(stream), 16_384)]
    began = time.process_time()
    (frame,) = [frame for part in parts for frame in reader.feed(part)]
    took = time.process_time() - began
    assert isinstance(frame, InvokeFrame)
    assert len(frame.invocation.body) == size
    # It takes 0.1 s; a copy of all that came before, for each of the 4,096 pieces, takes more than 10 s.
    assert took < 3


def test_only_a_response_may_be_long_and_only_its_body() -> None:
    size = frames.MAX_FROM_WORKER
    response = ResponseFrame(1, 200, [(b"name", b"value")], bytes(size), 7)
    assert frames.worker_frame_reader().feed(frames.encode(response)) == [response]
    for frame in (
        BootFailedFrame("x" * size, ""),
        ReadyFrame(1.0, ["x" * size]),
        ResponseFrame(1, 200, [(b"name", bytes(size))], b"", 7),
        ResponseFrame(1, 200, [(b"", b"")] * (frames.MAX_RESPONSE_HEADERS + 1), b"", 7),
        LogFrame([LogLine(0, "info", "", "x" * (frames.MAX_LINE + 1))], 0),
        LogFrame([LogLine(0, "info", "", "")] * (frames.MAX_LINES + 1), 0),
        LogFrame([], -1),
    ):
        with pytest.raises(BadFrame):
            frames.worker_frame_reader().feed(frames.encode(frame))
    # Refused as soon as its first bytes have come.
    with pytest.raises(BadFrame, match="no response"):
        frames.worker_frame_reader().feed((size + 1).to_bytes(4, "big") + b"\x93\x07")


@given(st.lists(lines, max_size=40), numbers)
def test_lines_are_sent_in_frames_that_the_gateway_accepts(sent: list[LogLine], dropped: int) -> None:
    texts = [LogLine(line.at_ms, line.level, line.request_id, line.text * 3_000) for line in sent]
    texts = [LogLine(line.at_ms, line.level, line.request_id, frames.shorten_line(line.text)) for line in texts]
    reader = frames.worker_frame_reader()
    received = [frame for data in frames.encode_log(LogFrame(texts, dropped)) for frame in reader.feed(data)]
    assert all(isinstance(frame, LogFrame) for frame in received)
    assert [line for frame in received if isinstance(frame, LogFrame) for line in frame.lines] == texts
    assert sum(frame.dropped for frame in received if isinstance(frame, LogFrame)) == dropped


def test_a_frame_that_is_too_long_is_refused_before_it_has_come() -> None:
    with pytest.raises(BadFrame, match="longer than"):
        frames.worker_frame_reader().feed((frames.MAX_FRAME + 1).to_bytes(4, "big"))


@pytest.mark.parametrize("content", [b"\xc1", b"\x93\x05", b"\x91\x63", b"\x92\x05\xa1x"])
def test_invalid_frames_are_rejected(content: bytes) -> None:
    with pytest.raises(BadFrame):
        frames.worker_frame_reader().feed(len(content).to_bytes(4, "big") + content)


def test_a_frame_of_the_other_direction_is_refused() -> None:
    with pytest.raises(BadFrame):
        frames.worker_frame_reader().feed(frames.encode(RetireFrame()))


def test_an_environment_is_not_printed() -> None:
    assert "hunter2" not in repr(EnvironmentFrame({"SECRET": "hunter2"}))
