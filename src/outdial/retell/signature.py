"""Signatures of Retell's webhooks: HMAC-SHA256 over the raw body followed by the time of sending."""

import hmac
import re
from collections.abc import Sequence

HEADER = "x-retell-signature"
TOLERANCE_MS = 300_000

_FORM = re.compile(r"v=([0-9]{1,16}),d=([0-9a-f]{64})")


def sign(body: bytes, key: str, timestamp_ms: int) -> str:
    """Return the header `v=<unix ms>,d=<hex digest>` for `body` (Retell docs, features/secure-webhook)."""
    return f"v={timestamp_ms},d={_digest(body, key, timestamp_ms)}"


def verify(body: bytes, header: str | None, keys: Sequence[str], now_ms: int) -> int | None:
    """Return the index of the key that signed `body`, or None if the signature is not valid.

    The time in the header may differ from `now_ms` (Unix milliseconds) by at most TOLERANCE_MS. Empty keys never match.
    Every key is compared in constant time. Never raises.
    """
    match = _FORM.fullmatch(header or "")
    if match is None:
        return None
    # The official SDK hashes the parsed number, so leading zeros do not count.
    timestamp_ms = int(match[1])
    if abs(now_ms - timestamp_ms) > TOLERANCE_MS:
        return None
    matching = [
        index
        for index, key in enumerate(keys)
        if hmac.compare_digest(_digest(body, key, timestamp_ms), match[2]) and key
    ]
    return matching[0] if matching else None


def _digest(body: bytes, key: str, timestamp_ms: int) -> str:
    secret = key.encode("utf-8", "surrogatepass")
    return hmac.digest(secret, body + str(timestamp_ms).encode(), "sha256").hex()
