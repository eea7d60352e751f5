"""`verify_jwt` accepts keys and valid tokens of the project in either header, and rejects any invalid token."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from outdial.auth import KeyRing, TokenVerifier, local_anon_jwt, local_service_role_jwt, mint_jwt
from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY
from outdial.clock import VirtualClock
from outdial.host.gateway.verify import JwtCheck
from tests.support.signing import JwksServer, SigningKey, run_jwks_server

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECRET = LOCAL_JWT_SECRET
EC = SigningKey("ec-1", "ES256", ec.generate_private_key(ec.SECP256R1()))
RSA = SigningKey("rsa-1", "RS256", rsa.generate_private_key(65537, 2048))
STRANGER = SigningKey("ec-9", "ES256", ec.generate_private_key(ec.SECP256R1()))


def claims(**changes: object) -> dict[str, object]:
    expires = int((NOW + timedelta(hours=1)).timestamp())
    return {"sub": "7b1f0c2e-5a4d-4c7e-9f55-0d6f3c1b2a90", "role": "authenticated", "exp": expires, **changes}


EXPIRED = claims(exp=int((NOW - timedelta(minutes=5)).timestamp()))


@pytest.fixture
async def jwks() -> AsyncIterator[JwksServer]:
    async with run_jwks_server() as server:
        server.keys = [EC.jwk, RSA.jwk]
        yield server


@pytest.fixture
async def check(jwks: JwksServer) -> AsyncIterator[JwtCheck]:
    keyring = KeyRing.from_env(
        {
            "SUPABASE_URL": jwks.url,
            "SUPABASE_JWT_SECRET": SECRET,
            "SUPABASE_PUBLISHABLE_KEYS": f'{{"default": "{LOCAL_PUBLISHABLE_KEY}"}}',
            "SUPABASE_SECRET_KEYS": f'{{"cron": "{LOCAL_SECRET_KEY}"}}',
        }
    )
    verifier = TokenVerifier.from_keys(keyring, VirtualClock(NOW))
    yield JwtCheck(keyring, verifier)
    await verifier.close()


async def code(check: JwtCheck, **headers: str) -> str | None:
    """Return the error code, None if the request passes."""
    refusal = await check.check([(name.encode(), value.encode()) for name, value in headers.items()])
    assert refusal is None or refusal.status == 401
    return refusal.code if refusal is not None else None


GOOD = {
    "publishable key": LOCAL_PUBLISHABLE_KEY,
    "secret key": LOCAL_SECRET_KEY,
    "legacy anon": local_anon_jwt(),
    "legacy service role": local_service_role_jwt(),
    "HS256": mint_jwt(SECRET, claims()),
    "ES256": EC.sign(claims()),
    "RS256": RSA.sign(claims()),
}


@pytest.mark.parametrize("name", GOOD)
async def test_accepts_keys_and_valid_tokens_in_either_header(check: JwtCheck, name: str) -> None:
    assert await code(check, authorization=f"Bearer {GOOD[name]}") is None
    assert await code(check, authorization=f"bearer {GOOD[name]}") is None
    assert await code(check, apikey=GOOD[name]) is None


async def test_supabase_py_sends_a_key_on_both_headers(check: JwtCheck) -> None:
    assert await code(check, authorization=f"Bearer {LOCAL_PUBLISHABLE_KEY}", apikey=LOCAL_PUBLISHABLE_KEY) is None


async def test_requires_a_credential(check: JwtCheck) -> None:
    assert await code(check) == "UNAUTHORIZED_NO_AUTH_HEADER"
    assert await code(check, authorization="", apikey="") == "UNAUTHORIZED_NO_AUTH_HEADER"


BAD = {
    "another secret": (mint_jwt("another-secret-with-more-than-32-characters", claims()), "UNAUTHORIZED_LEGACY_JWT"),
    "expired HS256": (mint_jwt(SECRET, EXPIRED), "UNAUTHORIZED_LEGACY_JWT"),
    "expired ES256": (EC.sign(EXPIRED), "UNAUTHORIZED_ASYMMETRIC_JWT"),
    "a stranger's key": (STRANGER.sign(claims()), "UNAUTHORIZED_ASYMMETRIC_JWT"),
    "a stranger under a known name": (STRANGER.sign(claims(), kid="ec-1"), "UNAUTHORIZED_ASYMMETRIC_JWT"),
    "no JWT": ("hello", "UNAUTHORIZED_INVALID_JWT_FORMAT"),
    "three parts of nothing": ("a.b.c", "UNAUTHORIZED_INVALID_JWT_FORMAT"),
    "unsigned": ("eyJhbGciOiJub25lIn0.e30.", "UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM"),
    "HS512": (mint_jwt(SECRET, {}).replace("eyJhbGciOiJIUzI1NiIs", "eyJhbGciOiJIUzUxMiIs"),
              "UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
async def test_rejects_an_invalid_token_whatever_else_is_sent(check: JwtCheck, name: str) -> None:
    token, expected = BAD[name]
    assert await code(check, authorization=f"Bearer {token}") == expected
    assert await code(check, authorization=f"Bearer {token}", apikey=LOCAL_SECRET_KEY) == expected
    assert await code(check, apikey=token) == expected


async def test_reports_an_unknown_key(check: JwtCheck) -> None:
    assert await code(check, apikey="sb_secret_of_somebody_else") == "UNAUTHORIZED_INVALID_API_KEY"
    assert await code(check, authorization="Bearer sb_secret_of_somebody_else") == "UNAUTHORIZED_INVALID_API_KEY"


async def test_rejects_other_schemes(check: JwtCheck) -> None:
    for value in ("Basic YTpi", LOCAL_SECRET_KEY, "Bearer"):
        assert await code(check, authorization=value, apikey=LOCAL_SECRET_KEY) == "UNAUTHORIZED_INVALID_JWT_FORMAT"


async def test_keys_that_cannot_be_fetched_are_a_500(check: JwtCheck, jwks: JwksServer) -> None:
    jwks.status = 500
    refusal = await check.check([(b"authorization", f"Bearer {EC.sign(claims())}".encode())])
    assert refusal is not None
    assert (refusal.status, refusal.code) == (500, "JWKS_FETCH_FAILED")
