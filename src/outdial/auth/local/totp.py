"""Codes of authenticator apps (TOTP, RFC 6238): SHA-1, six digits, a new one every 30 seconds."""

import base64
import hmac
import secrets
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

STEP_S: Final = 30
DIGITS: Final = 6
_SECRET_BYTES: Final = 20
# A code of the step before and after counts too: phones run late or early, and typing takes time.
_TOLERANCE: Final = 1


def new_secret() -> str:
    """Return a random secret in base32, as apps take it."""
    return base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def code_at(secret: str, step: int) -> str:
    """Return the code of a step, which counts 30 seconds since 1970 (RFC 4226, section 5.3)."""
    digest = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def step_of(now: datetime) -> int:
    """Return the step of a time."""
    return int(now.timestamp()) // STEP_S


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """Return the step around `now` whose code this is, or None. Compares in constant time."""
    present, found = step_of(now), None
    for step in range(present - _TOLERANCE, present + _TOLERANCE + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()):
            found = step
    return found


def enrolment_uri(secret: str, email: str, issuer: str) -> str:
    """Return the otpauth address that a QR code shows to an app."""
    query = urlencode({"algorithm": "SHA1", "digits": DIGITS, "issuer": issuer, "period": STEP_S, "secret": secret})
    return f"otpauth://totp/{quote(f'{issuer}:{email}')}?{query}"
