"""Retell's transcript, a text of lines such as "Agent: Hello", as the turns of a conversation."""

import re
from dataclasses import dataclass
from typing import Final, Literal

Speaker = Literal["agent", "user", "other"]

_TURN: Final = re.compile(r"(Agent|User|Transfer Target|Transfer_Target): ?(.*)", re.DOTALL)
_SPEAKERS: Final[dict[str, Speaker]] = {"Agent": "agent", "User": "user"}


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said without a break."""

    speaker: Speaker
    text: str


def turns_of(transcript: str) -> list[Turn]:
    """Return the turns; a line that names nobody goes on with the turn before it."""
    turns: list[tuple[Speaker, list[str]]] = []
    for line in transcript.splitlines():
        if begun := _TURN.fullmatch(line):
            turns.append((_SPEAKERS.get(begun[1], "other"), [begun[2]]))
        elif turns:
            turns[-1][1].append(line)
        elif line.strip():
            turns.append(("other", [line]))
    joined = ((speaker, "\n".join(lines).strip()) for speaker, lines in turns)
    return [Turn(speaker, text) for speaker, text in joined if text]
