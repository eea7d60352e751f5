"""Events of the provider as the inbox received them."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from outdial.provider import ProviderEvent


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
