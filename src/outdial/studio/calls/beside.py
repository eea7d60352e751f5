"""The call that a queue shows beside its list, with its recording and the beginning of what was said."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from outdial.db.session import Connection
from outdial.studio.calls.service import CallDetail, show_call
from outdial.studio.calls.transcript import TranscriptTurn, first_turns
from outdial.studio.web.context import OrganizationContext

# A page of long entries has little room for what was said; the page of the call has the rest.
_MAX_TRANSCRIPT_CHARS: Final = 8_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CallBeside:
    """A call, and the turns that fit beside a list."""

    call: CallDetail
    turns: Sequence[TranscriptTurn]


async def read_call_beside(
    connection: Connection, context: OrganizationContext, call_id: UUID | None
) -> CallBeside | None:
    """Return the call of an entry; None without one. Raises ResourceNotFound."""
    if call_id is None:
        return None
    recordings = context.studio.settings.recordings
    call = await show_call(connection, context.organization_id, call_id, recordings=recordings)
    return CallBeside(call=call, turns=first_turns(call.turns, _MAX_TRANSCRIPT_CHARS))
