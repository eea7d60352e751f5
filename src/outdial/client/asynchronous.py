"""The client that awaits each answer."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeVar
from uuid import UUID

from outdial.client import _request, _response
from outdial.client._request import DEFAULT_TIMEOUT_S, MAX_ANSWER_BYTES, Order, Prepared
from outdial.client._response import Reply
from outdial.client.results import CampaignResult, ScheduleResult

R = TypeVar("R", CampaignResult, ScheduleResult)


class AsyncCampaignTriggers:
    """Runs campaigns by way of campaign-trigger; there is nothing to close, and any event loop may use it.

    `url` is the project's address. `token` is a user's access token, or a function that gives one, or an awaitable of
    one, for each request; a back end gives one of the project's secret keys as `apikey` instead. `timeout_s` bounds
    each request as a whole. Proxies are taken from the environment. Every method raises CampaignTriggerError.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | Callable[[], str | Awaitable[str]] | None = None,
        apikey: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self._target = _request.target(url, token, apikey, timeout_s)
        self._token = token
        self._timeout_s = timeout_s

    async def start_campaign(self, campaign_id: UUID | str) -> CampaignResult:
        """Start a draft or a scheduled campaign; a draft whose time has not come becomes scheduled."""
        return await self._ask(_request.start_campaign(campaign_id))

    async def pause_campaign(self, campaign_id: UUID | str) -> CampaignResult:
        """Pause an active campaign: it reads pausing while requests are in flight, then paused."""
        return await self._ask(_request.pause_campaign(campaign_id))

    async def resume_campaign(self, campaign_id: UUID | str) -> CampaignResult:
        """Let a paused campaign go on."""
        return await self._ask(_request.resume_campaign(campaign_id))

    async def cancel_campaign(self, campaign_id: UUID | str, *, hang_up: bool = False) -> CampaignResult:
        """Cancel a campaign for good; `hang_up` ends the calls under way as well."""
        return await self._ask(_request.cancel_campaign(campaign_id, hang_up))

    async def process_batch(self, campaign_id: UUID | str, size: int | None = None) -> CampaignResult:
        """Make an active campaign due at once, with `size` calls (1 to 1,000) in its next batch where given."""
        return await self._ask(_request.process_batch(campaign_id, size))

    async def check_scheduled_campaigns(self, organization_id: UUID | str | None = None) -> ScheduleResult:
        """Start the scheduled campaigns whose time has come, of one organization or of all that the caller may run."""
        return await self._ask(_request.check_scheduled_campaigns(organization_id))

    async def _ask(self, order: Order[R]) -> R:
        import aiohttp  # it takes longer to import than all the rest, and the other client has no use for it

        prepared = _request.prepare(self._target, order, await self._current_token())
        try:
            reply = await self._send(prepared)
        except TimeoutError as error:
            raise _response.late(self._target, self._timeout_s) from error
        except (aiohttp.ClientError, OSError) as error:
            raise _response.lost(self._target, error) from error
        return _response.read(order, reply)

    async def _send(self, prepared: Prepared) -> Reply:
        import aiohttp

        limit = aiohttp.ClientTimeout(total=self._timeout_s)
        # A session for each request: campaigns are changed now and then, and nobody has to close anything.
        async with (
            aiohttp.ClientSession(timeout=limit, trust_env=True, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(prepared.url, data=prepared.body, headers=prepared.headers, allow_redirects=False) as response,
        ):
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    break
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, headers, bytes(body))

    async def _current_token(self) -> str | None:
        if self._token is None or isinstance(self._token, str):
            return self._token
        try:
            given = self._token()
            token = await given if isawaitable(given) else given
        except Exception as error:
            raise _request.no_token(f"{type(error).__name__} was raised") from error
        return _request.checked_token(token)
