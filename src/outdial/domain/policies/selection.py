"""What a member does with contacts that they have selected in a list, and what that means for each of them."""

from enum import StrEnum
from typing import Final, assert_never

from outdial.domain.contact import MAY_COME_AGAIN, ContactStatus, ReviewDecision
from outdial.domain.policies.bulk_action import BulkAction

_S = ContactStatus
_D = ReviewDecision
ContactStep = tuple[BulkAction, ReviewDecision | None]


class SelectedAction(StrEnum):
    """An action on selected contacts. The last two are decisions about contacts in review."""

    CALL_AGAIN = "call_again"
    SKIP = "skip"
    DO_NOT_CALL = "do_not_call"
    COMPLETED = "completed"
    FAILED = "failed"


DONE: Final = {
    SelectedAction.CALL_AGAIN: "called again",
    SelectedAction.SKIP: "skipped",
    SelectedAction.DO_NOT_CALL: "put on the do-not-call list",
    SelectedAction.COMPLETED: "marked as completed",
    SelectedAction.FAILED: "marked as not reached",
}
"""What is done with the contacts, as a participle."""
APPLIES_TO_WORDS: Final = {
    SelectedAction.CALL_AGAIN: "that are finished or in review",
    SelectedAction.SKIP: "that are pending",
    SelectedAction.DO_NOT_CALL: "of a campaign",
    SelectedAction.COMPLETED: "in review",
    SelectedAction.FAILED: "in review",
}
"""Which contacts an action applies to, after "only contacts"."""


def step_for(action: SelectedAction, status: ContactStatus) -> ContactStep | None:
    """Return what an action does with a contact of a status; None when it does not apply."""
    match action:
        case SelectedAction.CALL_AGAIN if status is _S.REVIEW:
            return BulkAction.DECIDE, _D.CALL_AGAIN
        case SelectedAction.CALL_AGAIN:
            return (BulkAction.RETRY, None) if status in MAY_COME_AGAIN else None
        case SelectedAction.SKIP:
            return (BulkAction.SKIP, None) if status is _S.PENDING else None
        case SelectedAction.DO_NOT_CALL:
            return (BulkAction.DECIDE, _D.NEVER_CALL) if status is _S.REVIEW else (BulkAction.DO_NOT_CALL, None)
        case SelectedAction.COMPLETED:
            return (BulkAction.DECIDE, _D.COMPLETED) if status is _S.REVIEW else None
        case SelectedAction.FAILED:
            return (BulkAction.DECIDE, _D.FAILED) if status is _S.REVIEW else None
        case never:
            assert_never(never)
