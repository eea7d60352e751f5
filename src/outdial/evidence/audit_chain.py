"""Verifies the chain of the audit log: recomputes every hash, and names the first entry that does not fit."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from outdial.db.queries.proofs import audit_chain
from outdial.db.queries.proofs.audit_chain import ChainedEntry, ChainedOrganization
from outdial.db.session import Connection
from outdial.evidence.entry_hash import (
    FIRST_PREVIOUS,
    REDACTED_DETAILS,
    REDACTED_SUBJECT,
    HashedEntry,
    entry_hash,
    salted_digest,
)

# Positions on either side that are searched for a moved entry.
_REACH: Final = 1_000


class ChainFault(StrEnum):
    """What is wrong with an entry of the audit log."""

    CHANGED = "changed"
    MISSING = "missing"
    INSERTED = "inserted"
    REORDERED = "reordered"
    REDACTED = "redacted without an erasure"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainProblem:
    """The first entry that does not fit. A missing entry has no id, one outside the chain no position."""

    fault: ChainFault
    position: int | None
    entry_id: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedChain:
    """The chain of an organization up to its first problem. `hash` is the one of the last entry that fits."""

    organization_id: UUID
    organization: str
    entries: int
    redacted: int
    hash: str
    passed: frozenset[str]
    problem: ChainProblem | None


class _RedactionRecord(msgspec.Struct, frozen=True):
    entries: list[int]


async def verify_chain(
    connection: Connection, organization: ChainedOrganization, *, expected: AbstractSet[str] = frozenset()
) -> VerifiedChain:
    """Verify the chain of an organization. Entries are streamed; only redacted ones are remembered.

    `passed` are those of the `expected` hashes, in hexadecimal digits, that an entry of the chain has.
    """
    chain = _Chain(organization.id, expected)
    problem = None
    rows = audit_chain.chain_of_organization(connection, organization_id=organization.id)
    async for row in rows:
        problem = chain.follow(row)
        if problem is not None:
            break
    await rows.aclose()  # type: ignore[attr-defined]
    if problem is None:
        problem = (
            chain.end(organization)
            or await _find_unchained(connection, organization.id)
            or await _find_unknown_erasure(connection, organization.id, chain.erasures)
        )
    elif problem.fault is ChainFault.CHANGED and chain.suspect is not None:
        problem = await _explain(connection, chain, chain.suspect, problem)
    return VerifiedChain(
        organization_id=organization.id,
        organization=organization.name,
        entries=chain.position,
        redacted=chain.redacted,
        hash=chain.hash.hex(),
        passed=frozenset(chain.passed),
        problem=problem,
    )


class _Chain:
    """Follows a chain entry by entry. `suspect` is the entry whose hashes do not fit its place."""

    def __init__(self, organization_id: UUID, expected: AbstractSet[str]) -> None:
        self.organization_id = organization_id
        self.position = 0
        self.entry_id: int | None = None
        self.hash = FIRST_PREVIOUS
        self.redacted = 0
        self.passed: set[str] = set()
        # The first entry that each erasure redacted: its position and id.
        self.erasures: dict[UUID, tuple[int, int]] = {}
        self.suspect: ChainedEntry | None = None
        self._expected = expected
        self._head: tuple[int | None, bytes | None] | None = None
        # Redacted entries whose erasure has not come yet: it always comes later.
        self._unexplained: dict[int, tuple[int, UUID | None]] = {}

    def follow(self, row: ChainedEntry) -> ChainProblem | None:
        """Take the next entry; return what is wrong with it."""
        place = self.position + 1
        self._head = (row.head_position, row.head_hash)
        if row.position is None or row.position < place:
            return _problem(ChainFault.INSERTED, row, "it has no position in the chain, or one that another entry has")
        if row.position > place:
            return ChainProblem(
                fault=ChainFault.MISSING,
                position=place,
                entry_id=None,
                reason=f"the chain continues at position {row.position}",
            )
        hashed = hashed_entry(self.organization_id, row)
        if hashed is None:
            return _problem(ChainFault.MISSING, row, "the audit log has no entry with this id")
        problem = self._check_texts(row)
        if problem is not None:
            return problem
        computed = entry_hash(hashed, position=place, previous=self.hash)
        if row.previous_hash != self.hash or row.hash != computed:
            self.suspect = row
            return _problem(
                ChainFault.CHANGED, row, "its time, actor, action or subject type, or its hash, was changed"
            )
        self.position, self.entry_id, self.hash = place, row.entry_id, computed
        if self._expected and computed.hex() in self._expected:
            self.passed.add(computed.hex())
        self._explain_redactions(row)
        return None

    def end(self, organization: ChainedOrganization) -> ChainProblem | None:
        """Compare the end of the chain with its head, and the redacted entries with the erasures."""
        position, hash_ = self._head or (organization.head_position, organization.head_hash)
        if (position or 0) > self.position:
            return ChainProblem(
                fault=ChainFault.MISSING,
                position=self.position + 1,
                entry_id=None,
                reason=f"the head of the chain is at position {position}",
            )
        if (position, hash_) != (self.position, self.hash) and self.position:
            return ChainProblem(
                fault=ChainFault.CHANGED, position=self.position, entry_id=None, reason="the head of the chain differs"
            )
        for entry_id, (place, erasure_id) in self._unexplained.items():
            return ChainProblem(
                fault=ChainFault.REDACTED,
                position=place,
                entry_id=entry_id,
                reason=f"no entry of the audit log redacts it for erasure {erasure_id}",
            )
        return None

    def _check_texts(self, row: ChainedEntry) -> ChainProblem | None:
        if row.subject_salt is None or row.details_salt is None:
            if (row.subject_id, row.details) != (REDACTED_SUBJECT, REDACTED_DETAILS):
                return _problem(ChainFault.CHANGED, row, "it is marked as redacted, but has a text")
            self.redacted += 1
            self._unexplained[row.entry_id] = (self.position + 1, row.erasure_id)
            if row.erasure_id is not None:
                self.erasures.setdefault(row.erasure_id, (self.position + 1, row.entry_id))
            return None
        if salted_digest(row.subject_salt, row.subject_id or "") != row.subject_digest:
            return _problem(ChainFault.CHANGED, row, "its subject was changed")
        if salted_digest(row.details_salt, row.details or "") != row.details_digest:
            return _problem(ChainFault.CHANGED, row, "its details were changed")
        return None

    def _explain_redactions(self, row: ChainedEntry) -> None:
        if row.action != "redact_audit" or row.subject_type != "erasure" or row.details is None:
            return
        try:
            record = msgspec.json.decode(row.details, type=_RedactionRecord)
        except msgspec.DecodeError:
            return  # Written by someone else, so it explains nothing.
        for entry_id in record.entries:
            found = self._unexplained.get(entry_id)
            if found is not None and str(found[1]) == row.subject_id:
                del self._unexplained[entry_id]


def hashed_entry(organization_id: UUID, row: ChainedEntry) -> HashedEntry | None:
    """Return what the hash of the entry covers; None if the audit log has no such entry."""
    if row.at is None or row.actor is None or row.action is None or row.subject_type is None:
        return None
    return HashedEntry(
        organization_id=organization_id,
        entry_id=row.entry_id,
        at=row.at,
        actor=row.actor,
        action=row.action,
        subject_type=row.subject_type,
        subject_digest=row.subject_digest,
        details_digest=row.details_digest,
    )


async def _explain(connection: Connection, chain: _Chain, row: ChainedEntry, problem: ChainProblem) -> ChainProblem:
    """Find out whether an entry that does not fit was changed, or whether it or others were moved."""
    place = chain.position + 1
    after = await audit_chain.place_after_hash(
        connection, organization_id=chain.organization_id, hash=chain.hash, entry_id=row.entry_id
    )
    likely = None if after is None else after.position
    came_from = _former_position(chain.organization_id, row, place, likely)
    if after is not None:
        if came_from is not None:
            return _problem(ChainFault.REORDERED, row, f"it belongs at position {came_from}")
        return _problem(ChainFault.INSERTED, row, f"the chain continues with entry {after.entry_id}")
    if came_from is not None and came_from > place:
        return ChainProblem(
            fault=ChainFault.MISSING,
            position=place,
            entry_id=None,
            reason=f"entry {row.entry_id} has taken its place and belongs at position {came_from}",
        )
    if came_from is not None and came_from < place:
        return ChainProblem(
            fault=ChainFault.INSERTED,
            position=chain.position,
            entry_id=chain.entry_id,
            reason=f"entry {row.entry_id} belongs at position {came_from}",
        )
    return problem


def _former_position(organization_id: UUID, row: ChainedEntry, place: int, likely: int | None) -> int | None:
    """Return the other position at which the entry's own hashes fit."""
    hashed = hashed_entry(organization_id, row)
    if hashed is None or row.previous_hash is None:
        return None
    near = range(max(place - _REACH, 1), place + _REACH)
    for position in ([] if likely is None else [likely]) + list(near):
        if position != place and entry_hash(hashed, position=position, previous=row.previous_hash) == row.hash:
            return position
    return None


async def _find_unchained(connection: Connection, organization_id: UUID) -> ChainProblem | None:
    entry = await audit_chain.unchained_entry(connection, organization_id=organization_id)
    if entry is None:
        return None
    return ChainProblem(
        fault=ChainFault.INSERTED,
        position=None,
        entry_id=entry.id,
        reason=f"this entry ({entry.action}) was written past the chain",
    )


async def _find_unknown_erasure(
    connection: Connection, organization_id: UUID, erasures: Mapping[UUID, tuple[int, int]]
) -> ChainProblem | None:
    unknown = await audit_chain.unknown_erasures(connection, ids=list(erasures), organization_id=organization_id)
    for erasure_id in unknown:
        position, entry_id = erasures[erasure_id]
        return ChainProblem(
            fault=ChainFault.REDACTED,
            position=position,
            entry_id=entry_id,
            reason=f"erasure {erasure_id} does not exist",
        )
    return None


def _problem(fault: ChainFault, row: ChainedEntry, reason: str) -> ChainProblem:
    return ChainProblem(fault=fault, position=row.position, entry_id=row.entry_id, reason=reason)
