"""supabase-py invokes our functions and shows the reason of each error, which it reads from `error`."""

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

# The client uses its own deprecated parts.
pytestmark = pytest.mark.filterwarnings("ignore:The '.*' parameter is deprecated:DeprecationWarning")


@pytest.fixture
async def client(url: str) -> AsyncIterator[AsyncClient]:
    made = await acreate_client(url, LOCAL_PUBLISHABLE_KEY)
    yield made
    await made.functions._client.aclose()


async def invoke(client: AsyncClient, slug: str, **options: Any) -> Any:
    return await client.functions.invoke(slug, {"responseType": "json", **options})


async def test_a_response_is_parsed_as_json(client: AsyncClient) -> None:
    echo = await invoke(client, "hello/below", body={"name": "Ada"})

    assert json.loads(echo["body"]) == {"name": "Ada"}
    assert (echo["method"], echo["path"]) == ("POST", "/hello/below")
    # It sends its key twice.
    assert echo["headers"]["authorization"] == f"Bearer {echo['headers']['apikey']}"


async def test_a_key_in_both_headers_passes_token_verification(client: AsyncClient) -> None:
    assert (await invoke(client, "guarded"))["path"] == "/guarded"


@pytest.mark.parametrize("slug", FAILURES)
async def test_each_failure_shows_its_reason(client: AsyncClient, slug: str) -> None:
    _, status, _ = FAILURES[slug]
    with pytest.raises(FunctionsHttpError) as caught:
        await invoke(client, slug)
    assert caught.value.status == status
    # Its message for an unreadable body.
    assert not caught.value.message.startswith("An error occurred while requesting")
    assert "unction" in caught.value.message or "worker" in caught.value.message


async def test_refusals_of_the_function_and_the_gateway_show_their_reason(client: AsyncClient) -> None:
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


async def test_an_invalid_token_is_refused_despite_a_valid_key(client: AsyncClient) -> None:
    client.functions.set_auth("a.b.c")
    with pytest.raises(FunctionsHttpError, match="Invalid JWT format") as caught:
        await invoke(client, "guarded")
    assert caught.value.status == 401


async def test_an_unreachable_region_is_a_relay_error(client: AsyncClient) -> None:
    assert (await invoke(client, "hello", region=FunctionRegion.EuWest1))["path"] == "/hello"
    with pytest.raises(FunctionsRelayError):
        await invoke(client, "hello", region=FunctionRegion.UsEast1)


async def test_an_unreachable_host_is_a_connection_error() -> None:
    client = await acreate_client("http://127.0.0.1:1", LOCAL_PUBLISHABLE_KEY)
    async with asyncio.timeout(20):
        with pytest.raises(httpx.ConnectError):
            await invoke(client, "hello")
