"""Signatures of Retell's webhooks: HMAC-SHA256 over the raw body followed by the time of sending."""

import hmac
import re
from collections.abc import Sequence

HEADER = "x-retell-signature"
TOLERANCE_MS = 300_000

_FORM = re.compile(r"v=([0-9]{1,16}),d=([0-9a-f]{64})")


def sign(body: bytes, key: str, timestamp_ms: int) -> str:
    """Return the header `v=<unix ms>,d=<hex digest>` for `body` (Retell docs, features/secure-webhook)."""
    return f"v={timestamp_ms},d={_digest(_message(body, timestamp_ms), key)}"


def verify(body: bytes, header: str | None, keys: Sequence[str], now_ms: int) -> int | None:
    """Return the index of the key that signed `body`, or None if the signature is not valid.

    The time in the header may differ from `now_ms` (Unix milliseconds) by at most TOLERANCE_MS. Empty keys never match.
    The first key that matches ends the search; each is compared in constant time. Never raises.
    """
    match = _FORM.fullmatch(header or "")
    if match is None:
        return None
    # The official SDK hashes the parsed number, so leading zeros do not count.
    timestamp_ms = int(match[1])
    if abs(now_ms - timestamp_ms) > TOLERANCE_MS:
        return None
    message = _message(body, timestamp_ms)
    matching = (index for index, key in enumerate(keys) if hmac.compare_digest(_digest(message, key), match[2]) and key)
    return next(matching, None)


def _message(body: bytes, timestamp_ms: int) -> bytes:
    return body + str(timestamp_ms).encode()


def _digest(message: bytes, key: str) -> str:
    return hmac.digest(key.encode("utf-8", "surrogatepass"), message, "sha256").hex()
