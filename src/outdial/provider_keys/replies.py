"""Secrets that one process sends to another through the database, which holds nothing that opens them."""

import os
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class ReplyKey:
    """Opens the reply to one request. Its private key is new for each request and stays in memory."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()

    @property
    def public(self) -> bytes:
        """What the request carries."""
        return self._private.public_key().public_bytes_raw()

    def open(self, request_id: UUID, sealed: bytes) -> bytes | None:
        """Decrypt a reply; None if it was sealed for another key or another request."""
        sender, nonce, text = (
            sealed[:_KEY_BYTES],
            sealed[_KEY_BYTES : _KEY_BYTES + _NONCE_BYTES],
            sealed[_KEY_BYTES + _NONCE_BYTES :],
        )
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(sender))
            return _cipher(shared, sender + self.public).decrypt(nonce, text, request_id.bytes)
        except (InvalidTag, ValueError):
            return None


def seal_reply(reply_key: bytes, request_id: UUID, reply: bytes) -> bytes:
    """Encrypt a reply for the key of a request (X25519, HKDF-SHA256, AES-256-GCM), bound to the request's id."""
    private = X25519PrivateKey.generate()
    sender = private.public_key().public_bytes_raw()
    shared = private.exchange(X25519PublicKey.from_public_bytes(reply_key))
    nonce = os.urandom(_NONCE_BYTES)
    return sender + nonce + _cipher(shared, sender + reply_key).encrypt(nonce, reply, request_id.bytes)


def _cipher(shared: bytes, keys: bytes) -> AESGCM:
    derived = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=b"outdial reply\0" + keys).derive(shared)
    return AESGCM(derived)
