"""A clock that stands still, and keys made for the run."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from outdial.clock import VirtualClock
from tests.support.signing import JwksServer, SigningKey, run_jwks_server

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
async def jwks_server() -> AsyncIterator[JwksServer]:
    """A JWK set at `<url>/auth/v1/.well-known/jwks.json`, empty at first."""
    async with run_jwks_server() as server:
        yield server


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that stands at noon."""
    return VirtualClock(NOW)


@pytest.fixture(scope="session")
def ec_key() -> SigningKey:
    """A P-256 key."""
    return SigningKey("ec-1", "ES256", ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture(scope="session")
def other_ec_key() -> SigningKey:
    """Another P-256 key."""
    return SigningKey("ec-2", "ES256", ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture(scope="session")
def rsa_key() -> SigningKey:
    """An RSA key of 2048 bits."""
    return SigningKey("rsa-1", "RS256", rsa.generate_private_key(65537, 2048))


@pytest.fixture
def claims() -> Callable[..., dict[str, Any]]:
    """Makes the claims of an access token as Supabase Auth issues it, an hour before it expires."""

    def make(**changes: Any) -> dict[str, Any]:
        token = {
            "sub": "7b1f0c2e-5a4d-4c7e-9f55-0d6f3c1b2a90",
            "aud": "authenticated",
            "role": "authenticated",
            "email": "ada@example.com",
            "exp": int((NOW + timedelta(hours=1)).timestamp()),
            "app_metadata": {"provider": "email"},
            "user_metadata": {"name": "Ada"},
        }
        return {name: value for name, value in {**token, **changes}.items() if value is not None}

    return make
