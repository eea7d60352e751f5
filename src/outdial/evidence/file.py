"""The file of an evidence pack: canonical JSON with its digest, written and checked as a stream.

The digest is the SHA-256 of the value of `pack`, as JSON in UTF-8 with sorted keys and without spaces. The file has one
item of a list per line, and those line breaks are not part of the digest.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from outdial.evidence.entry_hash import REDACTED_DETAILS, REDACTED_SUBJECT, HashedEntry, entry_hash, salted_digest
from outdial.evidence.errors import NoEvidenceFile
from outdial.evidence.pack import EvidencePack

_START: Final = b'{"pack":'
_END: Final = re.compile(rb',"sha256":"([0-9a-f]{64})"}\s*')
_END_SIZE: Final = 120
_BLOCK: Final = 256 * 1024

_encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPack:
    """What the check of a file found. `wrong_entries` are ids of audit entries whose own hash does not fit."""

    sha256: str
    is_unchanged: bool
    audit_entries: int
    wrong_entries: tuple[int, ...]


async def pack_chunks(pack: EvidencePack) -> AsyncIterator[bytes]:
    """Yield the file of a pack."""
    digest = sha256()
    lead = b"{\n"
    yield _START
    async for section in pack.sections():
        name = lead + _encode(section.name) + b":"
        lead = b",\n"
        if section.items is None:
            text = name + _encode(section.value)
            digest.update(text.replace(b"\n", b""))
            yield text
            continue
        text, separator = name + b"[", b"\n"
        async for item in section.items:
            text += separator + _encode(item)
            separator = b",\n"
            if len(text) >= _BLOCK:
                digest.update(text.replace(b"\n", b""))
                yield text
                text = b""
        text += b"\n]"
        digest.update(text.replace(b"\n", b""))
        yield text
    digest.update(b"}")
    yield b'\n},"sha256":"%s"}\n' % digest.hexdigest().encode()


def check_file(path: Path) -> CheckedPack:
    """Check the digest of a pack, and the hashes of the audit entries in it; raises NoEvidenceFile.

    A file as it was written is read line by line. One that another program has formatted anew is read as a whole.
    """
    with path.open("rb") as file:
        starts = file.read(len(_START)) == _START
        size = file.seek(0, 2)
        file.seek(max(0, size - _END_SIZE))
        tail = file.read()
    end = _END.search(tail) if starts else None
    if end is None or end.end() != len(tail):
        return _check_whole(path)
    stated = end[1].decode()
    length = size - len(tail) + end.start() - len(_START)
    digest = sha256()
    entries = _EntryCheck()
    for line in _lines(path, length):
        digest.update(line)
        item = line.removesuffix(b",")
        if item.startswith(b"{") and item.endswith(b"}") and len(item) > 1:
            entries.look_at(_decode(item))
    if digest.hexdigest() != stated:
        return _check_whole(path)
    return entries.result(stated, is_unchanged=True)


def _lines(path: Path, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(len(_START))
        while length > 0:
            line = file.readline()[:length]
            length -= len(line)
            yield line.replace(b"\n", b"")


def _check_whole(path: Path) -> CheckedPack:
    try:
        content = _decode(path.read_bytes())
    except (msgspec.DecodeError, RecursionError) as error:
        raise NoEvidenceFile(f"{path}: not an evidence pack: not valid JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("sha256"), str) or "pack" not in content:
        raise NoEvidenceFile(f"{path}: not an evidence pack: `pack` or `sha256` is missing")
    entries = _EntryCheck()
    entries.walk(content["pack"])
    computed = sha256(_encode(content["pack"])).hexdigest()
    return entries.result(computed, is_unchanged=computed == content["sha256"])


class _EntryCheck:
    """Recomputes the hashes of audit entries, wherever they are in a pack."""

    def __init__(self) -> None:
        self._count = 0
        self._wrong: list[int] = []

    def look_at(self, item: Any) -> None:
        """Check an item of a list: an audit entry, or a contact with its own."""
        if isinstance(item, dict):
            for entry in [item, *(item["audit"] if isinstance(item.get("audit"), list) else [])]:
                if isinstance(entry, dict) and "previous_hash" in entry:
                    self._count += 1
                    if not _fits(entry):
                        self._wrong.append(entry.get("id", 0))

    def walk(self, pack: Any) -> None:
        """Check all items of a pack."""
        for section in pack.values() if isinstance(pack, dict) else ():
            for item in section if isinstance(section, list) else ():
                self.look_at(item)

    def result(self, digest: str, *, is_unchanged: bool) -> CheckedPack:
        """Return what was found."""
        return CheckedPack(
            sha256=digest,
            is_unchanged=is_unchanged,
            audit_entries=self._count,
            wrong_entries=tuple(self._wrong),
        )


def _fits(entry: Mapping[str, Any]) -> bool:
    try:
        hashed = HashedEntry(
            organization_id=UUID(entry["organization_id"]),
            entry_id=entry["id"],
            at=datetime.fromisoformat(entry["at"]),
            actor=entry["actor"],
            action=entry["action"],
            subject_type=entry["subject_type"],
            subject_digest=bytes.fromhex(entry["subject_digest"]),
            details_digest=bytes.fromhex(entry["details_digest"]),
        )
        computed = entry_hash(hashed, position=entry["position"], previous=bytes.fromhex(entry["previous_hash"]))
        return computed.hex() == entry["hash"] and all(
            _text_fits(entry[name], entry[f"{prefix}_salt"], entry[f"{prefix}_digest"], redacted)
            for name, prefix, redacted in (
                ("subject_id", "subject", REDACTED_SUBJECT),
                ("details", "details", REDACTED_DETAILS),
            )
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def _text_fits(text: str, salt: str | None, digest: str, redacted: str) -> bool:
    if salt is None:
        return text == redacted
    return salted_digest(bytes.fromhex(salt), text).hex() == digest
