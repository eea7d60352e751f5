"""supabase-py invokes functions of ours, and tells the reason of each error, which it reads from `error`."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from supabase_functions.errors import FunctionsHttpError, FunctionsRelayError
from supabase_functions.utils import FunctionRegion

from outdial.auth.keys import LOCAL_PUBLISHABLE_KEY
from supabase import AsyncClient, acreate_client
from tests.peers.conftest import FAILURES

# The client's own parts use what its other parts have deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:The '.*' parameter is deprecated:DeprecationWarning")


@pytest.fixture
async def client(url: str) -> AsyncIterator[AsyncClient]:
    made = await acreate_client(url, LOCAL_PUBLISHABLE_KEY)
    yield made
    await made.functions._client.aclose()


async def invoke(client: AsyncClient, slug: str, **options: Any) -> Any:
    return await client.functions.invoke(slug, {"responseType": "json", **options})


async def test_an_answer_arrives_as_json(client: AsyncClient) -> None:
    told = await invoke(client, "hello/below", body={"name": "Ada"})

    assert json.loads(told["body"]) == {"name": "Ada"}
    assert (told["method"], told["path"]) == ("POST", "/hello/below")
    # It sends its key twice.
    assert told["headers"]["authorization"] == f"Bearer {told['headers']['apikey']}"


async def test_a_key_on_both_headers_passes_the_check_of_tokens(client: AsyncClient) -> None:
    assert (await invoke(client, "guarded"))["path"] == "/guarded"


@pytest.mark.parametrize("slug", FAILURES)
async def test_each_failure_tells_its_reason(client: AsyncClient, slug: str) -> None:
    _, status, _ = FAILURES[slug]
    with pytest.raises(FunctionsHttpError) as caught:
        await invoke(client, slug)
    assert caught.value.status == status
    # The words for a body that it cannot read.
    assert not caught.value.message.startswith("An error occurred while requesting")
    assert "unction" in caught.value.message or "worker" in caught.value.message


async def test_what_the_function_and_the_gateway_refuse_tells_its_reason(client: AsyncClient) -> None:
    for slug, status, reason in (
        ("conflict", 409, "The campaign is paused"),
        ("nothing", 404, "Requested function was not found"),
    ):
        with pytest.raises(FunctionsHttpError, match=reason) as caught:
            await invoke(client, slug)
        assert caught.value.status == status

    await invoke(client, "limited")
    with pytest.raises(FunctionsHttpError, match="rate limit"):
        await invoke(client, "limited")


async def test_a_bad_token_is_refused_though_the_key_is_good(client: AsyncClient) -> None:
    client.functions.set_auth("a.b.c")
    with pytest.raises(FunctionsHttpError, match="Invalid JWT format") as caught:
        await invoke(client, "guarded")
    assert caught.value.status == 401


async def test_a_region_that_is_away_is_a_relay_error(client: AsyncClient) -> None:
    assert (await invoke(client, "hello", region=FunctionRegion.EuWest1))["path"] == "/hello"
    with pytest.raises(FunctionsRelayError):
        await invoke(client, "hello", region=FunctionRegion.UsEast1)


async def test_nobody_there_is_an_error_of_the_connection() -> None:
    client = await acreate_client("http://127.0.0.1:1", LOCAL_PUBLISHABLE_KEY)
    async with asyncio.timeout(20):
        with pytest.raises(httpx.ConnectError):
            await invoke(client, "hello")
