"""Secrets of an environment. The hosts encrypt them; the database holds no key."""

import base64
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from outdial.db.queries.host import deployments
from outdial.db.queries.host import secrets as secret_queries
from outdial.db.queries.host.secrets import SecretRow
from outdial.db.session import Database
from outdial.host.wire.errors import HostError
from outdial.settings import MissingSetting, SettingError, secret_list

SETTING = "OUTDIAL_SECRETS_KEY"
KEY_BYTES = 32
# Supabase's bounds (docs: Edge Functions, Limits).
LONGEST_NAME = 256
LONGEST_VALUE = 24_576
_RESERVED = "SUPABASE_"
_PROCESS_DEFAULTS = {"PATH", "LANG", "TZ"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NONCE_BYTES = 12
_KEY_FILE = "secrets.key"


class InvalidSecret(HostError):
    """The name or the value of a secret is not valid."""


class SecretsUnreadable(HostError):
    """A secret was encrypted with a key that this host does not have."""


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A secret as the database stores it."""

    name: str
    nonce: bytes
    ciphertext: bytes


class SecretKeys:
    """The keys of an environment. The first one encrypts; all of them decrypt, so that keys can be rotated."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._ciphers = tuple(AESGCM(key) for key in keys)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse OUTDIAL_SECRETS_KEY: keys of 32 bytes in base64, separated by commas.

        Raises SettingError, whose message never includes a key.
        """
        keys = []
        for number, part in enumerate(secret_list(text), start=1):
            try:
                key = base64.b64decode(part, validate=True)
            except ValueError:  # of base64, or not ASCII
                key = b""
            if len(key) != KEY_BYTES:
                raise SettingError(f"{SETTING}: key {number} is not {KEY_BYTES} bytes in base64")
            keys.append(key)
        if not keys:
            raise SettingError(f"{SETTING} holds no key")
        return cls(keys)

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, home: Path | None = None) -> Self:
        """Return the keys of OUTDIAL_SECRETS_KEY, or the generated key of a local stack in `home`.

        Without either there are no keys, and secrets cannot be set. Raises SettingError.
        """
        if given := env.get(SETTING, "").strip():
            return cls.from_text(given)
        return cls(()) if home is None else cls.from_text(read_or_create(home / _KEY_FILE, new_key()))

    def seal(self, name: str, value: str) -> SealedSecret:
        """Encrypt a secret. Only the same name decrypts it. Raises MissingSetting without a key."""
        if not self._ciphers:
            raise MissingSetting(SETTING, "32 random bytes in base64, the same on every host, to encrypt secrets with")
        nonce = os.urandom(_NONCE_BYTES)
        return SealedSecret(name, nonce, self._ciphers[0].encrypt(nonce, value.encode(), name.encode()))

    def open(self, row: SecretRow) -> str:
        """Decrypt a secret. Raises SecretsUnreadable if no key fits, or if the row was moved to another name."""
        for cipher in self._ciphers:
            if (value := _decrypt(cipher, row)) is not None:
                return value
        raise SecretsUnreadable(f"the secret {row.name} was encrypted with a key that is not in {SETTING} on this host")

    def opens_first(self, row: SecretRow) -> bool:
        """Return whether the first key encrypted this secret."""
        return bool(self._ciphers) and _decrypt(self._ciphers[0], row) is not None


@dataclass(frozen=True, slots=True)
class SecretDigest:
    """The public view of a secret: the SHA-256 of its value in hexadecimal, as in Supabase's API."""

    name: str
    digest: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SecretStore:
    """The secrets in the environment's database. Calls `on_read` with the values after each read."""

    database: Database
    keys: SecretKeys = field(repr=False)
    on_read: Callable[[Mapping[str, str]], object] = lambda values: None

    async def values(self) -> dict[str, str]:
        """Return all secrets by name. Raises SecretsUnreadable."""
        async with self.database.transaction() as connection:
            rows = await secret_queries.list_secrets(connection)
        values = {row.name: self.keys.open(row) for row in rows}
        self.on_read(values)
        return values

    async def digests(self) -> list[SecretDigest]:
        """Return the digests of all secrets, sorted by name. Raises SecretsUnreadable."""
        async with self.database.transaction() as connection:
            rows = await secret_queries.list_secrets(connection)
        return [SecretDigest(row.name, digest_of(self.keys.open(row)), row.updated_at) for row in rows]

    async def put(self, secrets: Mapping[str, str], now: datetime) -> None:
        """Set secrets, all or none, and notify the hosts. Raises InvalidSecret."""
        for name, value in secrets.items():
            check_secret(name, value)
        sealed = [self.keys.seal(name, value) for name, value in secrets.items()]
        async with self.database.transaction() as connection:
            await secret_queries.set_secrets(
                connection,
                names=[secret.name for secret in sealed],
                nonces=[secret.nonce for secret in sealed],
                ciphertexts=[secret.ciphertext for secret in sealed],
                now=now,
            )
            await deployments.notify_deployments(connection)

    async def reseal(self) -> int:
        """Re-encrypt with the first key what other keys encrypted, and return the number of secrets changed."""
        async with self.database.transaction() as connection:
            old = [row for row in await secret_queries.list_secrets(connection) if not self.keys.opens_first(row)]
            sealed = [self.keys.seal(row.name, self.keys.open(row)) for row in old]
            return await secret_queries.reencrypt_secrets(
                connection,
                names=[secret.name for secret in sealed],
                nonces=[secret.nonce for secret in sealed],
                ciphertexts=[secret.ciphertext for secret in sealed],
                old_nonces=[row.nonce for row in old],
            )

    async def unset(self, names: Iterable[str]) -> None:
        """Delete secrets, ignoring names that are not set, and notify the hosts."""
        async with self.database.transaction() as connection:
            await secret_queries.delete_secrets(connection, names=list(names))
            await deployments.notify_deployments(connection)


def check_secret(name: str, value: str) -> None:
    """Raise InvalidSecret for an invalid name or value. The message never includes the value."""
    if len(name) > LONGEST_NAME or not _NAME.match(name):
        raise InvalidSecret(
            f"{name[:LONGEST_NAME]!r}: a name has at most {LONGEST_NAME} letters, digits and _, and no leading digit"
        )
    if name.startswith(_RESERVED):
        raise InvalidSecret(f"Env name cannot start with {_RESERVED}: {name}")
    if name in _PROCESS_DEFAULTS:
        raise InvalidSecret(f"{name} is the same for every function and cannot be a secret")
    if len(value) > LONGEST_VALUE:
        raise InvalidSecret(f"{name}: the value has {len(value)} characters, more than {LONGEST_VALUE}")
    if "\0" in value:
        raise InvalidSecret(f"{name}: the value has a zero byte, which an environment variable cannot have")


def _decrypt(cipher: AESGCM, row: SecretRow) -> str | None:
    try:
        return cipher.decrypt(row.nonce, row.ciphertext, row.name.encode()).decode()
    except InvalidTag:
        return None


def digest_of(value: str) -> str:
    """Return the SHA-256 of a value in hexadecimal."""
    return sha256(value.encode()).hexdigest()


def new_key() -> str:
    """Generate a key in the format of OUTDIAL_SECRETS_KEY."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


def read_or_create(path: Path, default: str) -> str:
    """Return the content of a file. Create it with `default`, readable by its owner only, if it does not exist.

    Safe to call from several processes at once: all of them return the same text.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(default + "\n")
    try:
        # Unlike a rename, a link never replaces a file that another process created first.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_text().strip()
