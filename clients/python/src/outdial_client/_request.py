"""Requests to campaign-trigger. Does no I/O."""

import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from outdial_client.errors import TokenUnavailableError
from outdial_client.results import CampaignResult, ContactsResult, ScheduleResult

ResultT = TypeVar("ResultT", CampaignResult, ContactsResult, ScheduleResult)

DEFAULT_TIMEOUT_S: Final = 30.0
MAX_RESPONSE_BYTES: Final = 1 << 20

_FUNCTIONS: Final = "/functions/v1"
_SLUG: Final = "campaign-trigger"
# Keys and tokens are printable ASCII without spaces, so other values are mistakes.
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class TriggerAction(Generic[ResultT]):
    """The body of one request, and the type of its result."""

    body: Mapping[str, object]
    result: type[ResultT]


@dataclass(frozen=True, slots=True)
class TriggerEndpoint:
    """URL of campaign-trigger, the API key, and the TLS settings (the system's trusted certificates)."""

    url: str
    apikey: str | None = field(repr=False)
    tls: ssl.SSLContext = field(repr=False, default_factory=ssl.create_default_context)

    @property
    def host(self) -> str:
        """Host and port, for error messages."""
        return urlsplit(self.url).netloc

    def headers(self, token: str | None) -> dict[str, str]:
        """Return the headers of a request with this token."""
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "outdial-python"}
        if self.apikey is not None:
            headers["apikey"] = self.apikey
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return headers


def endpoint(url: str, token: object, apikey: str | None, timeout_s: float) -> TriggerEndpoint:
    """Return the endpoint of the project at `url`. Raises ValueError for unusable arguments."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise ValueError("url must be the project's URL, such as https://abc.supabase.co")
    if token is None and apikey is None:
        raise ValueError("pass a token (a user's access token) or an apikey (a secret key of the project)")
    for name, value in (("token", token), ("apikey", apikey)):
        if isinstance(value, str) and not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"{name} is empty or contains a character that cannot be sent in a header")
    if not timeout_s > 0:
        raise ValueError(f"timeout_s must be a number of seconds above 0, not {timeout_s}")
    base = url.rstrip("/").removesuffix(_FUNCTIONS)
    return TriggerEndpoint(f"{base}{_FUNCTIONS}/{_SLUG}", apikey)


def checked_token(token: object) -> str:
    """Return the result of the token function if it can be sent, or raise TokenUnavailableError."""
    if not isinstance(token, str) or not _HEADER_VALUE.fullmatch(token):
        raise token_unavailable("the token function returned no usable token")
    return token


def token_unavailable(reason: str) -> TokenUnavailableError:
    """Return the error for a token function that failed."""
    return TokenUnavailableError(f"No token for campaign-trigger: {reason}", code="TOKEN_UNAVAILABLE")


def encode(action: TriggerAction[ResultT]) -> bytes:
    """Return the request body."""
    return json.dumps(action.body).encode()


def campaign_action(action: str, campaign_id: UUID | str, **fields: object) -> TriggerAction[CampaignResult]:
    """Return an action on one campaign."""
    return TriggerAction({"action": action, "campaign_id": str(campaign_id), **fields}, CampaignResult)
