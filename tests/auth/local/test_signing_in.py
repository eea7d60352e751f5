"""A password begins a session, and nothing else does."""

import asyncio
from datetime import timedelta

import asyncpg
import httpx
import jwt
import pytest
from argon2 import PasswordHasher

from outdial.auth import VerifiedToken
from outdial.auth.keys import LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY, local_service_role_jwt
from outdial.auth.local.app import create_auth
from outdial.auth.local.passwords import PasswordHashing
from outdial.auth.local.service import AuthRefusal, LocalAuth
from outdial.auth.local.throttle import MOST_FOR_CLIENT, MOST_FOR_EMAIL, WINDOW
from tests.auth.local.conftest import CHEAP, EMAIL, KEYRING, PASSWORD, World
from tests.support.factories import create_member, create_tenant


async def test_a_password_begins_a_session_in_supabases_format(world: World) -> None:
    response = await world.sign_in()

    told = response.json()
    assert response.status_code == 200
    assert response.headers["x-supabase-api-version"] == "2024-01-01"
    assert (told["token_type"], told["expires_in"]) == ("bearer", 3600)
    assert told["user"]["email"] == EMAIL
    assert told["user"]["identities"][0]["provider"] == "email"
    header = jwt.get_unverified_header(told["access_token"])
    assert header["alg"] == "ES256"
    verdict = await world.verifier.verify(told["access_token"])
    assert isinstance(verdict, VerifiedToken)
    assert verdict.claims["sub"] == str(world.ada.id)
    assert verdict.claims["role"] == verdict.claims["aud"] == "authenticated"
    assert verdict.claims["amr"][0]["method"] == "password"


async def test_the_email_address_is_case_insensitive(world: World) -> None:
    body = {"email": f"  {EMAIL.upper()} ", "password": PASSWORD}
    assert (await world.ask("POST", "/token?grant_type=password", body)).status_code == 200


@pytest.mark.parametrize(
    ("email", "password"), [(EMAIL, "wrong"), ("nobody@example.com", PASSWORD), (EMAIL, "x" * 600)]
)
async def test_refusals_reveal_nothing_about_the_user(world: World, email: str, password: str) -> None:
    response = await world.ask("POST", "/token?grant_type=password", {"email": email, "password": password})

    assert response.status_code == 400
    assert response.json() == {"code": "invalid_credentials", "message": "Invalid login credentials"}
    assert response.headers["x-sb-error-code"] == "invalid_credentials"


async def test_an_unknown_user_costs_a_password_check_too(world: World) -> None:
    verified: list[str] = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]
            verified.append(str(hash))
            return bool(super().verify(hash, password))

    counting = PasswordHashing(Counting(time_cost=1, memory_cost=64, parallelism=1))
    auth = LocalAuth(world.pool, world.clock, world.keys, "", counting)
    for email in (EMAIL, "nobody@example.com"):
        assert isinstance(await auth.sign_in(email, "wrong", ""), AuthRefusal)
    assert len(verified) == 2


async def test_a_weaker_hash_is_replaced(world: World, connection: asyncpg.Connection) -> None:
    stronger = PasswordHashing(PasswordHasher(time_cost=2, memory_cost=64, parallelism=1))
    await LocalAuth(world.pool, world.clock, world.keys, "", stronger).sign_in(EMAIL, PASSWORD, "")

    kept = await connection.fetchval("select encrypted_password from auth.users")
    assert "t=2" in kept
    assert PASSWORD not in kept


async def test_an_api_key_is_required(world: World) -> None:
    response = await world.sign_in(apikey="sb_publishable_of_somebody_else")
    assert (response.status_code, response.json()["code"]) == (401, "no_authorization")


@pytest.mark.parametrize("body", ["[]", "{", '{"email": 1, "password": "x"}', '{"email": "a\\u0000", "password": "x"}'])
async def test_an_invalid_body_is_rejected(world: World, body: str) -> None:
    response = await world.client.post("/token?grant_type=password", content=body, headers={"apikey": LOCAL_SECRET_KEY})
    assert (response.status_code, response.json()["code"][:3]) in {(400, "bad"), (400, "val")}


async def test_attempts_per_email_are_limited_and_expire(world: World) -> None:
    # At the same time, so that counting after the check would let all of them through.
    responses = await asyncio.gather(*(world.sign_in(f"guess {n}") for n in range(MOST_FOR_EMAIL + 5)))
    codes = sorted(response.json()["code"] for response in responses)
    assert codes == ["invalid_credentials"] * MOST_FOR_EMAIL + ["over_request_rate_limit"] * 5

    stopped = await world.sign_in()
    assert stopped.status_code == 429
    assert int(stopped.headers["retry-after"]) == WINDOW.total_seconds()

    world.clock.advance(WINDOW + timedelta(seconds=1))
    assert (await world.sign_in()).status_code == 200


async def test_a_successful_sign_in_resets_the_attempts(world: World) -> None:
    for _ in range(3):
        for n in range(MOST_FOR_EMAIL - 1):
            await world.sign_in(f"guess {n}")
        assert (await world.sign_in()).status_code == 200


async def test_one_client_cannot_try_many_email_addresses(world: World) -> None:
    for n in range(MOST_FOR_CLIENT):
        body = {"email": f"user{n}@example.com", "password": "guess"}
        await world.ask("POST", "/token?grant_type=password", body, x_forwarded_for="203.0.113.9")

    assert (await world.sign_in(x_forwarded_for="203.0.113.9")).status_code == 429
    assert (await world.sign_in(x_forwarded_for="203.0.113.10")).status_code == 200


