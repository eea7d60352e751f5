"""What is being said in live calls, as far as Retell has sent it, and why there are no words yet."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from markupsafe import escape

from outdial.db.queries.dialing import live_transcripts
from outdial.db.session import Connection
from outdial.studio.calls.transcript import TranscriptTurn, parse_transcript

# An agent that sends transcripts has sent its greeting by then.
_GREETED_AFTER: Final = timedelta(seconds=20)
# Characters of markup of a turn.
_TURN_CHARS: Final = 60


class NoWords(StrEnum):
    """Why nothing is shown of what is said in a live call."""

    NOT_ANSWERED = "not_answered"
    NOT_SPOKEN = "not_spoken"
    NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenSoFar:
    """The last turns of a live call; `reason` says why there are none."""

    turns: Sequence[TranscriptTurn] = ()
    is_cut: bool = False
    reason: NoWords | None = None


async def read_live_transcripts(
    connection: Connection, organization_id: UUID, call_ids: Collection[UUID]
) -> dict[UUID, str]:
    """Return the transcripts of live calls by call. One without a transcript is left out."""
    if not call_ids:
        return {}
    rows = await live_transcripts.list_live_transcripts(
        connection, organization_id=organization_id, call_ids=list(call_ids)
    )
    return {row.call_id: row.transcript for row in rows}


def spoken_so_far(transcript: str | None, answered_at: datetime | None, now: datetime, *, most: int) -> SpokenSoFar:
    """Return the last turns of a live call, at most `most` escaped characters of them; the first may be cut."""
    turns = parse_transcript(transcript or "")
    if turns:
        shown = _last_turns(turns, most)
        return SpokenSoFar(turns=shown, is_cut=shown != turns)
    if answered_at is None:
        return SpokenSoFar(reason=NoWords.NOT_ANSWERED)
    is_early = now < answered_at + _GREETED_AFTER
    return SpokenSoFar(reason=NoWords.NOT_SPOKEN if is_early else NoWords.NOT_SENT)


def _last_turns(turns: Sequence[TranscriptTurn], most: int) -> list[TranscriptTurn]:
    shown: list[TranscriptTurn] = []
    room = most
    for turn in reversed(turns):
        size = len(escape(turn.text))
        if size > room:
            # Cut to the room that is left as if each character were escaped, so that it fits in any case.
            if not shown:
                shown.append(turn.model_copy(update={"text": f"…{turn.text[-(room // 5) :]}"}))
            break
        shown.append(turn)
        room -= size + _TURN_CHARS
    return shown[::-1]
