"""Encrypts API keys for the database, which holds nothing that opens them."""

import os
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES: Final = 12


class KeySealer:
    """Encrypts and authenticates API keys (AES-256-GCM), each bound to its organization and account.

    A row that is copied to another organization or account does not open there. The first secret seals, every one
    opens, so that secrets can be rotated. `repr` shows none.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._ciphers = [AESGCM(sha256(b"outdial provider keys\0" + secret.encode()).digest()) for secret in secrets]

    @classmethod
    def of(cls, secrets: Sequence[str]) -> Self | None:
        """Return a sealer with these secrets, None without any."""
        return cls(secrets) if secrets else None

    def seal(self, organization_id: UUID, account_id: UUID, api_key: str) -> bytes:
        """Encrypt a key of an account with a new random nonce."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, api_key.encode(), _bound_to(organization_id, account_id))

    def open(self, organization_id: UUID, account_id: UUID, ciphertext: bytes) -> str | None:
        """Decrypt a key; None if no secret fits, or if it was sealed for another organization or account."""
        opened = (_opened(cipher, organization_id, account_id, ciphertext) for cipher in self._ciphers)
        return next((api_key for api_key in opened if api_key is not None), None)

    def is_current(self, organization_id: UUID, account_id: UUID, ciphertext: bytes) -> bool:
        """Return whether the first secret has sealed a key."""
        return _opened(self._ciphers[0], organization_id, account_id, ciphertext) is not None


def _opened(cipher: AESGCM, organization_id: UUID, account_id: UUID, ciphertext: bytes) -> str | None:
    nonce, sealed = ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:]
    try:
        return cipher.decrypt(nonce, sealed, _bound_to(organization_id, account_id)).decode()
    except (InvalidTag, ValueError):
        return None


def _bound_to(organization_id: UUID, account_id: UUID) -> bytes:
    return organization_id.bytes + account_id.bytes
