"""A limit of calls per second over a sliding window."""

from collections import deque


class StartLimit:
    """Admits at most `per_second` starts in any second, with a tolerance for network jitter.

    Below 1, the window grows: 0.5 is one start in two seconds. None admits all.
    """

    def __init__(self, per_second: float | None, tolerance_s: float) -> None:
        self._allowance = None if per_second is None else max(1, int(per_second))
        self._window_ms = 1000.0 if per_second is None else 1000.0 * max(1, int(per_second)) / per_second
        self._tolerance_ms = tolerance_s * 1000
        self._starts: deque[int] = deque()
        self.peak = 0  # most starts in any one second, without tolerance

    def admit(self, at_ms: int) -> bool:
        """Count a start at this time and return true, or return false if it exceeds the limit."""
        starts = self._starts
        if self._allowance is not None and len(starts) >= self._allowance:
            since = at_ms - starts[-self._allowance]
            if since < self._window_ms - self._tolerance_ms:
                return False
        starts.append(at_ms)
        keep_ms = max(1000.0, self._window_ms)
        while starts and at_ms - starts[0] >= keep_ms:
            starts.popleft()
        self.peak = max(
            self.peak, sum(1 for start in starts if at_ms - start < 1000) if keep_ms > 1000 else len(starts)
        )
        return True
