"""How often a function may be called: a rate and the burst that it allows."""

# A caller that waits as long as it was told must not be refused over the last bit of a sum.
_SLACK_S = 1e-6


class TokenBucket:
    """Lets `burst` requests through at once and `rate` per second in the long run.

    Kept as one moment, when the bucket will be full again (GCRA, ITU-T I.371), rather than as a count to refill.
    """

    __slots__ = ("_capacity_s", "_full_at", "_interval_s", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self._interval_s = 1 / rate
        # Less than one request at a time would let nothing through, ever.
        self._capacity_s = max(1.0, burst) / rate
        self._full_at = float("-inf")

    def take(self, now: float) -> float:
        """Return 0 and count the request, or return the seconds until one would be let through.

        `now` is in seconds, of any clock that does not go back.
        """
        full_at = max(self._full_at, now) + self._interval_s
        wait = full_at - self._capacity_s - now
        if wait > _SLACK_S:
            return wait
        self._full_at = full_at
        return 0.0
