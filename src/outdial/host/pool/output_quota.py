"""Limits what a worker logs, from outside: a function can bypass the worker's log and write to its socket."""

from outdial.host.wire.errors import BadFrame
from outdial.host.wire.frames import MAX_CHARACTERS, MAX_LINES, LogFrame

# More than a worker's log sends: its seconds are not ours, and frames without lines count as a line.
_MARGIN = 1.25
_LINES_PER_S = _MARGIN * MAX_LINES
_CHARACTERS_PER_S = _MARGIN * MAX_CHARACTERS
_INITIAL_S = 3.0
# What a worker sent while the gateway stood still arrives at once.
_SAVED_S = 60.0


class OutputQuota:
    """The log lines and characters that a worker may still send. `now` is in seconds of a monotonic clock."""

    __slots__ = ("_at", "_characters", "_lines")

    def __init__(self, now: float) -> None:
        self._at = now
        self._lines = _INITIAL_S * _LINES_PER_S
        self._characters = _INITIAL_S * _CHARACTERS_PER_S

    def charge(self, frame: LogFrame, now: float) -> None:
        """Count a frame. Raise BadFrame when the worker's log cannot have sent it."""
        passed = now - self._at
        self._at = now
        lines = frame.lines
        self._lines = min(self._lines + passed * _LINES_PER_S, _SAVED_S * _LINES_PER_S) - (len(lines) or 1)
        self._characters = min(self._characters + passed * _CHARACTERS_PER_S, _SAVED_S * _CHARACTERS_PER_S) - sum(
            len(line.text) for line in lines
        )
        if self._lines < 0:
            raise BadFrame(f"it sends more than {MAX_LINES} log lines per second")
        if self._characters < 0:
            raise BadFrame(f"it sends more than {MAX_CHARACTERS} characters of log per second")
