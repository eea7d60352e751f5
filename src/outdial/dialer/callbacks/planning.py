"""What a claim makes of a contact that asked to be called back, and of the others."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, TypedDict

from outdial.db.queries.due_contacts import DueContact

ON_TIME: Final = timedelta(minutes=1)
"""A callback that starts later than this after the time asked for is late, and the reason is stored with its call."""
NOT_CLAIMED: Final = "the campaign was paused, or no dialer claimed it in time"
NO_SUMMARY: Final[Mapping[str, str]] = MappingProxyType({"last_call_summary": ""})
"""A variable of a prompt that a call does not send is read aloud with its braces."""
NO_CALLBACK: Final[Mapping[str, str | None]] = MappingProxyType({"is_callback": "false"})
_NOT_MADE: Final = frozenset({"refused", "released"})


class CallbackColumns(TypedDict):
    """What calls store about being callbacks: the times asked for, 1 or 2 for the tries, and why they are late."""

    callback_ofs: list[datetime | None]
    callback_tries: list[int]
    callback_lates: list[str | None]


def callback_variables(contact: DueContact) -> Mapping[str, str | None]:
    """Return the agent variables that say whether this is a callback, and what was said in the call before."""
    if contact.callback_at is None:
        return NO_CALLBACK
    return {"is_callback": "true", "last_call_summary": contact.last_call_summary}


def callback_columns(
    contacts: Sequence[DueContact], starts: Sequence[datetime], now: datetime, waited_for: str | None
) -> CallbackColumns:
    """Return the columns of the calls of `contacts`, which are claimed now and start at `starts`.

    `waited_for` is what the campaign has waited for until this claim. Empty columns stand for calls none of which is a
    callback: encoding an array takes time for each element.
    """
    if all(contact.callback_at is None for contact in contacts):
        return CallbackColumns(callback_ofs=[], callback_tries=[], callback_lates=[])
    return CallbackColumns(
        callback_ofs=[contact.callback_at for contact in contacts],
        callback_tries=[0 if contact.callback_at is None else contact.callback_tries + 1 for contact in contacts],
        callback_lates=[
            _late(contact, start_at, now, waited_for) for contact, start_at in zip(contacts, starts, strict=True)
        ],
    )


def _late(contact: DueContact, start_at: datetime, now: datetime, waited_for: str | None) -> str | None:
    if contact.callback_at is None or start_at <= contact.callback_at + ON_TIME:
        return None
    if contact.callback_late is not None or contact.status_reason is not None:
        return contact.callback_late or contact.status_reason
    if now <= contact.callback_at + ON_TIME:
        return "no call could start earlier within the limits of the account"
    if contact.last_outcome in _NOT_MADE:
        return f"an earlier attempt at it was {contact.last_outcome}"
    return NOT_CLAIMED if waited_for is None else f"the campaign was waiting ({waited_for.replace('_', ' ')})"
