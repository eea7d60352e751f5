"""The client for asyncio."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from uuid import UUID

import httpx

from outdial_client import _request, _response
from outdial_client._request import DEFAULT_TIMEOUT_S, MAX_RESPONSE_BYTES, ResultT, TriggerAction
from outdial_client._response import TriggerResponse
from outdial_client.results import CampaignResult, ScheduleResult


class AsyncCampaignTriggers:
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

    async def start_campaign(self, campaign_id: UUID | str) -> CampaignResult:
        """Start a draft or scheduled campaign. A draft with a later start time becomes scheduled."""
        return await self._send(_request.campaign_action("start_campaign", campaign_id))

    async def pause_campaign(self, campaign_id: UUID | str) -> CampaignResult:
        """Pause an active campaign. Its status is pausing while requests are in flight, then paused."""
        return await self._send(_request.campaign_action("pause_campaign", campaign_id))

    async def resume_campaign(self, campaign_id: UUID | str) -> CampaignResult:
        """Resume a paused campaign."""
        return await self._send(_request.campaign_action("resume_campaign", campaign_id))

    async def cancel_campaign(self, campaign_id: UUID | str, *, hang_up: bool = False) -> CampaignResult:
        """Cancel a campaign permanently; `hang_up` also ends its live calls."""
        return await self._send(_request.campaign_action("cancel_campaign", campaign_id, hang_up=hang_up))

    async def process_batch(self, campaign_id: UUID | str, size: int | None = None) -> CampaignResult:
        """Make an active campaign due now; `size` (1 to 1,000) sets the number of calls in its next batch."""
        return await self._send(_request.process_batch(campaign_id, size))

    async def check_scheduled_campaigns(self, organization_id: UUID | str | None = None) -> ScheduleResult:
        """Start the scheduled campaigns that are due: in one organization, or in all where the caller may."""
        return await self._send(_request.check_scheduled_campaigns(organization_id))

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
