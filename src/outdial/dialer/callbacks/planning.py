"""What a claim makes of a contact that asked to be called back."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypedDict

from outdial.db.queries.due_contacts import DueContact

ON_TIME: Final = timedelta(minutes=1)
"""A callback that starts later than this after the time asked for is late, and the reason is stored with its call."""


class CallbackColumns(TypedDict):
    """What calls store about being callbacks: the times asked for, 1 or 2 for the tries, and why they are late."""

    callback_ofs: list[datetime | None]
    callback_tries: list[int]
    callback_lates: list[str | None]


def callback_variables(contact: DueContact) -> Mapping[str, str | None]:
    """Return the agent variables of a callback: that it is one, and the summary of the call before."""
    if contact.callback_at is None:
        return {}
    return {"is_callback": "true", "last_call_summary": contact.last_call_summary}


def callback_columns(contacts: Sequence[DueContact], starts: Sequence[datetime]) -> CallbackColumns:
    """Return the columns of the calls of `contacts`, which start at `starts`."""
    return CallbackColumns(
        callback_ofs=[contact.callback_at for contact in contacts],
        callback_tries=[0 if contact.callback_at is None else contact.callback_tries + 1 for contact in contacts],
        callback_lates=[_late(contact, start_at) for contact, start_at in zip(contacts, starts, strict=True)],
    )


def _late(contact: DueContact, start_at: datetime) -> str | None:
    if contact.callback_at is None or start_at <= contact.callback_at + ON_TIME:
        return None
    return contact.callback_late or "no call could start earlier within the limits of the account"