async def test_sign_up_is_disabled_by_default(world: World) -> None:
    response = await world.ask("POST", "/signup", {"email": "new@example.com", "password": PASSWORD})
    assert (response.status_code, response.json()["code"]) == (422, "signup_disabled")
    assert (await world.ask("GET", "/settings")).json()["disable_signup"] is True


async def test_the_service_role_creates_updates_and_deletes_users(world: World) -> None:
    body = {"email": "Grace@example.com", "password": PASSWORD, "email_confirm": True, "user_metadata": {"name": "G"}}
    made = await world.ask("POST", "/admin/users", body, apikey=LOCAL_SECRET_KEY)
    path = f"/admin/users/{made.json()['id']}"

    assert (made.json()["email"], made.json()["user_metadata"]) == ("grace@example.com", {"name": "G"})
    again = await world.ask("POST", "/admin/users", body, apikey=LOCAL_SECRET_KEY)
    assert (again.status_code, again.json()["code"]) == (422, "email_exists")
    weak = await world.ask("PUT", path, {"password": "short"}, apikey=LOCAL_SECRET_KEY)
    assert (weak.status_code, weak.json()["weak_password"]) == (422, {"reasons": ["length"]})
    changed = await world.ask("PUT", path, {"app_metadata": {"role": "x"}}, token=local_service_role_jwt())
    assert changed.json()["app_metadata"]["role"] == "x"
    listed = await world.ask("GET", "/admin/users", apikey=LOCAL_SECRET_KEY)
    assert len(listed.json()["users"]) == 2
    assert (await world.ask("DELETE", path, apikey=LOCAL_SECRET_KEY)).status_code == 200
    assert (await world.ask("GET", path, apikey=LOCAL_SECRET_KEY)).json()["code"] == "user_not_found"


async def test_the_service_role_changes_an_email_address_to_an_unused_one(world: World) -> None:
    body = {"email": "grace@example.com", "password": PASSWORD}
    grace = (await world.ask("POST", "/admin/users", body, apikey=LOCAL_SECRET_KEY)).json()
    path = f"/admin/users/{grace['id']}"
    taken = await world.ask("PUT", path, {"email": EMAIL}, apikey=LOCAL_SECRET_KEY)
    moved = await world.ask("PUT", path, {"email": " G@example.com"}, apikey=LOCAL_SECRET_KEY)

    assert (taken.status_code, taken.json()["code"]) == (422, "email_exists")
    assert moved.json()["email"] == "g@example.com"
    token = (await world.sign_in()).json()["access_token"]
    own = await world.ask("PUT", "/user", {"email": "new@example.com"}, token=token)
    assert (own.status_code, own.json()["code"]) == (400, "validation_failed")


async def test_the_last_owner_of_an_organization_is_not_deleted(world: World, connection: asyncpg.Connection) -> None:
    tenant = await create_tenant(connection)
    await create_member(connection, tenant.organization_id, "owner", user_id=world.ada.id)
    refused = await world.ask("DELETE", f"/admin/users/{world.ada.id}", apikey=LOCAL_SECRET_KEY)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert (await world.sign_in()).status_code == 200


async def test_enabled_sign_ups_work_and_are_counted(world: World) -> None:
    app = create_auth(world.auth, world.keys, KEYRING, world.clock, allow_sign_up=True)
    body = {"email": "new@example.com", "password": PASSWORD, "data": {"name": "N"}}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://auth") as client:
        headers = {"apikey": LOCAL_PUBLISHABLE_KEY}
        begun = await client.post("/signup", json=body, headers=headers)
        again = [await client.post("/signup", json=body, headers=headers) for _ in range(MOST_FOR_EMAIL)]

    assert begun.json()["user"]["user_metadata"] == {"name": "N"}
    assert isinstance(await world.verifier.verify(begun.json()["access_token"]), VerifiedToken)
    assert [response.status_code for response in again] == [422] * (MOST_FOR_EMAIL - 1) + [429]


async def test_text_that_the_database_cannot_store_is_rejected(world: World) -> None:
    token = (await world.sign_in()).json()["access_token"]
    for data in ({"a": "\x00"}, "text"):
        refused = await world.ask("PUT", "/user", {"data": data}, token=token)
        assert (refused.status_code, refused.json()["code"]) == (400, "validation_failed")


async def test_a_user_token_also_requires_an_api_key(world: World) -> None:
    token = (await world.sign_in()).json()["access_token"]
    for apikey in ("", "sb_publishable_of_somebody_else"):
        refused = await world.ask("GET", "/user", token=token, apikey=apikey)
        assert (refused.status_code, refused.json()["code"]) == (401, "no_authorization")


async def test_unsupported_endpoints_respond_with_cors_headers(world: World) -> None:
    for method, path, status in (("GET", "/otp", 404), ("DELETE", "/user", 405)):
        response = await world.ask(method, path)
        assert (response.status_code, response.headers["access-control-allow-origin"]) == (status, "*")


async def test_users_cannot_call_admin_endpoints(world: World) -> None:
    token = (await world.sign_in()).json()["access_token"]
    for asked in (await world.ask("GET", "/admin/users", token=token), await world.ask("GET", "/admin/users")):
        assert (asked.status_code, asked.json()["code"]) == (403, "not_admin")


async def test_cors_allows_every_origin(world: World) -> None:
    for response in (await world.client.options("/token"), await world.client.get("/user")):
        assert response.headers["access-control-allow-origin"] == "*"
        assert "x-supabase-api-version" in response.headers["access-control-allow-headers"]


async def test_responses_never_contain_passwords(world: World) -> None:
    assert "argon2" not in repr(world.ada)
    assert CHEAP.hash(PASSWORD) != world.ada.encrypted_password
    assert PASSWORD not in repr(await world.auth.sign_in(EMAIL, PASSWORD, ""))
