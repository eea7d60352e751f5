"""A request as a function sees it."""

import pytest

from outdial.functions import HttpError, Request


def request(body: bytes = b"", *, query: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()) -> Request:
    return Request("POST", "/hello/wörld", query, headers, body)


async def test_a_body_can_be_read_repeatedly() -> None:
    asked = request(b"1234567890")
    asked.max_body = 10

    assert await asked.body() is await asked.body()


async def test_a_body_over_the_bound_is_refused() -> None:
    asked = request(b"1234567890!")
    asked.max_body = 10

    with pytest.raises(HttpError) as caught:
        await asked.json()
    assert (caught.value.status, caught.value.code) == (413, "BODY_TOO_LARGE")


def test_the_path_is_as_given_and_the_query_is_parsed() -> None:
    asked = request(query="a=1&b=%C3%A9&a=2&c=")

    assert (asked.path, asked.query) == ("/hello/wörld", {"a": "2", "b": "é", "c": ""})


def test_headers_are_found_in_any_case_trimmed_and_joined() -> None:
    headers = request(headers=((b"x-a", b"1 "), (b"apikey", b"k"), (b"x-a", b"\t2"))).headers

    assert headers["X-A"] == "1, 2"
    assert headers.get("ApiKey") == "k"
    assert headers.get("absent") is None
    assert headers.get("Ā") is None
    assert list(headers) == ["x-a", "apikey"]
    assert len(headers) == 2
