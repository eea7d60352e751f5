"""What states a contact has inside a campaign, and how they follow each other."""

from enum import StrEnum
from typing import Final

from outdial.domain.machine import Machine


class ContactStatus(StrEnum):
    """Where the work on one contact of one campaign stands."""

    PENDING = "pending"
    CALLING = "calling"
    COMPLETED = "completed"
    FAILED = "failed"
    REVIEW = "review"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


_S = ContactStatus

# The arrows out of review, and those from pending to an end, are late evidence: Retell turns out to have made a call
# that we had given up on. They move a contact only on behalf of its newest call, and none leads back to dialing: a
# campaign may have been completed since.
CONTACT: Final = Machine(
    "contact",
    {
        _S.PENDING: (_S.CALLING, _S.SKIPPED, _S.CANCELLED, _S.COMPLETED, _S.FAILED, _S.REVIEW),
        _S.CALLING: (_S.PENDING, _S.COMPLETED, _S.FAILED, _S.REVIEW, _S.CANCELLED),
        _S.COMPLETED: (),
        _S.FAILED: (),
        _S.REVIEW: (_S.COMPLETED, _S.FAILED),
        _S.SKIPPED: (),
        _S.CANCELLED: (),
    },
)

# A campaign completes when no contact is in one of these. `review` is not among them: it waits for a user, not for a
# call.
OPEN: Final = frozenset({_S.PENDING, _S.CALLING})

# The end of the status_reason of a contact that waits because its phone has reached the daily cap.
OVER_DAILY_CAP: Final = "calls in 24 hours, the organization's cap"
