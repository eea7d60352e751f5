"""A token is believed only when its own key signed it, by that key's algorithm, and it is valid now."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from outdial.auth import BadToken, KeyRing, TokenVerifier, VerifiedToken, VerifierMisconfigured, mint_jwt
from outdial.clock import VirtualClock
from outdial.settings import SettingError
from tests.support.signing import JwksServer, SigningKey

SECRET = "a-secret-of-this-test-with-more-than-32-characters"
Claims = Callable[..., dict[str, Any]]


@pytest.fixture
async def verifier(jwks_server: JwksServer, clock: VirtualClock) -> AsyncIterator[TokenVerifier]:
    ring = KeyRing.from_env({"SUPABASE_URL": jwks_server.url, "SUPABASE_JWT_SECRET": SECRET})
    made = TokenVerifier.from_keys(ring, clock)
    yield made
    await made.close()


NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # where the fixture `clock` stands


def at(moment: timedelta) -> int:
    return int((NOW + moment).timestamp())


async def test_a_token_signed_with_the_secret_is_verified(verifier: TokenVerifier, claims: Claims) -> None:
    assert await verifier.verify(mint_jwt(SECRET, claims())) == VerifiedToken(claims())


@pytest.mark.parametrize("kind", ["ec_key", "rsa_key"])
async def test_a_token_signed_with_a_listed_key_is_verified(
    kind: str, request: pytest.FixtureRequest, verifier: TokenVerifier, jwks_server: JwksServer, claims: Claims
) -> None:
    key: SigningKey = request.getfixturevalue(kind)
    jwks_server.keys = [key.jwk]

    assert await verifier.verify(key.sign(claims())) == VerifiedToken(claims())


async def test_a_token_signed_with_another_secret_is_rejected(verifier: TokenVerifier, claims: Claims) -> None:
    token = mint_jwt("another-secret-with-more-than-32-characters", claims())

    assert await verifier.verify(token) == BadToken("INVALID_JWT", "The token's signature does not match")


@pytest.mark.parametrize(
    ("changes", "is_valid"),
    [
        ({"exp": at(timedelta(seconds=1))}, True),
        ({"exp": at(timedelta(seconds=-9))}, True),
        ({"exp": at(timedelta(seconds=-10))}, False),
        ({"exp": None}, True),
        ({"exp": float("nan")}, False),
        ({"nbf": at(timedelta(seconds=10))}, True),
        ({"nbf": at(timedelta(seconds=11))}, False),
        ({"iat": at(timedelta(hours=1))}, True),
        ({"aud": None}, True),
        ({"aud": ["authenticated", "api"]}, True),
        ({"aud": "somebody-else"}, False),
        ({"aud": []}, False),
    ],
)
async def test_times_and_audience_are_checked_against_the_given_clock(
    changes: dict[str, Any], is_valid: bool, verifier: TokenVerifier, claims: Claims
) -> None:
    verdict = await verifier.verify(mint_jwt(SECRET, claims(**changes)))

    assert isinstance(verdict, VerifiedToken) is is_valid
    if not is_valid:
        assert isinstance(verdict, BadToken)
        assert verdict.code == "INVALID_JWT"


@pytest.mark.parametrize("token", ["", "abc", "a.b", "a.b.c", "a.b.c.d", "..", "é.é.é", "x" * 20_000 + ".b.c"])
async def test_malformed_tokens_are_rejected(token: str, verifier: TokenVerifier) -> None:
    assert await verifier.verify(token) == BadToken("UNAUTHORIZED_INVALID_JWT_FORMAT", "Invalid JWT format")


@pytest.mark.parametrize("changes", [{"exp": "tomorrow"}, {"exp": True}, {"nbf": "now"}])
async def test_a_non_numeric_time_is_malformed(
    changes: dict[str, Any], verifier: TokenVerifier, claims: Claims
) -> None:
    # PyJWT would refuse to encode some of these.
    parts = [{"alg": "HS256", "typ": "JWT"}, claims(**changes)]
    signed = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    digest = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()
    token = f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"

    assert await verifier.verify(token) == BadToken("UNAUTHORIZED_INVALID_JWT_FORMAT", "Invalid JWT format")


@pytest.mark.parametrize("algorithm", ["none", "HS512"])
async def test_other_algorithms_are_not_supported(algorithm: str, verifier: TokenVerifier, claims: Claims) -> None:
    token = jwt.encode(claims(), "" if algorithm == "none" else SECRET * 2, algorithm)

    verdict = await verifier.verify(token)

    assert verdict == BadToken("UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM", f"Unsupported JWT algorithm {algorithm}")


async def test_a_public_key_cannot_be_used_as_a_secret(
    verifier: TokenVerifier, jwks_server: JwksServer, rsa_key: SigningKey, claims: Claims
) -> None:
    jwks_server.keys = [rsa_key.jwk]
    pem = rsa_key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"rsa-1"}').rstrip(b"=")
    signed = head + b"." + base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=")
    digest = base64.urlsafe_b64encode(hmac.new(pem, signed, hashlib.sha256).digest()).rstrip(b"=")

    verdict = await verifier.verify((signed + b"." + digest).decode())

    assert verdict == BadToken("INVALID_JWT", "The token's signature does not match")


async def test_the_key_determines_the_algorithm(
    verifier: TokenVerifier, jwks_server: JwksServer, rsa_key: SigningKey, ec_key: SigningKey, claims: Claims
) -> None:
    jwks_server.keys = [rsa_key.jwk, ec_key.jwk]

    verdict = await verifier.verify(ec_key.sign(claims(), kid=rsa_key.kid))

    assert verdict == BadToken("INVALID_JWT", "The token's algorithm does not match its key")


async def test_a_secret_in_a_jwk_set_is_never_used(
    verifier: TokenVerifier, jwks_server: JwksServer, ec_key: SigningKey, claims: Claims
) -> None:
    jwks_server.keys = [{"kty": "oct", "kid": ec_key.kid, "k": "c2VjcmV0", "alg": "HS256"}]

    assert isinstance(await verifier.verify(ec_key.sign(claims())), BadToken)


async def test_a_token_must_name_its_key(verifier: TokenVerifier, ec_key: SigningKey, claims: Claims) -> None:
    token = jwt.encode(claims(), ec_key.private, "ES256")

    assert await verifier.verify(token) == BadToken("INVALID_JWT", "The token does not name its key (kid)")


async def test_a_key_that_was_rotated_in_is_fetched_once_the_pause_is_over(
    verifier: TokenVerifier,
    jwks_server: JwksServer,
    clock: VirtualClock,
    ec_key: SigningKey,
    other_ec_key: SigningKey,
    claims: Claims,
) -> None:
    jwks_server.keys = [ec_key.jwk]
    assert isinstance(await verifier.verify(ec_key.sign(claims())), VerifiedToken)
    jwks_server.keys = [ec_key.jwk, other_ec_key.jwk]
    assert isinstance(await verifier.verify(other_ec_key.sign(claims())), BadToken)
    assert jwks_server.requests == 1

    clock.advance(timedelta(seconds=30))

    assert isinstance(await verifier.verify(other_ec_key.sign(claims())), VerifiedToken)
    assert jwks_server.requests == 2


async def test_unknown_keys_cause_one_fetch(
    verifier: TokenVerifier, jwks_server: JwksServer, ec_key: SigningKey, claims: Claims
) -> None:
    for number in range(20):
        verdict = await verifier.verify(ec_key.sign(claims(), kid=f"invented-{number}"))
        assert verdict == BadToken("INVALID_JWT", "The token is signed with an unknown key")

    assert jwks_server.requests == 1


async def test_a_jwk_set_is_cached_for_ten_minutes(
    verifier: TokenVerifier, jwks_server: JwksServer, clock: VirtualClock, ec_key: SigningKey, claims: Claims
) -> None:
    jwks_server.keys = [ec_key.jwk]
    token = ec_key.sign(claims())
    await verifier.verify(token)
    clock.advance(timedelta(minutes=9, seconds=59))
    await verifier.verify(token)
    assert jwks_server.requests == 1

    jwks_server.keys = []
    clock.advance(timedelta(seconds=1))

    assert isinstance(await verifier.verify(token), BadToken), "a key that was taken out is believed no longer"
    assert jwks_server.requests == 2


async def test_the_cached_set_serves_while_the_url_is_unreachable(
    verifier: TokenVerifier, jwks_server: JwksServer, clock: VirtualClock, ec_key: SigningKey, claims: Claims
) -> None:
    jwks_server.keys = [ec_key.jwk]
    token = ec_key.sign(claims())
    await verifier.verify(token)
    jwks_server.status = 503
    clock.advance(timedelta(minutes=11))

    assert isinstance(await verifier.verify(token), VerifiedToken)
    assert isinstance(await verifier.verify(ec_key.sign(claims(), kid="unknown")), VerifierMisconfigured)
    assert jwks_server.requests == 2, "a failure is not repeated at once"


async def test_an_unfetchable_set_is_a_server_error_and_recovers(
    verifier: TokenVerifier, jwks_server: JwksServer, clock: VirtualClock, ec_key: SigningKey, claims: Claims
) -> None:
    jwks_server.keys, jwks_server.status = [ec_key.jwk], 500
    verdict = await verifier.verify(ec_key.sign(claims()))
    assert isinstance(verdict, VerifierMisconfigured)
    assert verdict.code == "JWKS_FETCH_FAILED"

    jwks_server.status = 200
    clock.advance(timedelta(seconds=5))

    assert isinstance(await verifier.verify(ec_key.sign(claims())), VerifiedToken)


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://127.0.0.1:1", "Cannot connect to host 127.0.0.1:1"),
        ("http://no-such-host.invalid", "Cannot connect to host no-such-host.invalid:80"),
        ("{url}/auth/v1/.well-known/jwks.json", "500"),
        ("{url}/auth/v1/.well-known/jwks.json?no-set", "JSON is malformed"),
        ("{url}/auth/v1/.well-known/jwks.json?deep", "recursion"),
    ],
)
async def test_the_cause_of_a_failed_fetch_is_logged_and_kept_from_the_caller(
    url: str,
    cause: str,
    jwks_server: JwksServer,
    clock: VirtualClock,
    ec_key: SigningKey,
    claims: Claims,
    caplog: pytest.LogCaptureFixture,
) -> None:
    jwks_server.status = 500
    jwks_server.document = {"no-set": b"<html>", "deep": b"[" * 100_000}.get(url.partition("?")[2])
    verifier = TokenVerifier.from_keys(KeyRing(jwks_url=url.replace("{url}", jwks_server.url)), clock)
    with caplog.at_level("INFO", "outdial"):
        verdict = await verifier.verify(ec_key.sign(claims()))
        assert isinstance(verdict, VerifierMisconfigured)
        assert cause in verdict.cause
        assert cause not in verdict.message
        assert verifier.problem() == verdict.cause
        [line] = caplog.records
        assert (line.getMessage(), line.levelname) == ("auth.jwks_unavailable", "ERROR")
        assert line.__dict__["fields"]["reason"] == verdict.cause
    await verifier.close()


async def test_a_problem_with_the_set_ends_by_itself(
    jwks_server: JwksServer,
    clock: VirtualClock,
    ec_key: SigningKey,
    claims: Claims,
    caplog: pytest.LogCaptureFixture,
) -> None:
    jwks_server.keys, jwks_server.status = [ec_key.jwk], 500
    url = f"{jwks_server.url}/auth/v1/.well-known/jwks.json"
    verifier = TokenVerifier.from_keys(KeyRing(jwks_url=url), clock)
    await verifier.run_once()
    assert (verifier.problem(), jwks_server.requests) == (None, 0), "nothing is fetched before it is needed"
    await verifier.verify(ec_key.sign(claims()))
    jwks_server.status = 200
    caplog.clear()
    with caplog.at_level("INFO", "outdial"):
        await verifier.run_once()
        assert verifier.problem() is not None, "a failure is not repeated at once"
        clock.advance(timedelta(seconds=5))
        await verifier.run_once()
    assert verifier.problem() is None
    assert [record.getMessage() for record in caplog.records] == ["auth.jwks_available"]
    await verifier.close()


async def test_a_project_with_a_secret_needs_no_set(
    verifier: TokenVerifier, jwks_server: JwksServer, clock: VirtualClock, ec_key: SigningKey, claims: Claims
) -> None:
    """Anyone can make up a token with a key id, so a set that was never there must not make health degraded."""
    jwks_server.status = 404
    await verifier.verify(ec_key.sign(claims()))
    assert verifier.problem() is None
    jwks_server.keys, jwks_server.status = [ec_key.jwk], 200
    clock.advance(timedelta(seconds=5))
    await verifier.verify(ec_key.sign(claims()))
    jwks_server.status = 404
    clock.advance(timedelta(minutes=11))
    await verifier.verify(ec_key.sign(claims(), kid="unknown"))
    assert verifier.problem() is not None


@pytest.mark.parametrize("part", [0, 1])
async def test_a_token_of_deeply_nested_json_is_malformed(verifier: TokenVerifier, part: int) -> None:
    parts = mint_jwt(SECRET, {}).split(".")
    nested = b'{"alg":"HS256","a":' + b"[" * 8_000 if part == 0 else b"[" * 8_000
    parts[part] = base64.urlsafe_b64encode(nested).decode().rstrip("=")
    if part == 1:
        digest = hmac.digest(SECRET.encode(), ".".join(parts[:2]).encode(), "sha256")
        parts[2] = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    verdict = await verifier.verify(".".join(parts))
    assert isinstance(verdict, BadToken)
    assert verdict.code == "UNAUTHORIZED_INVALID_JWT_FORMAT"


async def test_a_set_from_a_setting_needs_no_server(clock: VirtualClock, ec_key: SigningKey, claims: Claims) -> None:
    ring = KeyRing.from_env({"SUPABASE_URL": "http://127.0.0.1:1", "SUPABASE_JWKS": json.dumps({"keys": [ec_key.jwk]})})
    verifier = TokenVerifier.from_keys(ring, clock)

    assert isinstance(await verifier.verify(ec_key.sign(claims())), VerifiedToken)


def test_an_invalid_set_is_rejected_at_start(clock: VirtualClock) -> None:
    with pytest.raises(SettingError, match="SUPABASE_JWKS"):
        TokenVerifier.from_keys(KeyRing.from_env({"SUPABASE_JWKS": '{"kty": "EC"}'}), clock)


@pytest.mark.parametrize(
    ("algorithm", "code"), [("HS256", "JWT_SECRET_NOT_CONFIGURED"), ("ES256", "JWKS_NOT_CONFIGURED")]
)
async def test_a_verifier_without_keys_is_misconfigured(
    algorithm: str, code: str, clock: VirtualClock, ec_key: SigningKey, claims: Claims
) -> None:
    verifier = TokenVerifier.from_keys(KeyRing(), clock)
    token = ec_key.sign(claims()) if algorithm == "ES256" else mint_jwt(SECRET, claims())

    verdict = await verifier.verify(token)

    assert isinstance(verdict, VerifierMisconfigured)
    assert verdict.code == code


async def test_a_project_that_signs_with_keys_does_not_support_the_shared_secret(
    clock: VirtualClock, ec_key: SigningKey, claims: Claims
) -> None:
    verifier = TokenVerifier.from_keys(KeyRing(jwks={"keys": [ec_key.jwk]}), clock)

    verdict = await verifier.verify(mint_jwt(SECRET, claims()))

    assert isinstance(verdict, BadToken)
    assert verdict.code == "UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM"
