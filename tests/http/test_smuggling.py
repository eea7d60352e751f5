"""A request whose end two readers could see in different places is refused, and nothing after it is carried out."""

import pytest

from tests.support.wire import App, get, post, served

HEAD = b"POST / HTTP/1.1\r\nhost: test\r\n"
CHUNKS = HEAD + b"transfer-encoding: chunked\r\n\r\n"

UNCLEAR = {
    "length and chunks": HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": HEAD + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "the same length twice": HEAD + b"content-length: 5\r\ncontent-length: 5\r\n\r\nhello",
    "a list of lengths": HEAD + b"content-length: 5, 5\r\n\r\nhello",
    "a length with a sign": HEAD + b"content-length: +5\r\n\r\nhello",
    "a negative length": HEAD + b"content-length: -5\r\n\r\nhello",
    "a hexadecimal length": HEAD + b"content-length: 0x5\r\n\r\nhello",
    "an empty length": HEAD + b"content-length: \r\n\r\nhello",
    "a length beyond counting": HEAD + b"content-length: 99999999999999999999\r\n\r\nhello",
    "a space before the colon": HEAD + b"content-length : 5\r\n\r\nhello",
    "a space in a name": HEAD + b"content length: 5\r\n\r\nhello",
    "a header without a name": HEAD + b": 5\r\n\r\n",
    "a bare LF after a header": HEAD + b"x: a\ncontent-length: 5\r\n\r\nhello",
    "bare LFs everywhere": b"POST / HTTP/1.1\nhost: test\ncontent-length: 5\n\nhello",
    "a bare CR in a header": HEAD + b"x: a\rcontent-length: 5\r\n\r\nhello",
    "a folded header": HEAD + b"x: a\r\n transfer-encoding: chunked\r\n\r\n",
    "a folded coding": HEAD + b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a NUL in a header": HEAD + b"x: a\x00b\r\n\r\n",
    "chunked by another name": HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked and then not": HEAD + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "another coding": HEAD + b"transfer-encoding: gzip\r\n\r\n0\r\n\r\n",
    "another coding before": HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two codings": HEAD + b"transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a vertical tab": HEAD + b"transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk that ends with LF": CHUNKS + b"5\nhello\r\n0\r\n\r\n",
    "a chunk whose extension ends with LF": CHUNKS + b"5;a\nhello\r\n0\r\n\r\n",
    "a chunk that is longer than it says": CHUNKS + b"5\r\nhello!0\r\n\r\n",
    "a chunk of 0x5": CHUNKS + b"0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk of -5": CHUNKS + b"-5\r\nhello\r\n0\r\n\r\n",
    "a chunk with a space": CHUNKS + b"5 \r\nhello\r\n0\r\n\r\n",
    "a chunk beyond counting": CHUNKS + b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    "a length among the trailers": CHUNKS + b"5\r\nhello\r\n0\r\ncontent-length: 5\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nhost: test\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version to come": b"GET / HTTP/1.2\r\nhost: test\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nhost: test\r\n\r\n",
    "a target that is no path": b"GET test HTTP/1.1\r\nhost: test\r\n\r\n",
    "an unknown method": b"FETCH / HTTP/1.1\r\nhost: test\r\n\r\n",
    "the greeting of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("sent", UNCLEAR.values(), ids=UNCLEAR)
async def test_ambiguous_requests_are_rejected_and_close_the_connection(sent: bytes) -> None:
    async with served(App(admitted=0)) as here:
        wire = await here.connect()
        wire.send(sent + get(path="/smuggled"))
        reply = await wire.reply()
        assert reply.status in (400, 413, 501, 505)
        assert reply.headers["connection"] == "close"
        assert reply.headers["content-type"] == "application/json"
        assert await wire.rest() == b""
    assert here.app.asked == []


UPGRADE = b"connection: upgrade\r\nupgrade: x\r\n"


@pytest.mark.parametrize("name", [name for name, sent in UNCLEAR.items() if b" HTTP/" in sent.partition(b"\r\n")[0]])
async def test_a_wish_to_upgrade_changes_none_of_these_rules(name: str) -> None:
    """The rest of the request is read again without the wish, so it must be judged as it was sent."""
    line, _, rest = UNCLEAR[name].partition(b"\r\n")
    async with served(App(admitted=0)) as here:
        wire = await here.connect()
        wire.send(line + b"\r\n" + UPGRADE + rest + get(path="/smuggled"))
        responses = await wire.rest()
        assert responses.count(b"content-length: ") == 1
        assert responses.split()[1] in (b"400", b"413", b"501", b"505")
    assert here.app.asked == []


async def test_an_upgrade_of_http_1_0_stays_http_1_0() -> None:
    async with served() as here:
        wire = await here.connect()
        wire.send(b"GET / HTTP/1.0\r\n" + UPGRADE + b"\r\n" + get(path="/smuggled"))
        assert (await wire.rest()).count(b"HTTP/1.1 200") == 1
    assert len(here.app.asked) == 1


async def test_an_ambiguous_pipelined_request_is_rejected_after_the_first_response() -> None:
    async with served() as here:
        wire = await here.connect()
        wire.send(post(b"good") + UNCLEAR["two lengths"] + get(path="/smuggled"))
        assert (await wire.reply()).body == b"POST /  good"
        assert (await wire.reply()).status == 400
        assert await wire.rest() == b""
    assert len(here.app.asked) == 1


async def test_bytes_after_the_last_request_are_not_read() -> None:
    async with served() as here:
        wire = await here.connect()
        wire.send(get("connection: close") + get(path="/smuggled"))
        assert (await wire.rest()).count(b"HTTP/1.1") == 1
    assert len(here.app.asked) == 1
