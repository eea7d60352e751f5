"""The hashes of the audit log's chain, computed without the database that wrote them. docs/evidence.md has the format.

Integers are big-endian and signed, like Postgres sends them. Text is UTF-8 after its length in bytes.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

FIRST_PREVIOUS: Final = bytes(32)
"""What the first entry of a chain names as the hash before it."""
REDACTED_SUBJECT: Final = "erased"
REDACTED_DETAILS: Final = '{"erased": true}'

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FORMAT: Final = b"outdial-audit-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedEntry:
    """What the hash of an entry covers, besides its position and the hash before it."""

    organization_id: UUID
    entry_id: int
    at: datetime
    actor: str
    action: str
    subject_type: str
    subject_digest: bytes
    details_digest: bytes


def salted_digest(salt: bytes, text: str) -> bytes:
    """Return the digest of a subject, or of details as the text that Postgres has for them."""
    return sha256(salt + text.encode()).digest()


def entry_hash(entry: HashedEntry, *, position: int, previous: bytes) -> bytes:
    """Return the hash of the entry that stands at `position` after the hash `previous`."""
    hashed = sha256(_FORMAT)
    hashed.update(entry.organization_id.bytes)
    hashed.update(_int8(position))
    hashed.update(previous)
    hashed.update(_int8(entry.entry_id))
    hashed.update(_int8((entry.at - _EPOCH) // _MICROSECOND))
    for text in (entry.actor, entry.action, entry.subject_type):
        encoded = text.encode()
        hashed.update(len(encoded).to_bytes(4, "big") + encoded)
    hashed.update(entry.subject_digest)
    hashed.update(entry.details_digest)
    return hashed.digest()


def _int8(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)
