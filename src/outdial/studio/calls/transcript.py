"""Parses Retell's transcript, a text of lines such as "Agent: Hello", into the turns of a conversation."""

import re
from typing import Final, Literal

from pydantic import BaseModel

Speaker = Literal["agent", "user", "other"]

_TURN: Final = re.compile(r"(Agent|User|Transfer Target|Transfer_Target): ?(.*)", re.DOTALL)
_SPEAKERS: Final[dict[str, Speaker]] = {"Agent": "agent", "User": "user"}


class TranscriptTurn(BaseModel):
    """What one speaker said without interruption: the agent, the contact (user), or a transfer target (other)."""

    speaker: Speaker
    text: str


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
