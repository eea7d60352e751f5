"""A body that arrives in pieces, as a server hands it over."""

from typing import Any

import pytest

from outdial.functions import HttpError, Request
from outdial.functions.errors import ClientDisconnected


def piece(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def request(*messages: dict[str, Any], max_body: int = 10, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Request:
    pending = list(messages)

    async def receive() -> dict[str, Any]:
        return pending.pop(0)

    scope = {"method": "POST", "headers": list(headers), "query_string": b""}
    return Request(scope, receive, "/hello", max_body=max_body)


async def test_the_pieces_are_put_together() -> None:
    whole = request(piece(b"12345"), piece(b""), piece(b"67890", more=False))

    assert await whole.body() == b"1234567890"
    assert await whole.body() == b"1234567890", "asking again reads nothing more"


async def test_reading_ends_at_the_piece_that_exceeds_the_bound() -> None:
    endless = request(piece(b"12345"), piece(b"67890"), piece(b"!"))

    with pytest.raises(HttpError) as caught:
        await endless.body()
    assert (caught.value.status, caught.value.code) == (413, "BODY_TOO_LARGE")


async def test_a_client_that_goes_away_is_no_error_of_the_function() -> None:
    with pytest.raises(ClientDisconnected):
        await request(piece(b"12345"), {"type": "http.disconnect"}).body()


def test_headers_are_found_in_any_case_and_joined() -> None:
    headers = request(headers=((b"x-a", b"1"), (b"apikey", b"k"), (b"x-a", b"2"))).headers

    assert headers["X-A"] == "1, 2"
    assert headers.get("ApiKey") == "k"
    assert headers.get("absent") is None
    assert list(headers) == ["x-a", "apikey"]
