"""Second factors of local Auth: codes of an authenticator app, and recovery codes for when the phone is lost."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from outdial.auth.local.service import AuthRefusal, AuthSession, LocalAuth
from outdial.auth.local.throttle import SignInThrottle
from outdial.auth.local.totp import enrolment_uri, matching_step, new_secret
from outdial.clock import Clock
from outdial.db.queries.auth import factors, sessions
from outdial.db.queries.auth.users import UserRow
from outdial.db.session import Connection, Database
from outdial.domain.ids import new_id

ISSUER: Final = "Outdial"
RECOVERY_CODES: Final = 10
# No 0, O, 1, I or L, which are easily mistaken when typed. 10 characters of 31 have 49 bits.
_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_LONGEST_NAME: Final = 100

NO_FACTOR: Final = AuthRefusal("mfa_factor_not_found", "Factor not found")
WRONG_CODE: Final = AuthRefusal("mfa_verification_failed", "Invalid TOTP code entered")
ONE_FACTOR: Final = AuthRefusal(
    "too_many_enrolled_mfa_factors", "Maximum number of verified factors reached, unenroll to continue"
)
NEEDS_AAL2: Final = AuthRefusal("insufficient_aal", "AAL2 required to unenroll verified factor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A factor that counts once a code of it was verified."""

    id: UUID
    friendly_name: str | None
    secret: str = field(repr=False)
    uri: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class VerifiedFactor:
    """The session after a code was verified. `recovery_codes` come with the first code of a factor, and only then."""

    session: AuthSession
    recovery_codes: tuple[str, ...] = field(default=(), repr=False)


class SecondFactors:
    """Enrols, verifies and removes the second factor of a user. Codes are counted like passwords."""

    def __init__(self, database: Database, clock: Clock, auth: LocalAuth) -> None:
        self._database, self._clock, self._auth = database, clock, auth
        self._throttle = SignInThrottle(database, clock)

    async def of_user(self, user_id: UUID) -> list[factors.FactorRow]:
        """Return the factors of a user."""
        async with self._database.transaction() as connection:
            return await factors.list_factors(connection, user_id=user_id)

    async def enroll(self, user: UserRow, friendly_name: str | None) -> Enrolment | AuthRefusal:
        """Begin an enrolment, in place of one that was not completed. A user has one verified factor."""
        now, secret = self._clock.now(), new_secret()
        name = (friendly_name or "")[:_LONGEST_NAME] or None
        factor_id = new_id(now)
        async with self._database.transaction() as connection:
            await factors.delete_unverified_factors(connection, user_id=user.id)
            if await factors.list_factors(connection, user_id=user.id):
                return ONE_FACTOR
            await factors.add_factor(
                connection,
                id=factor_id,
                user_id=user.id,
                friendly_name=name,
                secret=secret,
                now=now,
            )
        uri = enrolment_uri(secret, user.email, ISSUER)
        return Enrolment(id=factor_id, friendly_name=name, secret=secret, uri=uri)

    async def verify(
        self, user: UserRow, claims: Mapping[str, Any], factor_id: UUID, code: str, client: str
    ) -> VerifiedFactor | AuthRefusal:
        """Check a code of the app, or a recovery code, and raise the session of `claims` to aal2."""
        wait = await self._throttle.wait_for(f"factor:{user.id}", client)
        if wait is not None:
            return AuthRefusal("over_request_rate_limit", "Request rate limit reached", wait)
        session_id = UUID(claims["session_id"])
        async with self._database.transaction() as connection:
            factor = await factors.lock_factor(connection, id=factor_id, user_id=user.id)
            if factor is None:
                return NO_FACTOR
            if not await self._is_right(connection, user.id, factor, code):
                return WRONG_CODE
            codes: tuple[str, ...] = ()
            if factor.status == "unverified":
                codes = await _new_recovery_codes(connection, user.id)
                # Others were begun with the password alone.
                now = self._clock.now()
                await sessions.end_sessions(connection, user_id=user.id, only=None, but=session_id, now=now)
        await self._throttle.give_back(f"factor:{user.id}", client, signed_in=True)
        return VerifiedFactor(await self._auth.raise_session(user, session_id), codes)

    async def remove(self, user: UserRow, aal: str, factor_id: UUID) -> AuthRefusal | None:
        """Remove a factor and the recovery codes. A verified one takes a session in which it was given."""
        async with self._database.transaction() as connection:
            factor = await factors.lock_factor(connection, id=factor_id, user_id=user.id)
            if factor is None:
                return NO_FACTOR
            if factor.status == "verified":
                if aal != "aal2":
                    return NEEDS_AAL2
                await factors.delete_recovery_codes(connection, user_id=user.id)
            await factors.delete_factor(connection, id=factor_id, user_id=user.id)
        return None

    async def remove_all(self, user_id: UUID) -> int:
        """Remove the factors and recovery codes of a user who has lost them; return how many factors there were."""
        async with self._database.transaction() as connection:
            listed = await factors.list_factors(connection, user_id=user_id)
            for factor in listed:
                await factors.delete_factor(connection, id=factor.id, user_id=user_id)
            await factors.delete_recovery_codes(connection, user_id=user_id)
        return len(listed)

    async def _is_right(self, connection: Connection, user_id: UUID, factor: factors.FactorSecret, code: str) -> bool:
        digits = "".join(code.split())
        step = matching_step(factor.secret, digits, self._clock.now())
        if step is not None:
            now = self._clock.now()
            return await factors.accept_code(connection, id=factor.id, step=step, now=now) is not None
        if factor.status != "verified":
            return False
        return await factors.use_recovery_code(connection, user_id=user_id, code_sha256=_code_digest(code)) is not None


async def _new_recovery_codes(connection: Connection, user_id: UUID) -> tuple[str, ...]:
    plain = ["".join(secrets.choice(_ALPHABET) for _ in range(10)) for _ in range(RECOVERY_CODES)]
    codes = tuple(f"{code[:5]}-{code[5:]}" for code in plain)
    await factors.delete_recovery_codes(connection, user_id=user_id)
    await factors.add_recovery_codes(connection, user_id=user_id, codes=[_code_digest(code) for code in codes])
    return codes


def _code_digest(code: str) -> bytes:
    plain = "".join(character for character in code.upper() if character.isalnum())
    return sha256(f"recovery:{plain}".encode()).digest()
