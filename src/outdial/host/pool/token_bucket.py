"""Token bucket for a function's rate limit."""

# Tolerates float rounding: a caller that waits exactly as long as requested must get through.
_SLACK_S = 1e-6


class TokenBucket:
    """Allows `burst` requests at once and `rate` per second in the long run.

    Stores the time when the bucket is full again (GCRA, ITU-T I.371) instead of a token count to refill.
    """

    __slots__ = ("_capacity_s", "_full_at", "_interval_s", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._interval_s = 1 / rate
        # A capacity below one request would never let a request through.
        self._capacity_s = max(1.0, burst) / rate
        self._full_at = float("-inf")

    def take(self, now: float) -> float:
        """Take a token and return 0, or return the seconds until one is available.

        `now` is in seconds of a monotonic clock.
        """
        full_at = max(self._full_at, now) + self._interval_s
        wait = full_at - self._capacity_s - now
        if wait > _SLACK_S:
            return wait
        self._full_at = full_at
        return 0.0
