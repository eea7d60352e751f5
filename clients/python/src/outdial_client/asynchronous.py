"""The client for asyncio."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from inspect import isawaitable
from typing import Any

import httpx

from outdial_client import _request, _response
from outdial_client._actions import TriggerActions
from outdial_client._request import DEFAULT_TIMEOUT_S, MAX_RESPONSE_BYTES, ResultT, TriggerAction
from outdial_client._response import TriggerResponse
from outdial_client.results import CampaignResult, ContactsResult, ScheduleResult


class AsyncCampaignTriggers(
    TriggerActions[
        Coroutine[Any, Any, CampaignResult], Coroutine[Any, Any, ContactsResult], Coroutine[Any, Any, ScheduleResult]
    ]
):
    """Runs campaigns through campaign-trigger. Works in any event loop; there is nothing to close.

    `url` is the project's URL. `token` is a user's access token, or a function that returns one for each request,
    either directly or as an awaitable. A back end passes a secret key of the project as `apikey` instead. `timeout_s`
    limits each request as a whole. Proxies come from the environment. Every method raises CampaignTriggerError.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | Callable[[], str | Awaitable[str]] | None = None,
        apikey: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self._endpoint = _request.endpoint(url, token, apikey, timeout_s)
        self._token = token
        self._timeout_s = timeout_s

    async def _send(self, action: TriggerAction[ResultT]) -> ResultT:
        headers = self._endpoint.headers(await self._current_token())
        body = bytearray()
        try:
            # One connection per request: campaigns change rarely, and the caller has nothing to close. Redirects are
            # not followed, so no other server receives the token.
            async with (
                asyncio.timeout(self._timeout_s),
                httpx.AsyncClient(verify=self._endpoint.tls, timeout=None) as client,
                client.stream("POST", self._endpoint.url, content=_request.encode(action), headers=headers) as response,
            ):
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > MAX_RESPONSE_BYTES:
                        break
        except TimeoutError as error:
            raise _response.timed_out(self._endpoint, self._timeout_s) from error
        except httpx.HTTPError as error:
            raise _response.connection_failed(self._endpoint, error) from error
        return _response.read_result(action, TriggerResponse(response.status_code, dict(response.headers), bytes(body)))

    async def _current_token(self) -> str | None:
        if self._token is None or isinstance(self._token, str):
            return self._token
        try:
            given = self._token()
            token = await given if isawaitable(given) else given
        except Exception as error:
            raise _request.token_unavailable(f"the token function raised {type(error).__name__}") from error
        return _request.checked_token(token)
