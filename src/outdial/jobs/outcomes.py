"""What becomes of one run of a job, and what ends a run before it is through."""

from enum import Enum, auto
from typing import Final

MOST_RUNS: Final = 5
"""From this run on an unforeseen error fails the job."""


class RunEnd(Enum):
    """What is to happen to the entry in the queue."""

    DONE = auto()
    """Nothing is left to do, by this run at least."""
    INTERRUPTED = auto()
    """The worker stops: another one goes on at once."""
    TROUBLE = auto()
    """Something broke: it is tried again after a while."""


class Interrupted(Exception):
    """The worker was told to stop."""


class Overtaken(Exception):
    """The job was cancelled, or another run has it."""
