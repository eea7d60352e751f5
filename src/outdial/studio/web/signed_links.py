"""Links that work without a session: a token signs the link's id, and the database stores a hash of the token."""

import base64
import hmac
from hashlib import sha256
from uuid import UUID


def sign_link(purpose: str, secret: str, link_id: UUID) -> str:
    """Return the token of a link. Each purpose has a key of its own."""
    key = sha256(f"outdial {purpose}\0".encode() + secret.encode()).digest()
    return base64.urlsafe_b64encode(hmac.digest(key, link_id.bytes, "sha256")).decode().rstrip("=")


def token_digest(token: str) -> bytes:
    """Return the hash under which the link of a token is stored."""
    return sha256(token.encode()).digest()
