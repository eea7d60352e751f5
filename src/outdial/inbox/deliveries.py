"""Events of the provider as the inbox received them, and what became of them."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from outdial.provider import ProviderEvent

EventStatus = Literal["applied", "unmatched", "quarantined", "pending"]


@dataclass(frozen=True, slots=True)
class EventDelivery:
    """One received event. `credential` names the account whose key signed it, `body` holds its bytes unchanged."""

    credential: str
    event: ProviderEvent
    body: bytes
    received_at: datetime
    body_sha256: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "body_sha256", hashlib.sha256(self.body).digest())


@dataclass(frozen=True, slots=True)
class EventVerdict:
    """The result of applying one event; stored with the event.

    `is_erased` says that the person was erased from its call: the body of the event is not kept.
    """

    status: EventStatus
    organization_id: UUID | None = None
    call_id: UUID | None = None
    error: str | None = None
    is_erased: bool = False
