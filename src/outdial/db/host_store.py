"""Statements over what hosts serve (`queries/host_deployments.sql`), run as outdial_host."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from outdial.db.statements import Statement

# Notified, without a payload, by every transaction that changes what hosts serve.
CHANNEL = "host_deployments"


@dataclass(frozen=True, slots=True)
class VersionNumber:
    """The number that a new version was given."""

    version: int


@dataclass(frozen=True, slots=True)
class LockedFunction:
    """A function that no other deployment touches for now."""

    slug: str


@dataclass(frozen=True, slots=True)
class ActiveFunction:
    """A deployed function with the version that is served."""

    slug: str
    name: str
    version: int
    verify_jwt: bool
    entrypoint_path: str
    sha256: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """What is to be served of a function; without a version, nothing. `config` is JSON."""

    slug: str
    version: int | None
    entrypoint_path: str | None
    verify_jwt: bool | None
    config: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version of a function; `config` is JSON, `created_by` the name of the access token that sent it."""

    version: int
    name: str
    entrypoint_path: str
    verify_jwt: bool
    config: str | None
    sha256: str
    status: str
    error: str | None
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of a version; the path is relative to the root of the project, with slashes."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class SecretRow:
    """A secret, encrypted."""

    name: str
    nonce: bytes
    ciphertext: bytes
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class TokenRow:
    """An access token, of which only the hash is kept."""

    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class FoundToken:
    """The access token that a request came with."""

    id: UUID
    name: str
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class RevokedToken:
    """An access token that was just revoked."""

    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class HostRow:
    """A host of this environment, and where it is reached."""

    id: str
    region: str
    address: str


OPEN_VERSION = Statement("host_open_version", VersionNumber)
ADD_VERSION: Statement[Any] = Statement("host_add_version")
ADD_FILES: Statement[Any] = Statement("host_add_files")
FORGET_VERSIONS: Statement[Any] = Statement("host_forget_versions")
LOCK_FUNCTIONS = Statement("host_lock_functions", LockedFunction)
ACTIVE_FUNCTIONS = Statement("host_active_functions", ActiveFunction)
DEPLOYMENTS = Statement("host_deployments", DeploymentRow)
VERSIONS = Statement("host_versions", VersionRow)
FILES = Statement("host_files", FileRow)
SUPERSEDE: Statement[Any] = Statement("host_supersede")
ACTIVATE: Statement[Any] = Statement("host_activate")
TOUCH_FUNCTIONS: Statement[Any] = Statement("host_touch_functions")
REFUSE: Statement[Any] = Statement("host_refuse")
SET_VERIFY_JWT: Statement[Any] = Statement("host_set_verify_jwt")
NOTIFY_DEPLOYMENTS: Statement[Any] = Statement("notify_deployments")
SECRETS = Statement("host_secrets", SecretRow)
PUT_SECRETS: Statement[Any] = Statement("host_put_secrets")
RESEAL_SECRETS: Statement[Any] = Statement("host_reseal_secrets")
DROP_SECRETS: Statement[Any] = Statement("host_drop_secrets")
ADD_TOKEN: Statement[Any] = Statement("host_add_token")
TOKENS = Statement("host_tokens", TokenRow)
FIND_TOKEN = Statement("host_find_token", FoundToken)
USE_TOKEN: Statement[Any] = Statement("host_use_token")
REVOKE_TOKEN = Statement("host_revoke_token", RevokedToken)
SEEN: Statement[Any] = Statement("host_seen")
LEAVE: Statement[Any] = Statement("host_leave")
OTHERS = Statement("host_others", HostRow)
