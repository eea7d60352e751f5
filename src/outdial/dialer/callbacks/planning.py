"""What a claim makes of a contact that asked to be called back."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from outdial.db.queries.due_contacts import DueContact

ON_TIME: Final = timedelta(minutes=1)
"""A callback that starts later than this after the time asked for is late, and the reason is stored with its call."""


def callback_try(contact: DueContact) -> int:
    """Return 1 for a callback, 2 for its repetition, 0 for any other call."""
    return 0 if contact.callback_at is None else contact.callback_tries + 1


def callback_variables(contact: DueContact) -> Mapping[str, str | None]:
    """Return the agent variables of a callback: that it is one, and the summary of the call before."""
    if contact.callback_at is None:
        return {}
    return {"is_callback": "true", "last_call_summary": contact.last_call_summary}


def late_reason(contact: DueContact, start_at: datetime) -> str | None:
    """Return why a callback starts late; None where it is on time, and for other calls."""
    if contact.callback_at is None or start_at <= contact.callback_at + ON_TIME:
        return None
    return contact.callback_late or "no call could start earlier within the limits of the account"
