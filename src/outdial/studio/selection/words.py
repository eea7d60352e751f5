"""What an action on selected contacts will do, as its dialog says it."""

from collections.abc import Sequence
from typing import Final, assert_never

from outdial.campaigns.operations.selected import SelectedLeftOut
from outdial.domain.policies.bulk_action import BulkAction
from outdial.domain.policies.selection import SelectedAction
from outdial.domain.policies.undo import MOST_UNDONE

_A = SelectedAction
UNDO: Final = "You can undo this for an hour, for each contact that has not changed since."
_UNDO_BLOCKED: Final = (
    "You can undo this for an hour. After that, an admin can remove the numbers from the list. Revoked consents stay"
    " revoked."
)


def title(action: SelectedAction, count: int) -> str:
    """Return the question of the dialog."""
    contacts = counted(count)
    match action:
        case _A.CALL_AGAIN:
            return f"Call {contacts} again?"
        case _A.SKIP:
            return f"Skip {contacts}?"
        case _A.DO_NOT_CALL:
            return f"Never call {contacts} again?"
        case _A.COMPLETED:
            return f"Mark {contacts} as completed?"
        case _A.FAILED:
            return f"Mark {contacts} as not reached?"
        case never:
            assert_never(never)


def effect(action: SelectedAction) -> str:
    """Return what happens to the contacts."""
    match action:
        case _A.CALL_AGAIN:
            return (
                "Finished contacts are called once more in their campaign, with all attempts; those in review with the"
                " attempts they have left. Calling hours, lists and caps apply."
            )
        case _A.SKIP:
            return "They will not be called in this campaign. Calls that they have had are kept."
        case _A.DO_NOT_CALL:
            return "No campaign calls these numbers, and their consents are revoked."
        case _A.COMPLETED | _A.FAILED:
            return "They leave the review and are not called again in their campaign."
        case never:
            assert_never(never)


def undo(action: SelectedAction, count: int) -> str:
    """Return whether and how the action on so many contacts can be undone."""
    if count > MOST_UNDONE:
        return f"You cannot undo this: undo works for at most {MOST_UNDONE:,} contacts."
    return _UNDO_BLOCKED if action is _A.DO_NOT_CALL else UNDO


def button(action: SelectedAction, count: int) -> str:
    """Return the label of the button that does it."""
    return title(action, count).removesuffix("?")


def stays(left_out: Sequence[SelectedLeftOut], most: int = 3) -> list[str]:
    """Return a line for each reason why contacts stay as they are, with the first names."""
    reasons: dict[str, list[str]] = {}
    for each in left_out:
        reasons.setdefault(each.why.reason, []).append(each.name or "a removed contact")
    lines = []
    for reason, names in reasons.items():
        more = f" and {len(names) - most:,} more" if len(names) > most else ""
        lines.append(f"{', '.join(names[:most])}{more}: {reason}")
    return lines


def bulk_action(action: SelectedAction, status: str | None) -> str:
    """Return the action of a bulk job, with a decision after a colon, for all contacts that match a filter."""
    match action:
        case _A.CALL_AGAIN:
            return f"{BulkAction.DECIDE}:call_again" if status == "review" else BulkAction.RETRY
        case _A.SKIP:
            return BulkAction.SKIP
        case _A.DO_NOT_CALL:
            return f"{BulkAction.DECIDE}:never_call" if status == "review" else BulkAction.DO_NOT_CALL
        case _A.COMPLETED | _A.FAILED:
            return f"{BulkAction.DECIDE}:{action}"
        case never:
            assert_never(never)


def counted(count: int) -> str:
    """Return a number of contacts in words."""
    return "1 contact" if count == 1 else f"{count:,} contacts"
