"""The states of a campaign and their transitions."""

from enum import StrEnum
from typing import Final

from outdial.domain.machine import Machine


class CampaignStatus(StrEnum):
    """The status of a campaign; `pausing` and `cancelling` last while requests are in flight."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    PAUSING = "pausing"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


_S = CampaignStatus

CAMPAIGN: Final = Machine(
    "campaign",
    {
        _S.DRAFT: (_S.SCHEDULED, _S.ACTIVE, _S.CANCELLING),
        _S.SCHEDULED: (_S.ACTIVE, _S.CANCELLING),
        _S.ACTIVE: (_S.PAUSING, _S.COMPLETED, _S.CANCELLING),
        _S.PAUSING: (_S.PAUSED, _S.ACTIVE, _S.CANCELLING),
        _S.PAUSED: (_S.ACTIVE, _S.CANCELLING),
        _S.COMPLETED: (),
        _S.CANCELLING: (_S.CANCELLED,),
        _S.CANCELLED: (),
    },
)

# Contacts may be added while a campaign is in one of these.
OPEN_TO_IMPORT: Final = frozenset({_S.DRAFT, _S.SCHEDULED, _S.ACTIVE, _S.PAUSING, _S.PAUSED})

# Only these can be archived: no process has anything to do for them.
ARCHIVABLE: Final = frozenset({_S.DRAFT, _S.COMPLETED, _S.CANCELLED})
