"""The synchronous client."""

from collections.abc import Callable

import httpx

from outdial_client import _request, _response
from outdial_client._actions import TriggerActions
from outdial_client._request import DEFAULT_TIMEOUT_S, MAX_RESPONSE_BYTES, ResultT, TriggerAction
from outdial_client._response import TriggerResponse
from outdial_client.results import CampaignResult, ContactsResult, ScheduleResult


class CampaignTriggers(TriggerActions[CampaignResult, ContactsResult, ScheduleResult]):
    """Runs campaigns through campaign-trigger. Safe to share between threads.

    `url` is the project's URL. `token` is a user's access token, or a function that returns one for each request. A
    back end passes a secret key of the project as `apikey` instead. `timeout_s` limits connecting and each wait for
    data. Proxies come from the environment. Every method raises CampaignTriggerError.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | Callable[[], str] | None = None,
        apikey: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self._endpoint = _request.endpoint(url, token, apikey, timeout_s)
        self._token = token
        self._timeout_s = timeout_s

    def _send(self, action: TriggerAction[ResultT]) -> ResultT:
        headers = self._endpoint.headers(self._current_token())
        body = bytearray()
        try:
            # One connection per request: campaigns change rarely, and the caller has nothing to close. Redirects are
            # not followed, so no other server receives the token.
            with (
                httpx.Client(verify=self._endpoint.tls, timeout=self._timeout_s) as client,
                client.stream("POST", self._endpoint.url, content=_request.encode(action), headers=headers) as response,
            ):
                for part in response.iter_bytes():
                    body += part
                    if len(body) > MAX_RESPONSE_BYTES:
                        break
        except httpx.TimeoutException as error:
            raise _response.timed_out(self._endpoint, self._timeout_s) from error
        except httpx.HTTPError as error:
            raise _response.connection_failed(self._endpoint, error) from error
        return _response.read_result(action, TriggerResponse(response.status_code, dict(response.headers), bytes(body)))

    def _current_token(self) -> str | None:
        if self._token is None or isinstance(self._token, str):
            return self._token
        try:
            token = self._token()
        except Exception as error:
            raise _request.token_unavailable(f"the token function raised {type(error).__name__}") from error
        return _request.checked_token(token)
