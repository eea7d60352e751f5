"""The states of a contact inside a campaign and their transitions."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from outdial.domain.machine import Machine


class ContactStatus(StrEnum):
    """The status of a contact inside a campaign."""

    PENDING = "pending"
    CALLING = "calling"
    COMPLETED = "completed"
    FAILED = "failed"
    REVIEW = "review"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


_S = ContactStatus

# The arrows from pending and from review to a final status also follow late evidence: Retell placed a call that Outdial
# had given up on. Only the contact's newest call moves it along them, and never back to dialing, because the campaign
# may have completed since. Only a member's decision moves a contact from review back to pending. A finished contact is
# pending again when it is added or called again, and one that a setting of its campaign skipped when that setting
# changes. None of that happens after the campaign has completed. A completed contact goes to review when a late
# analysis has a request to be called back: review is no open status. A failed one goes back to review when the decision
# that it has failed is undone.
CONTACT: Final = Machine(
    "contact",
    {
        _S.PENDING: (_S.CALLING, _S.SKIPPED, _S.CANCELLED, _S.COMPLETED, _S.FAILED, _S.REVIEW),
        _S.CALLING: (_S.PENDING, _S.COMPLETED, _S.FAILED, _S.REVIEW, _S.CANCELLED, _S.SKIPPED),
        _S.COMPLETED: (_S.PENDING, _S.REVIEW),
        _S.FAILED: (_S.PENDING, _S.REVIEW),
        _S.REVIEW: (_S.COMPLETED, _S.FAILED, _S.PENDING),
        _S.SKIPPED: (_S.PENDING,),
        _S.CANCELLED: (),
    },
)


class FinalContactStatus(StrEnum):
    """A ContactStatus with which a campaign is done with a contact, so that another one may take it."""

    COMPLETED = ContactStatus.COMPLETED
    FAILED = ContactStatus.FAILED
    SKIPPED = ContactStatus.SKIPPED
    CANCELLED = ContactStatus.CANCELLED


class ReviewDecision(StrEnum):
    """What a member decides about a contact in review."""

    COMPLETED = "completed"
    FAILED = "failed"
    CALL_AGAIN = "call_again"
    NEVER_CALL = "never_call"


AFTER_REVIEW: Final[Mapping[ReviewDecision, ContactStatus]] = {
    ReviewDecision.COMPLETED: _S.COMPLETED,
    ReviewDecision.FAILED: _S.FAILED,
    ReviewDecision.CALL_AGAIN: _S.PENDING,
    ReviewDecision.NEVER_CALL: _S.FAILED,
}

MEMBERS_ONLY: Final = frozenset(
    {(_S.REVIEW, _S.PENDING), (_S.COMPLETED, _S.PENDING), (_S.FAILED, _S.PENDING), (_S.FAILED, _S.REVIEW)}
)
"""The arrows that need a member, or a back end that adds contacts: the database refuses them to every process."""

MAY_COME_AGAIN: Final = (_S.COMPLETED, _S.FAILED, _S.SKIPPED)
"""A contact with such a status is finished, and may be added or called again."""

DEFAULT_RANK: Final = 5
"""The rank of a contact without a priority. See `rank_of`."""
CALLBACK_RANK: Final = 0
"""The rank of a contact that asked to be called back."""

# A campaign completes when no contact is in one of these. `review` is not among them: it waits for a user, not for a
# call.
OPEN: Final = frozenset({_S.PENDING, _S.CALLING})

# The status_reason of contacts that are skipped because of their campaign's calling hours or of the calling rules; the
# last one is followed by the id of the rule. The triggers that reopen such contacts compare with these texts.
NEVER_OPEN: Final = "its time zones are never open together in the campaign's calling hours"
NEVER_LEGAL: Final = "the calling rules of its place allow no call within the campaign's calling hours"
FORBIDDEN_BY: Final = "calls for the purpose of the campaign are forbidden by the calling rule "

# The end of the status_reason of a contact that waits because its phone has reached the daily cap.
OVER_DAILY_CAP: Final = "calls in 24 hours, the organization's cap"

# The start of the status_reason of a contact that waits because its phone has reached the cap of a calling rule.
OVER_RULE_CAP: Final = "limit of a calling rule: "

# The status_reason of a contact that waits because none of the numbers that may call it is free.
NO_NUMBER_FREE: Final = "waits for a caller number"

# The start of the status_reason of a contact that waits for the part of the day of its next attempt, which follows.
WAITS_FOR_PART: Final = "part of the day of the next attempt: "


def rank_of(priority: int) -> int:
    """Return the rank of a contact with a priority from 1 to 9: of two due contacts, the lower rank is called first."""
    return 10 - priority
