"""The signature of a request to a pre-dial hook: HMAC-SHA256 over its time and its raw body."""

import hashlib
import hmac
import re
from typing import Final

HEADER: Final = "X-Outdial-Signature"
TOLERANCE_S: Final = 300
_HEADER_VALUE: Final = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")


def sign(body: bytes, secret: str, now_s: int) -> str:
    """Return the header value `t=<Unix seconds>,v1=<hex>`; the digest covers `<t>.<body>`."""
    return f"t={now_s},v1={_digest(body, secret, now_s)}"


def verify(body: bytes, header: str, secret: str, now_s: int) -> bool:
    """Return whether the holder of `secret` has signed `body` within the last five minutes. Never raises."""
    found = _HEADER_VALUE.fullmatch(header)
    if found is None or abs(now_s - int(found[1])) > TOLERANCE_S:
        return False
    return hmac.compare_digest(found[2], _digest(body, secret, int(found[1])))


def _digest(body: bytes, secret: str, at_s: int) -> str:
    return hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
