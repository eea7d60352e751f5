"""Statements over users, their sessions and the keys that sign tokens (`queries/local_auth.sql`), on plain Postgres."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from outdial.db.statements import Statement, Touched


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user; the JSON columns as text."""

    id: UUID
    email: str
    encrypted_password: str | None = field(repr=False)
    email_confirmed_at: datetime | None
    last_sign_in_at: datetime | None
    app_metadata: str
    user_metadata: str
    created_at: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class RefreshTokenRow:
    """A refresh token's session, and what has become of both."""

    session_id: UUID
    user_id: UUID
    used_at: datetime | None
    refreshed_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class SigningKeyRow:
    """A key; `private_key` is PEM."""

    kid: UUID
    private_key: str = field(repr=False)
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AttemptsRow:
    """How many attempts there were since when."""

    count: int
    began_at: datetime


USER_BY_EMAIL = Statement("auth_user_by_email", UserRow)
USER_BY_ID = Statement("auth_user_by_id", UserRow)
USERS = Statement("auth_users", UserRow)
CREATE_USER = Statement("create_auth_user", Touched)
CHANGE_USER = Statement("change_auth_user", Touched)
REHASH_PASSWORD: Statement[Any] = Statement("rehash_password")
DELETE_USER = Statement("delete_auth_user", Touched)
NOTE_SIGN_IN: Statement[Any] = Statement("note_sign_in")
BEGIN_SESSION: Statement[Any] = Statement("begin_auth_session")
SESSION = Statement("auth_session", Touched)
REFRESH_SESSION: Statement[Any] = Statement("refresh_auth_session")
END_SESSIONS: Statement[Any] = Statement("end_auth_sessions")
ADD_REFRESH_TOKEN: Statement[Any] = Statement("add_refresh_token")
LOCK_REFRESH_TOKEN = Statement("lock_refresh_token", RefreshTokenRow)
USE_REFRESH_TOKEN: Statement[Any] = Statement("use_refresh_token")
FORGET_SESSIONS: Statement[Any] = Statement("forget_auth_sessions")
SIGNING_KEYS = Statement("signing_keys", SigningKeyRow)
LOCK_SIGNING_KEYS = Statement("lock_signing_keys", Touched)
ADD_SIGNING_KEY: Statement[Any] = Statement("add_signing_key")
FORGET_SIGNING_KEYS: Statement[Any] = Statement("forget_signing_keys")
COUNT_ATTEMPT = Statement("count_attempt", AttemptsRow)
FORGET_ATTEMPTS: Statement[Any] = Statement("forget_attempts")
IS_LOCAL_AUTH = Statement("is_local_auth", Touched)
