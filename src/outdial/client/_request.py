"""What is sent: orders to campaign-trigger, and the HTTP request that carries one. Nothing here does I/O."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from outdial.client.errors import TokenUnavailable
from outdial.client.results import CampaignResult, ScheduleResult

R = TypeVar("R", CampaignResult, ScheduleResult)

DEFAULT_TIMEOUT_S: Final = 30.0
MAX_ANSWER_BYTES: Final = 1 << 20

_FUNCTIONS: Final = "/functions/v1"
_SLUG: Final = "campaign-trigger"
# Whatever else a header may hold, keys and tokens consist of these.
_SENDABLE: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Order(Generic[R]):
    """One body for campaign-trigger, and the type of what it answers."""

    body: Mapping[str, object]
    answer: type[R]


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, and with which API key."""

    url: str
    apikey: str | None = field(repr=False)

    @property
    def place(self) -> str:
        """The server, for messages."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True, slots=True)
class Prepared:
    """One POST, ready to be sent."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes


def target(url: str, token: object, apikey: str | None, timeout_s: float) -> Target:
    """Return where to send to; ValueError when a client cannot be made of these arguments."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise ValueError("url must be the address of the project, such as https://abc.supabase.co")
    if token is None and apikey is None:
        raise ValueError("give a token (a user's access token) or an apikey (a secret key of the project)")
    for name, value in (("token", token), ("apikey", apikey)):
        if isinstance(value, str) and not _SENDABLE.fullmatch(value):
            raise ValueError(
                f"{name} is empty, or holds a space, a line break or another character that cannot be sent"
            )
    if not timeout_s > 0:
        raise ValueError(f"timeout_s must be a number of seconds above 0, not {timeout_s}")
    base = url.rstrip("/").removesuffix(_FUNCTIONS)
    return Target(f"{base}{_FUNCTIONS}/{_SLUG}", apikey)


def checked_token(token: object) -> str:
    """Return what the caller's function gave as token, when it can be sent."""
    if not isinstance(token, str) or not _SENDABLE.fullmatch(token):
        raise no_token("it gave none that can be sent")
    return token


def no_token(reason: str) -> TokenUnavailable:
    """Return the error of a function that gives no token."""
    return TokenUnavailable(f"No token to call campaign-trigger with: {reason}", code="TOKEN_UNAVAILABLE")


def prepare(to: Target, order: Order[R], token: str | None) -> Prepared:
    """Return the request that carries `order` to `to`."""
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "outdial-python"}
    if to.apikey is not None:
        headers["apikey"] = to.apikey
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return Prepared(to.url, headers, json.dumps(order.body).encode())


def start_campaign(campaign_id: UUID | str) -> Order[CampaignResult]:
    """Order a start."""
    return _about("start_campaign", campaign_id)


def pause_campaign(campaign_id: UUID | str) -> Order[CampaignResult]:
    """Order a pause."""
    return _about("pause_campaign", campaign_id)


def resume_campaign(campaign_id: UUID | str) -> Order[CampaignResult]:
    """Order that a paused campaign goes on."""
    return _about("resume_campaign", campaign_id)


def cancel_campaign(campaign_id: UUID | str, hang_up: bool) -> Order[CampaignResult]:
    """Order a cancellation."""
    return _about("cancel_campaign", campaign_id, hang_up=hang_up)


def process_batch(campaign_id: UUID | str, size: int | None) -> Order[CampaignResult]:
    """Order a batch."""
    return _about("process_batch", campaign_id, **({} if size is None else {"batch_size": size}))


def check_scheduled_campaigns(organization_id: UUID | str | None) -> Order[ScheduleResult]:
    """Order a look at the schedules."""
    only = {} if organization_id is None else {"organization_id": str(organization_id)}
    return Order({"action": "schedule_check", **only}, ScheduleResult)


def _about(action: str, campaign_id: UUID | str, **fields: object) -> Order[CampaignResult]:
    return Order({"action": action, "campaign_id": str(campaign_id), **fields}, CampaignResult)
