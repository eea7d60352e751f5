"""Which contacts an action on many of them applies to, and why it leaves one out."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from outdial.domain.campaign import OPEN_TO_IMPORT, CampaignStatus
from outdial.domain.contact import MAY_COME_AGAIN, ContactStatus, ReviewDecision

_S = ContactStatus


class BulkAction(StrEnum):
    """What a member does with all contacts that match a filter."""

    RETRY = "retry"
    """Call finished contacts once more in this campaign, with all attempts left."""
    SKIP = "skip"
    """Skip pending contacts."""
    DECIDE = "decide"
    """Decide about contacts in review."""
    NEW_CAMPAIGN = "new_campaign"
    """Add finished contacts to a campaign of their own."""
    DO_NOT_CALL = "do_not_call"
    """Put the numbers of contacts on the do-not-call list."""
    MARK_REVIEWED = "mark_reviewed"
    """Mark calls as reviewed."""
    UNDO = "undo"
    """Undo what another job has done, where a contact is as it has left it."""


class CampaignJobAction(StrEnum):
    """A BulkAction that can be requested for the contacts of a campaign."""

    RETRY = BulkAction.RETRY
    SKIP = BulkAction.SKIP
    DECIDE = BulkAction.DECIDE
    NEW_CAMPAIGN = BulkAction.NEW_CAMPAIGN
    DO_NOT_CALL = BulkAction.DO_NOT_CALL


APPLIES_TO: Final[Mapping[BulkAction, tuple[ContactStatus, ...]]] = {
    BulkAction.RETRY: MAY_COME_AGAIN,
    BulkAction.SKIP: (_S.PENDING,),
    BulkAction.DECIDE: (_S.REVIEW,),
    BulkAction.NEW_CAMPAIGN: (*MAY_COME_AGAIN, _S.CANCELLED),
    BulkAction.DO_NOT_CALL: tuple(_S),
    # It acts on calls.
    BulkAction.MARK_REVIEWED: (),
    # Its contacts are those of the other job.
    BulkAction.UNDO: (),
}
"""The statuses that a contact must have when the job is requested."""

ANY_STATUS: Final = frozenset({BulkAction.DO_NOT_CALL, BulkAction.UNDO})
"""Actions that ignore a change of status; for an undo, the database checks that the contact has not changed since."""

IN_WORDS: Final[Mapping[BulkAction, str]] = {
    BulkAction.RETRY: "retried",
    BulkAction.SKIP: "skipped",
    BulkAction.DECIDE: "decided",
    BulkAction.NEW_CAMPAIGN: "added to the new campaign",
    BulkAction.DO_NOT_CALL: "put on the do-not-call list",
    BulkAction.MARK_REVIEWED: "marked as reviewed",
    BulkAction.UNDO: "undone",
}


class LeftOutKind(StrEnum):
    """Why a job has not acted on a contact."""

    CHANGED = "changed"
    REMOVED = "removed"
    ERASED = "erased"
    DO_NOT_CALL = "do_not_call"
    NO_ATTEMPT_LEFT = "no_attempt_left"
    CAMPAIGN_CLOSED = "campaign_closed"
    ALREADY_THERE = "already_there"
    OTHER_STATUS = "other_status"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why a job has not acted on a contact, as a kind and as a sentence that says what to do."""

    kind: LeftOutKind
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedContact:
    """What a contact was when the job was requested."""

    status: ContactStatus
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentContact:
    """What a contact is now."""

    status: ContactStatus
    calls: int
    attempts: int
    do_not_call: bool
    is_erased: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkTarget:
    """The campaign that would call the contacts: their own, or the new one of `new_campaign`."""

    status: CampaignStatus
    max_attempts: int


REMOVED: Final = LeftOut(LeftOutKind.REMOVED, "has been removed from the campaign")
ALREADY_THERE: Final = LeftOut(LeftOutKind.ALREADY_THERE, "is in the new campaign already")
ALREADY_LISTED: Final = LeftOut(LeftOutKind.DO_NOT_CALL, "the number was on the do-not-call list already")
ALREADY_REVIEWED: Final = LeftOut(LeftOutKind.CHANGED, "another member has marked the call as reviewed")
ERASED: Final = LeftOut(LeftOutKind.ERASED, "has been erased")
DELETED: Final = LeftOut(LeftOutKind.REMOVED, "the call has been deleted")
TOUCHED: Final = LeftOut(LeftOutKind.CHANGED, "has changed since, so it stays as it is")
JUST_CHANGED: Final = LeftOut(LeftOutKind.CHANGED, "has just changed: select it again")


def left_out(
    action: BulkAction,
    decision: ReviewDecision | None,
    selected: SelectedContact,
    contact: PresentContact,
    target: BulkTarget | None,
) -> LeftOut | None:
    """Return why the action leaves a contact out, None to act on it. A `target` of None has been deleted."""
    if contact.is_erased:
        return ERASED
    if action in ANY_STATUS:
        return None
    if (contact.status, contact.calls) != (selected.status, selected.calls):
        return LeftOut(LeftOutKind.CHANGED, _change(selected, contact))
    match action:
        case BulkAction.SKIP | BulkAction.DO_NOT_CALL | BulkAction.MARK_REVIEWED | BulkAction.UNDO:
            return None
        case BulkAction.DECIDE if decision is not ReviewDecision.CALL_AGAIN:
            return None
        case BulkAction.NEW_CAMPAIGN:
            return _closed("the new campaign", target)
        case BulkAction.RETRY | BulkAction.DECIDE:
            return _closed("the campaign", target) or _may_not_be_called(action, contact, target)
        case never:
            assert_never(never)


def missed(action: BulkAction) -> LeftOut:
    """Return why the database has not acted on a contact that nothing leaves out: it has just changed, as a rule."""
    match action:
        case BulkAction.NEW_CAMPAIGN:
            return ALREADY_THERE
        case BulkAction.DO_NOT_CALL:
            return ALREADY_LISTED
        case BulkAction.MARK_REVIEWED:
            return ALREADY_REVIEWED
        case BulkAction.UNDO:
            return TOUCHED
        case BulkAction.SKIP | BulkAction.RETRY | BulkAction.DECIDE:
            return JUST_CHANGED
        case never:
            assert_never(never)


def _change(selected: SelectedContact, contact: PresentContact) -> str:
    new = contact.calls - selected.calls
    called = f", after {new} more call{'s' if new > 1 else ''}" if new > 0 else ""
    if contact.status is selected.status:
        return f"is {contact.status} again{called}"
    return f"has changed from {selected.status} to {contact.status}{called}"


def _closed(which: str, target: BulkTarget | None) -> LeftOut | None:
    if target is not None and target.status in OPEN_TO_IMPORT:
        return None
    status = "has been deleted" if target is None else f"is {target.status} and places no more calls"
    return LeftOut(LeftOutKind.CAMPAIGN_CLOSED, f"{which} {status}: add the contact to another one")


def _may_not_be_called(action: BulkAction, contact: PresentContact, target: BulkTarget | None) -> LeftOut | None:
    if contact.do_not_call:
        return LeftOut(LeftOutKind.DO_NOT_CALL, "the number is on the do-not-call list")
    if action is BulkAction.DECIDE and target is not None and contact.attempts >= target.max_attempts:
        return LeftOut(
            LeftOutKind.NO_ATTEMPT_LEFT,
            f"all {target.max_attempts} attempts have been used: raise the campaign's attempt limit first",
        )
    return None
