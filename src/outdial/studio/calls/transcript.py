"""Parses Retell's transcript, a text of lines such as "Agent: Hello", into the turns of a conversation.

The times of the turns come from the webhook event that brought the transcript: its `transcript_object` has one for each
word.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
from markupsafe import escape
from pydantic import BaseModel

Speaker = Literal["agent", "user", "other"]

_TURN: Final = re.compile(r"(Agent|User|Transfer Target|Transfer_Target): ?(.*)", re.DOTALL)
_SPEAKERS: Final[dict[str, Speaker]] = {"Agent": "agent", "User": "user"}
SPEAKERS: Final[dict[Speaker, str]] = {"agent": "Agent", "user": "Contact", "other": "Other"}
"""What pages call the speakers."""
# About what the markup of a turn adds to a page.
_TURN_MARKUP_CHARS: Final = 240
# Times above this are no times of a call.
_LONGEST_S: Final = 100_000


class TranscriptTurn(BaseModel):
    """What one speaker said without interruption: the agent, the contact (user), or a transfer target (other).

    `start_ms` and `end_ms` are its place in the recording, null while Retell has sent no times for it.
    """

    speaker: Speaker
    text: str
    start_ms: int | None = None
    end_ms: int | None = None


class _Word(msgspec.Struct):
    start: float | None = None
    end: float | None = None


class _Utterance(msgspec.Struct):
    role: str
    content: str = ""
    words: list[_Word] = msgspec.field(default_factory=list)

    @property
    def speaker(self) -> Speaker:
        """The speaker, in the words of a turn."""
        return "agent" if self.role == "agent" else "user" if self.role == "user" else "other"


class _TimedCall(msgspec.Struct):
    transcript_object: list[Any] | None = None


class _TimedEvent(msgspec.Struct):
    call: _TimedCall | None = None
    data: _TimedCall | None = None


def parse_transcript(transcript: str) -> list[TranscriptTurn]:
    """Split a transcript into turns; a line without a speaker continues the turn before it."""
    turns: list[tuple[Speaker, list[str]]] = []
    for line in transcript.splitlines():
        if match := _TURN.fullmatch(line):
            turns.append((_SPEAKERS.get(match[1], "other"), [match[2]]))
        elif turns:
            turns[-1][1].append(line)
        elif line.strip():
            turns.append(("other", [line]))
    joined = ((speaker, "\n".join(lines).strip()) for speaker, lines in turns)
    return [TranscriptTurn(speaker=speaker, text=text) for speaker, text in joined if text]


def with_times(turns: Sequence[TranscriptTurn], event_body: bytes) -> list[TranscriptTurn]:
    """Return the turns with the times that a webhook event has for them.

    Turns and utterances are matched in order by speaker and text, because the transcript may be a redacted one. A turn
    without an utterance gets no time, and a body that cannot be read gives none.
    """
    utterances = _utterances(event_body)
    timed: list[TranscriptTurn] = []
    following = 0
    for turn in turns:
        wanted = _plain(turn.text)
        found = next(
            (
                number
                for number in range(following, len(utterances))
                if utterances[number].speaker == turn.speaker and _plain(utterances[number].content) == wanted
            ),
            None,
        )
        if found is None:
            timed.append(turn)
            continue
        following = found + 1
        words = utterances[found].words
        starts = [word.start for word in words if word.start is not None and 0 <= word.start < _LONGEST_S]
        ends = [word.end for word in words if word.end is not None and 0 <= word.end < _LONGEST_S]
        if not starts:
            timed.append(turn)
            continue
        start = round(min(starts) * 1000)
        end = max(start, round(max(ends) * 1000) if ends else start)
        timed.append(turn.model_copy(update={"start_ms": start, "end_ms": end}))
    return timed


def _utterances(event_body: bytes) -> list[_Utterance]:
    try:
        event = msgspec.json.decode(event_body, type=_TimedEvent)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    call = event.call or event.data
    utterances: list[_Utterance] = []
    for item in (call.transcript_object if call is not None else None) or []:
        try:
            utterances.append(msgspec.convert(item, _Utterance))
        except msgspec.ValidationError:
            # Tool calls and key presses are in the list too, without words.
            continue
    return utterances


def _plain(text: str) -> str:
    return " ".join(text.split())


def first_turns(turns: Sequence[TranscriptTurn], most_chars: int) -> list[TranscriptTurn]:
    """Return the turns that fit into `most_chars` of a page; the last one may be cut."""
    shown: list[TranscriptTurn] = []
    room = most_chars
    for turn in turns:
        if room <= 0:
            break
        text = turn.text[:room]
        shown.append(turn.model_copy(update={"text": text}))
        room -= len(escape(text)) + _TURN_MARKUP_CHARS
    return shown
