"""How a run of a job ends, and the exceptions that end it early."""

from enum import Enum, auto
from typing import Final

MAX_RUNS: Final = 5
"""An unexpected error in this run, or a later one, fails the job."""


class JobRunEnd(Enum):
    """How a run ended, which decides about its entry in the queue."""

    DONE = auto()
    """The job is finished, or another run has it."""
    INTERRUPTED = auto()
    """The worker is stopping: another one continues at once."""
    RETRY = auto()
    """An error occurred: try again later."""


class JobInterrupted(Exception):
    """The worker is stopping."""


class JobOvertaken(Exception):
    """The job was cancelled, or another run took it over."""


def capitalized(reason: str) -> str:
    """Return the reason of a failure as a sentence of its own."""
    return reason[:1].upper() + reason[1:]
