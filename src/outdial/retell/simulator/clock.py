"""The clock of the simulator, which can run faster than real time."""

import time
from datetime import UTC, datetime, timedelta


def epoch_ms(moment: datetime) -> int:
    """Return `moment` as Unix milliseconds."""
    return int(moment.timestamp() * 1000)


def from_epoch_ms(moment_ms: int) -> datetime:
    """Return Unix milliseconds as an aware datetime in UTC."""
    return datetime.fromtimestamp(moment_ms / 1000, UTC)


def wall_now() -> datetime:
    """Return the real time in UTC, which applies to arriving requests and to signatures."""
    return datetime.now(UTC)


class SimulatorClock:
    """Starts at `start` (now by default) and runs `speed` times as fast as real time."""

    def __init__(self, start: datetime | None = None, speed: float = 1.0) -> None:
        self._start = start or wall_now()
        self._speed = speed
        self._origin = time.monotonic()

    def now(self) -> datetime:
        """Return the simulated time, aware, in UTC."""
        return self._start + timedelta(seconds=(time.monotonic() - self._origin) * self._speed)

    def seconds_until(self, moment: datetime) -> float:
        """Return the real seconds until the simulated `moment`; 0 if it has passed."""
        return max(0.0, (moment - self.now()).total_seconds() / self._speed)
