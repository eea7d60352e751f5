"""The client that waits for each answer."""

import http.client
from collections.abc import Callable
from typing import TypeVar
from urllib.request import HTTPErrorProcessor, Request, build_opener
from uuid import UUID

from outdial.client import _request, _response
from outdial.client._request import DEFAULT_TIMEOUT_S, MAX_ANSWER_BYTES, Order, Prepared
from outdial.client._response import Reply
from outdial.client.results import CampaignResult, ScheduleResult

R = TypeVar("R", CampaignResult, ScheduleResult)


class _AsItCame(HTTPErrorProcessor):
    """Gives every answer to the caller, and follows no redirect: a token is sent to one server only."""

    def http_response(self, request: Request, response: http.client.HTTPResponse) -> http.client.HTTPResponse:
        return response

    https_response = http_response


class CampaignTriggers:
    """Runs campaigns by way of campaign-trigger; safe to share between threads.

    `url` is the project's address. `token` is a user's access token, or a function that gives one for each request;
    a back end gives one of the project's secret keys as `apikey` instead. `timeout_s` bounds each wait for the server.
    Proxies are taken from the environment. Every method raises CampaignTriggerError.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | Callable[[], str] | None = None,
        apikey: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self._target = _request.target(url, token, apikey, timeout_s)
        self._token = token
        self._timeout_s = timeout_s
        self._opener = build_opener(_AsItCame)

    def start_campaign(self, campaign_id: UUID | str) -> CampaignResult:
        """Start a draft or a scheduled campaign; a draft whose time has not come becomes scheduled."""
        return self._ask(_request.start_campaign(campaign_id))

    def pause_campaign(self, campaign_id: UUID | str) -> CampaignResult:
        """Pause an active campaign: it reads pausing while requests are in flight, then paused."""
        return self._ask(_request.pause_campaign(campaign_id))

    def resume_campaign(self, campaign_id: UUID | str) -> CampaignResult:
        """Let a paused campaign go on."""
        return self._ask(_request.resume_campaign(campaign_id))

    def cancel_campaign(self, campaign_id: UUID | str, *, hang_up: bool = False) -> CampaignResult:
        """Cancel a campaign for good; `hang_up` ends the calls under way as well."""
        return self._ask(_request.cancel_campaign(campaign_id, hang_up))

    def process_batch(self, campaign_id: UUID | str, size: int | None = None) -> CampaignResult:
        """Make an active campaign due at once, with `size` calls (1 to 1,000) in its next batch where given."""
        return self._ask(_request.process_batch(campaign_id, size))

    def check_scheduled_campaigns(self, organization_id: UUID | str | None = None) -> ScheduleResult:
        """Start the scheduled campaigns whose time has come, of one organization or of all that the caller may run."""
        return self._ask(_request.check_scheduled_campaigns(organization_id))

    def _ask(self, order: Order[R]) -> R:
        prepared = _request.prepare(self._target, order, self._current_token())
        try:
            reply = self._send(prepared)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            cause = reason if isinstance(reason, BaseException) else error
            if isinstance(cause, TimeoutError):
                raise _response.late(self._target, self._timeout_s) from error
            raise _response.lost(self._target, cause) from error
        return _response.read(order, reply)

    def _send(self, prepared: Prepared) -> Reply:
        request = Request(prepared.url, prepared.body, dict(prepared.headers), method="POST")
        with self._opener.open(request, timeout=self._timeout_s) as response:
            body = response.read(MAX_ANSWER_BYTES + 1)
            # Asked for so many bytes, it does not complain of getting fewer than were announced.
            if response.length and len(body) <= MAX_ANSWER_BYTES:
                raise http.client.IncompleteRead(body, response.length)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, headers, body)

    def _current_token(self) -> str | None:
        if self._token is None or isinstance(self._token, str):
            return self._token
        try:
            token = self._token()
        except Exception as error:
            raise _request.no_token(f"{type(error).__name__} was raised") from error
        return _request.checked_token(token)
