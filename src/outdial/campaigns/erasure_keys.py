"""Keyed hashes of erased phones, and what to search for in text that no index covers."""

import hashlib
import hmac
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final, Self
from uuid import UUID

import phonenumbers

_KEY_ID_OF: Final = b"outdial erasure key"
_KEY_ID_LENGTH: Final = 8
# Shorter numbers without their country code are part of too many other numbers.
_SHORTEST_NATIONAL: Final = 9
_BETWEEN_DIGITS: Final = r"[[:space:]().\-/]{0,3}"


@dataclass(frozen=True, slots=True)
class PhoneHash:
    """The keyed hash of a phone of an organization, and what identifies the key."""

    digest: bytes
    key_id: bytes


@dataclass(frozen=True, slots=True)
class ErasureKeys:
    """The keys that erased phones are hashed with: the first hashes new ones, all of them recognize old ones.

    A hash cannot be renewed, because its phone is gone: keep an old key as long as its erasures.
    """

    secrets: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, secrets: tuple[str, ...]) -> Self | None:
        """Return the keys with these secrets, None without any."""
        return cls(secrets) if secrets else None

    def hash(self, organization_id: UUID, phone: str) -> PhoneHash:
        """Return the hash that an erasure of `phone` stores."""
        key = self.secrets[0].encode()
        return PhoneHash(_digest(key, organization_id, phone), _key_id(key))

    def hashes(self, organization_id: UUID, phones: Iterable[str]) -> dict[bytes, str]:
        """Hash phones with every key; return the phone of each hash."""
        keys = [secret.encode() for secret in self.secrets]
        return {_digest(key, organization_id, phone): phone for phone in phones for key in keys}

    def cover(self, key_ids: Collection[bytes]) -> bool:
        """Return whether these are all known, so that phones that were hashed with them are recognized."""
        return set(key_ids) <= {_key_id(secret.encode()) for secret in self.secrets}


def _digest(key: bytes, organization_id: UUID, phone: str) -> bytes:
    return hmac.digest(key, organization_id.bytes + phone.encode(), hashlib.sha256)


def _key_id(key: bytes) -> bytes:
    return hmac.digest(key, _KEY_ID_OF, hashlib.sha256)[:_KEY_ID_LENGTH]


def digits_of(phone: str) -> list[str]:
    """Return the digits to search for a number in E.164: without its country code if they are long enough."""
    number = phonenumbers.parse(phone)
    national = phonenumbers.national_significant_number(number)
    international = f"{number.country_code}{national}"
    return [national] if len(national) >= _SHORTEST_NATIONAL else [international]


def pattern_of(phone: str) -> str:
    """Return a regular expression of Postgres for a number in any punctuation."""
    number = phonenumbers.parse(phone)
    national = phonenumbers.national_significant_number(number)
    code = _BETWEEN_DIGITS.join(str(number.country_code)) + _BETWEEN_DIGITS
    optional = "?" if len(national) >= _SHORTEST_NATIONAL else ""
    return rf"(\+?{code}){optional}\(?{_BETWEEN_DIGITS.join(national)}"
