"""Who is let in, as what, by which mode, with the credentials on either header."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any
from uuid import UUID

import pytest

from outdial.auth import AccessDenied, Caller, KeyRing, TokenVerifier, identify, mint_jwt, parse_mode
from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY
from outdial.clock import VirtualClock

Claims = Callable[..., dict[str, Any]]

SECRET = "a-secret-of-this-test-with-more-than-32-characters"
ANON_JWT = mint_jwt(SECRET, {"iss": "supabase", "role": "anon", "exp": 1983812996})
SERVICE_JWT = mint_jwt(SECRET, {"iss": "supabase", "role": "service_role", "exp": 1983812996})
ENV = {
    "SUPABASE_PUBLISHABLE_KEYS": '{"default": "sb_publishable_d", "web": "sb_publishable_w"}',
    "SUPABASE_SECRET_KEYS": '{"default": "sb_secret_d", "cron": "sb_secret_c"}',
    "SUPABASE_ANON_KEY": ANON_JWT,
    "SUPABASE_SERVICE_ROLE_KEY": SERVICE_JWT,
    "SUPABASE_JWT_SECRET": SECRET,
}


async def call(
    headers: dict[str, str], *modes: str, clock: VirtualClock, env: dict[str, str] = ENV
) -> Caller | AccessDenied:
    ring = KeyRing.from_env(env)
    return await identify(headers, [parse_mode(mode) for mode in modes], ring, TokenVerifier.from_keys(ring, clock))


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def user_jwt(claims: Claims) -> str:
    return mint_jwt(SECRET, claims())


@pytest.mark.parametrize(
    ("headers", "modes", "outcome"),
    [
        ({}, ["none"], ("none", "anon", None)),
        ({}, ["user"], "MISSING_CREDENTIALS"),
        ({}, ["secret", "none"], ("none", "anon", None)),
        ({"apikey": ""}, ["secret"], "MISSING_CREDENTIALS"),
        ({"apikey": "sb_secret_d"}, ["secret"], ("secret", "service_role", "default")),
        (bearer("sb_secret_d"), ["secret"], ("secret", "service_role", "default")),
        (bearer("sb_secret_d"), ["user", "secret"], ("secret", "service_role", "default")),
        ({"apikey": "sb_secret_c"}, ["secret"], "INVALID_CREDENTIALS"),
        ({"apikey": "sb_secret_c"}, ["secret:cron"], ("secret", "service_role", "cron")),
        ({"apikey": "sb_secret_d"}, ["secret:cron"], "INVALID_CREDENTIALS"),
        ({"apikey": "sb_secret_c"}, ["secret:*"], ("secret", "service_role", "cron")),
        ({"apikey": "sb_publishable_d"}, ["publishable"], ("publishable", "anon", "default")),
        ({"apikey": "sb_publishable_w"}, ["publishable:web"], ("publishable", "anon", "web")),
        ({"apikey": "sb_publishable_d"}, ["secret"], "INVALID_CREDENTIALS"),
        ({"apikey": "sb_publishable_d"}, ["user"], "INVALID_CREDENTIALS"),
        ({"apikey": "sb_secret_unknown"}, ["secret"], "INVALID_API_KEY"),
        ({"apikey": "sb_secret_unknown"}, ["secret", "none"], ("none", "anon", None)),
        (bearer("sb_secret_unknown"), ["user", "secret"], "INVALID_API_KEY"),
        (
            {"apikey": "sb_publishable_d", **bearer("sb_publishable_d")},
            ["publishable"],
            ("publishable", "anon", "default"),
        ),
        (bearer(SERVICE_JWT), ["secret"], ("secret", "service_role", "legacy")),
        ({"apikey": SERVICE_JWT}, ["secret"], ("secret", "service_role", "legacy")),
        ({"apikey": SERVICE_JWT, **bearer(SERVICE_JWT)}, ["user", "secret"], ("secret", "service_role", "legacy")),
        (bearer(SERVICE_JWT), ["secret:cron"], "INVALID_CREDENTIALS"),
        (bearer(ANON_JWT), ["publishable"], ("publishable", "anon", "legacy")),
        (bearer(ANON_JWT), ["user", "secret"], "INVALID_CREDENTIALS"),
        ({"authorization": "Basic YTpi"}, ["user"], "MISSING_CREDENTIALS"),
        ({"authorization": "Bearer"}, ["user"], "MISSING_CREDENTIALS"),
        (bearer("not-a-token"), ["user"], "UNAUTHORIZED_INVALID_JWT_FORMAT"),
        (bearer("not-a-token"), ["none"], ("none", "anon", None)),
        (bearer("not-a-token"), ["user", "none"], "UNAUTHORIZED_INVALID_JWT_FORMAT"),
        (bearer("not-a-token"), ["none", "user"], ("none", "anon", None)),
    ],
)
async def test_keys_open_the_modes_that_name_them(
    headers: dict[str, str], modes: list[str], outcome: tuple[str, str, str | None] | str, clock: VirtualClock
) -> None:
    caller = await call(headers, *modes, clock=clock)

    if isinstance(caller, AccessDenied):
        assert (caller.status, caller.code) == (401, outcome)
    else:
        assert (caller.mode, caller.role, caller.key_name) == outcome
        assert caller.user is None
        assert caller.claims == {"role": caller.role}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_user_is_known_by_the_token(scheme: str, user_jwt: str, claims: Claims, clock: VirtualClock) -> None:
    caller = await call({"authorization": f"{scheme} {user_jwt}"}, "user", "secret", clock=clock)

    assert isinstance(caller, Caller)
    assert (caller.mode, caller.role) == ("user", "authenticated")
    assert caller.claims == claims()
    assert caller.user is not None
    assert caller.user.id == UUID(claims()["sub"])
    assert caller.user.email == "ada@example.com"
    assert caller.user.app_metadata == {"provider": "email"}


async def test_supabase_js_sends_the_key_beside_the_session(user_jwt: str, clock: VirtualClock) -> None:
    headers = {"apikey": "sb_publishable_d", **bearer(user_jwt)}

    caller = await call(headers, "publishable", "user", clock=clock)
    assert isinstance(caller, Caller)
    assert caller.mode == "publishable", "the function's first mode wins"

    caller = await call(headers, "user", "publishable", clock=clock)
    assert isinstance(caller, Caller)
    assert caller.mode == "user"


@pytest.mark.parametrize("modes", [["user", "secret"], ["secret", "user"], ["secret"], ["secret", "none"]])
async def test_a_bad_token_is_rejected_despite_a_valid_secret_key(
    modes: list[str], claims: Claims, clock: VirtualClock
) -> None:
    headers = {"apikey": "sb_secret_d", **bearer(mint_jwt(SECRET, claims(exp=1)))}

    caller = await call(headers, *modes, clock=clock)

    assert caller == AccessDenied(401, "INVALID_JWT", "The token has expired: sign in again or refresh it")


async def test_another_service_role_token_of_the_project_counts_as_a_secret_key(clock: VirtualClock) -> None:
    token = mint_jwt(SECRET, {"role": "service_role", "exp": 1983812996, "iss": "by hand"})

    for headers in (bearer(token), {"apikey": token}):
        caller = await call(headers, "secret", clock=clock)
        assert isinstance(caller, Caller)
        assert (caller.role, caller.key_name) == ("service_role", "legacy")


async def test_a_forged_service_role_token_opens_nothing(clock: VirtualClock) -> None:
    token = mint_jwt("a-secret-of-somebody-else-with-32-characters", {"role": "service_role"})

    assert isinstance(denied := await call({"apikey": token}, "secret", clock=clock), AccessDenied)
    assert denied.code == "INVALID_API_KEY"
    assert isinstance(denied := await call(bearer(token), "secret", clock=clock), AccessDenied)
    assert denied.code == "INVALID_JWT"


async def test_a_users_token_as_api_key_opens_nothing(user_jwt: str, clock: VirtualClock) -> None:
    denied = await call({"apikey": user_jwt}, "user", "secret", clock=clock)

    assert isinstance(denied, AccessDenied)
    assert denied.code == "INVALID_API_KEY"


@pytest.mark.parametrize("role", ["postgres", "supabase_admin", "", None, 7, ["service_role"]])
async def test_other_roles_are_rejected(role: object, claims: Claims, clock: VirtualClock) -> None:
    token = mint_jwt(SECRET, claims(role=role))

    denied = await call(bearer(token), "user", "secret", clock=clock)

    assert isinstance(denied, AccessDenied)
    assert (denied.status, denied.code) == (500, "UNSUPPORTED_ROLE")


@pytest.mark.parametrize("sub", [None, "", "ada", 7, ["7b1f0c2e-5a4d-4c7e-9f55-0d6f3c1b2a90"]])
async def test_a_user_must_have_a_uuid(sub: object, claims: Claims, clock: VirtualClock) -> None:
    denied = await call(bearer(mint_jwt(SECRET, claims(sub=sub))), "user", "secret", clock=clock)

    assert isinstance(denied, AccessDenied)
    assert (denied.status, denied.code) == (401, "INVALID_JWT")


async def test_missing_configuration_is_not_blamed_on_the_caller(user_jwt: str, clock: VirtualClock) -> None:
    denied = await call({"apikey": "sb_secret_d"}, "secret", clock=clock, env={})
    assert isinstance(denied, AccessDenied)
    assert (denied.status, denied.code) == (500, "NO_KEYS_CONFIGURED")

    denied = await call(bearer(user_jwt), "user", clock=clock, env={})
    assert isinstance(denied, AccessDenied)
    assert (denied.status, denied.code) == (500, "JWT_SECRET_NOT_CONFIGURED")


async def test_a_caller_cannot_be_changed_afterwards(user_jwt: str, clock: VirtualClock) -> None:
    caller = await call(bearer(user_jwt), "user", clock=clock)

    assert isinstance(caller, Caller)
    with pytest.raises(FrozenInstanceError):
        caller.role = "service_role"  # type: ignore[misc]
    with pytest.raises(TypeError):
        caller.claims["sub"] = "somebody else"  # type: ignore[index]


@pytest.mark.parametrize("text", ["", "admin", "user:ada", "none:", "secret:", "USER", "secret :x"])
def test_an_unknown_mode_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an auth mode"):
        parse_mode(text)


LOCAL_ENV = {
    "SUPABASE_SECRET_KEYS": f'{{"default": "{LOCAL_SECRET_KEY}"}}',
    "SUPABASE_PUBLISHABLE_KEYS": f'{{"default": "{LOCAL_PUBLISHABLE_KEY}"}}',
    "SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET,
}
FORGED = mint_jwt(LOCAL_JWT_SECRET, {"role": "service_role", "exp": 1983812996})


@pytest.mark.parametrize("credential", [{"apikey": LOCAL_SECRET_KEY}, bearer(FORGED), {"apikey": FORGED}])
@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1.evil.example", "null"])
async def test_no_page_of_another_site_uses_the_public_secret_key_of_a_local_stack(
    credential: dict[str, str], origin: str, clock: VirtualClock
) -> None:
    got = await call({**credential, "origin": origin}, "user", "secret", clock=clock, env=LOCAL_ENV)
    assert isinstance(got, AccessDenied)
    assert (got.status, got.code) == (401, "FOREIGN_ORIGIN")


@pytest.mark.parametrize(
    ("headers", "env"),
    [
        ({"apikey": LOCAL_SECRET_KEY}, LOCAL_ENV),
        ({"apikey": LOCAL_SECRET_KEY, "origin": "http://localhost:3000"}, LOCAL_ENV),
        ({"apikey": LOCAL_SECRET_KEY, "origin": "http://127.0.0.1:54323"}, LOCAL_ENV),
        ({"apikey": "sb_secret_d", "origin": "https://shop.example"}, ENV),
    ],
)
async def test_pages_of_this_machine_and_private_keys_are_let_in(
    headers: dict[str, str], env: dict[str, str], clock: VirtualClock
) -> None:
    got = await call(headers, "secret", clock=clock, env=env)
    assert isinstance(got, Caller)
    assert got.role == "service_role"


async def test_a_publishable_key_works_from_any_page(clock: VirtualClock) -> None:
    headers = {"apikey": LOCAL_PUBLISHABLE_KEY, "origin": "https://shop.example"}
    got = await call(headers, "publishable", clock=clock, env=LOCAL_ENV)
    assert isinstance(got, Caller)
