"""Test calls: their states, how many an organization may request, and why one is refused, each with what to do."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from outdial.domain.machine import Machine


class StatusOfTestCall(StrEnum):
    """The status of a test call. `sent` until its end is known, also while it is not certain that the call exists."""

    REQUESTED = "requested"
    SENT = "sent"
    ENDED = "ended"
    FAILED = "failed"
    REFUSED = "refused"


_S = StatusOfTestCall
TEST_CALL: Final = Machine(
    "test call",
    {
        _S.REQUESTED: (_S.SENT, _S.REFUSED),
        _S.SENT: (_S.ENDED, _S.FAILED, _S.REFUSED),
        _S.ENDED: (),
        # An event may come after all.
        _S.FAILED: (_S.ENDED,),
        _S.REFUSED: (),
    },
)

MOST_IN_AN_HOUR: Final = 10
"""Test calls of an organization. A campaign calls lists; more than this would be a list outside of its rules."""
LATEST: Final = timedelta(minutes=5)
"""A request that no dialer has sent by then is refused: the member may not be at the phone any more."""

ALL_STOPPED: Final = "all calls of the organization are stopped: resume them first"
ALREADY_LIVE: Final = "the phone is on another call: try again when that call has ended"
ALL_NUMBERS_REST: Final = (
    "all caller numbers of the campaign are resting: end the rest of one, or add another number to the campaign"
)
HOOK_IS_NOT_ASKED: Final = (
    "the pre-dial hook is not asked about test calls: confirm that the phone is your own, if it is"
)
IS_CONTACT: Final = "the phone belongs to a contact: use another phone, or confirm that this one is your own"
NOT_SENT_IN_TIME: Final = "no dialer had a free line within 5 minutes: check the dialers, then try again"
MISSED_START: Final = "the dialer did not place the call in time: try again"
NO_SUCH_CALL: Final = "the response to the request was lost, and Retell has no such call: try again"
END_UNKNOWN: Final = "Retell no longer has the call, so how it ended is unknown"


def on_do_not_call_list(phone: str) -> str:
    """Return why a phone on the do-not-call list gets no test call."""
    return f"{phone} is on the do-not-call list: remove it from the list first, or use another phone"


def outside_hours(opens_at: datetime | None) -> str:
    """Return why the phone of someone else gets no test call now."""
    when = "no time is allowed there" if opens_at is None else f"they open {opens_at:%Y-%m-%d at %H:%M UTC}"
    return f"outside calling hours where the phone is ({when}): wait, or confirm that the phone is your own, if it is"


def not_permitted(reason: str) -> str:
    """Return why the phone of someone else gets no test call; `reason` is why a contact with it would be skipped."""
    return f"the phone cannot be called: {reason}. Confirm that the phone is your own, if it is"


def too_many(next_at: datetime) -> str:
    """Return why an organization gets no test call before `next_at`."""
    return (
        f"the organization has requested {MOST_IN_AN_HOUR} test calls within an hour: the next one is possible"
        f" {next_at:%Y-%m-%d at %H:%M:%S UTC}"
    )
