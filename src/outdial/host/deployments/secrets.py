"""Secrets of an environment: encrypted before they reach the database, and readable by its hosts only."""

import base64
import binascii
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from outdial.db import host_store as db
from outdial.db.host_store import SecretRow
from outdial.db.session import Database
from outdial.host.wire.errors import HostError
from outdial.settings import MissingSetting, SettingError, secret_list

SETTING = "OUTDIAL_SECRETS_KEY"
KEY_BYTES = 32
# Supabase's bounds (docs: Edge Functions, Limits).
LONGEST_NAME, LONGEST_VALUE = 256, 24_576
_RESERVED = "SUPABASE_"
_OF_THE_PROCESS = {"PATH", "LANG", "TZ"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NONCE_BYTES = 12
_KEY_FILE = "secrets.key"


class InvalidSecret(HostError):
    """A secret cannot be kept under this name, or with this value."""


class SecretsUnreadable(HostError):
    """A secret in the database was encrypted with a key that this host does not have."""


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A secret as the database keeps it."""

    name: str
    nonce: bytes
    ciphertext: bytes


class SecretKeys:
    """The keys of an environment: the first encrypts, and all of them decrypt while one is being replaced."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._ciphers = tuple(AESGCM(key) for key in keys)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read OUTDIAL_SECRETS_KEY, 32 bytes in base64, several with commas; raise SettingError, quoting nothing."""
        keys = []
        for number, part in enumerate(secret_list(text), start=1):
            try:
                key = base64.b64decode(part, validate=True)
            except binascii.Error:
                key = b""
            if len(key) != KEY_BYTES:
                raise SettingError(f"{SETTING}: key {number} is not {KEY_BYTES} bytes in base64")
            keys.append(key)
        if not keys:
            raise SettingError(f"{SETTING} holds no key")
        return cls(keys)

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, home: Path | None = None) -> Self:
        """Return the keys of OUTDIAL_SECRETS_KEY; on a local stack, one that is made once and kept in `home`.

        Without either there are no keys, and secrets cannot be deployed. Raises SettingError.
        """
        if given := env.get(SETTING, "").strip():
            return cls.from_text(given)
        return cls(()) if home is None else cls.from_text(keep_text(home / _KEY_FILE, new_key()))

    def seal(self, name: str, value: str) -> SealedSecret:
        """Encrypt a secret, which can be opened under the same name only; raise MissingSetting without a key."""
        if not self._ciphers:
            raise MissingSetting(SETTING, "32 random bytes in base64, the same on every host, to encrypt secrets with")
        nonce = os.urandom(_NONCE_BYTES)
        return SealedSecret(name, nonce, self._ciphers[0].encrypt(nonce, value.encode(), name.encode()))

    def open(self, row: SecretRow) -> str:
        """Decrypt a secret; raise SecretsUnreadable when no key fits, or when it is another name's."""
        for cipher in self._ciphers:
            if (value := _decrypt(cipher, row)) is not None:
                return value
        raise SecretsUnreadable(f"the secret {row.name} was encrypted with a key that {SETTING} does not have here")

    def opens_first(self, row: SecretRow) -> bool:
        """Tell whether a secret was encrypted with the first key."""
        return bool(self._ciphers) and _decrypt(self._ciphers[0], row) is not None


@dataclass(frozen=True, slots=True)
class SecretDigest:
    """What is told of a secret: the SHA-256 of its value, in hexadecimal digits, as Supabase tells it."""

    name: str
    digest: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SecretStore:
    """The secrets of an environment, in its database; `learn` is told them each time that they are read."""

    database: Database
    keys: SecretKeys = field(repr=False)
    learn: Callable[[Mapping[str, str]], object] = lambda values: None

    async def values(self) -> dict[str, str]:
        """Return every secret by name; raise SecretsUnreadable."""
        async with self.database.transaction() as connection:
            rows = await db.SECRETS.all(connection)
        values = {row.name: self.keys.open(row) for row in rows}
        self.learn(values)
        return values

    async def digests(self) -> list[SecretDigest]:
        """Return what may be told of every secret, by name; raise SecretsUnreadable."""
        async with self.database.transaction() as connection:
            rows = await db.SECRETS.all(connection)
        return [SecretDigest(row.name, digest_of(self.keys.open(row)), row.updated_at) for row in rows]

    async def put(self, secrets: Mapping[str, str], now: datetime) -> None:
        """Set secrets, all of them or none; raise BadSecret. The hosts are told."""
        for name, value in secrets.items():
            check_secret(name, value)
        sealed = [self.keys.seal(name, value) for name, value in secrets.items()]
        async with self.database.transaction() as connection:
            await db.PUT_SECRETS.run(connection, **_columns(sealed), now=now)
            await db.NOTIFY_DEPLOYMENTS.run(connection)

    async def reseal(self) -> int:
        """Encrypt with the first key what another one encrypted; return how many secrets those were."""
        async with self.database.transaction() as connection:
            old = [row for row in await db.SECRETS.all(connection) if not self.keys.opens_first(row)]
            sealed = [self.keys.seal(row.name, self.keys.open(row)) for row in old]
            return await db.RESEAL_SECRETS.run(connection, **_columns(sealed), old_nonces=[row.nonce for row in old])

    async def drop(self, names: Iterable[str]) -> None:
        """Drop secrets; a name that is not set is passed over. The hosts are told."""
        async with self.database.transaction() as connection:
            await db.DROP_SECRETS.run(connection, names=list(names))
            await db.NOTIFY_DEPLOYMENTS.run(connection)


def check_secret(name: str, value: str) -> None:
    """Raise BadSecret for a name or a value that cannot be kept; the value is not quoted."""
    if len(name) > LONGEST_NAME or not _NAME.match(name):
        raise InvalidSecret(
            f"{name[:LONGEST_NAME]!r}: a name has letters, digits and _, {LONGEST_NAME} at most, no digit first"
        )
    if name.startswith(_RESERVED):
        raise InvalidSecret(f"Env name cannot start with {_RESERVED}: {name}")
    if name in _OF_THE_PROCESS:
        raise InvalidSecret(f"{name} is the same for every function, and cannot be a secret")
    if len(value) > LONGEST_VALUE:
        raise InvalidSecret(f"{name}: a value has {LONGEST_VALUE} characters at most, this one has {len(value)}")
    if "\0" in value:
        raise InvalidSecret(f"{name}: the value holds a zero byte, which an environment cannot carry")


def _columns(sealed: Sequence[SealedSecret]) -> dict[str, list[Any]]:
    return {
        "names": [secret.name for secret in sealed],
        "nonces": [secret.nonce for secret in sealed],
        "ciphertexts": [secret.ciphertext for secret in sealed],
    }


def _decrypt(cipher: AESGCM, row: SecretRow) -> str | None:
    try:
        return cipher.decrypt(row.nonce, row.ciphertext, row.name.encode()).decode()
    except InvalidTag:
        return None


def digest_of(value: str) -> str:
    """Return the SHA-256 of a value in hexadecimal digits."""
    return sha256(value.encode()).hexdigest()


def new_key() -> str:
    """Return a fresh key as OUTDIAL_SECRETS_KEY takes it."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


def keep_text(path: Path, fresh: str) -> str:
    """Return what the file holds; where there is none, make one with `fresh` that only its owner may read.

    Any number of processes may do so at once: they return the same.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(fresh + "\n")
    try:
        # Unlike a rename, a link never replaces what another process has made first.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_text().strip()
