"""Keeps what has been said so far in live calls and test calls: the newest transcript of each, none in the ledger.

A transcript comes with each turn of a call and has all that was said before. The next one makes up for one that is lost
or comes too late, so none is stored as an event or tried again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from outdial.clock import Clock
from outdial.db.queries.dialing import live_transcripts
from outdial.db.session import Connection, Database
from outdial.domain.limits import LONGEST_LIVE_TRANSCRIPT
from outdial.inbox.batcher import EventBatcher
from outdial.log import log
from outdial.provider import AuthenticatedEvent, ProviderEvent

# One flush at a time, so that transcripts take at most one of the connections that events need.
_NO_SECOND_FLUSH: Final = 1_000_000
# The beginning of a turn. A turn may have several lines.
_SPEAKER: Final = re.compile(r"^(Agent|User|Transfer Target|Transfer_Target): ?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TranscriptReceived:
    """What has been said so far in a call. It is kept while the call is live, and is not in the ledger."""

    event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardTranscript:
    """The end of a transcript, with the lines and characters of the whole."""

    credential: str
    event: ProviderEvent
    text: str
    lines: int
    characters: int

    @property
    def key(self) -> tuple[str, str]:
        """The call, as its provider names it."""
        return self.credential, self.event.provider_call_id

    @property
    def extent(self) -> tuple[int, int]:
        """What grows while people talk. An interrupted turn may become shorter, but the next one adds a line."""
        return self.lines, self.characters


class LiveTranscripts:
    """Keeps the transcripts that arrive, those that arrive together in one statement."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._batcher: EventBatcher[HeardTranscript, None] = EventBatcher(self._flush, concurrent_at=_NO_SECOND_FLUSH)

    async def keep(self, signed: AuthenticatedEvent) -> None:
        """Keep the transcript of a live call, unless a newer one is kept. Returns when that is done."""
        if heard := _heard(signed):
            await self._batcher.submit(heard)

    async def stop(self) -> None:
        """Wait until every accepted transcript is kept."""
        await self._batcher.drain()

    async def _flush(self, together: list[HeardTranscript]) -> Sequence[None]:
        newest: dict[tuple[str, str], HeardTranscript] = {}
        for heard in together:
            known = newest.get(heard.key)
            if known is None or heard.extent > known.extent:
                newest[heard.key] = heard
        kept = list(newest.values())
        try:
            async with self._database.transaction() as connection:
                stored = await live_transcripts.keep_live_transcripts(
                    connection,
                    credentials=[heard.credential for heard in kept],
                    retell_call_ids=[heard.event.provider_call_id for heard in kept],
                    call_ids=[heard.event.call_id for heard in kept],
                    transcripts=[heard.text for heard in kept],
                    lines=[heard.lines for heard in kept],
                    characters=[heard.characters for heard in kept],
                    now=self._clock.now(),
                )
                if len(stored) < len(kept):  # Test calls are few: most batches have none.
                    await _keep_of_test_calls(connection, kept)
        except Exception as error:  # the next turn brings all of it again
            log("inbox.transcripts_lost", level="warning", calls=len(kept), reason=type(error).__name__)
        return [None] * len(together)


async def _keep_of_test_calls(connection: Connection, kept: Sequence[HeardTranscript]) -> None:
    await live_transcripts.keep_test_transcripts(
        connection,
        credentials=[heard.credential for heard in kept],
        retell_call_ids=[heard.event.provider_call_id for heard in kept],
        test_call_ids=[heard.event.test_call_id for heard in kept],
        transcripts=[heard.text for heard in kept],
        lines=[heard.lines for heard in kept],
        characters=[heard.characters for heard in kept],
    )


def _heard(signed: AuthenticatedEvent) -> HeardTranscript | None:
    """Return what was heard in a call; None without words, and without an id of the call."""
    transcript = (signed.event.transcript_so_far or "").strip()
    if not transcript or not signed.event.provider_call_id:
        return None
    return HeardTranscript(
        credential=signed.credential,
        event=signed.event,
        text=_end_of(transcript),
        lines=transcript.count("\n") + 1,
        characters=len(transcript),
    )


def _end_of(transcript: str) -> str:
    """Return at most LONGEST_LIVE_TRANSCRIPT characters from the end, after an ellipsis and who is speaking there."""
    if len(transcript) <= LONGEST_LIVE_TRANSCRIPT:
        return transcript
    begins_at = len(transcript) - LONGEST_LIVE_TRANSCRIPT
    speaking, speaks_from = "", 0
    for found in _SPEAKER.finditer(transcript):
        if found.start() > begins_at:
            break
        speaking, speaks_from = found[0], found.end()
    cut = f"{speaking}…"
    return cut + transcript[max(begins_at + len(cut), speaks_from) :]
