"""A password begins a session, and nothing else does."""

import asyncio
import threading
from datetime import timedelta
from uuid import UUID

import asyncpg
import httpx
import jwt
import pytest
from argon2 import PasswordHasher

from outdial.auth import VerifiedToken
from outdial.auth.caller import Caller, identify, parse_mode
from outdial.auth.keys import LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY, local_service_role_jwt
from outdial.auth.local.app import create_auth
from outdial.auth.local.passwords import MOST_WAITING, PasswordHashing
from outdial.auth.local.service import AuthRefusal, LocalAuth
from outdial.auth.local.throttle import MOST_FOR_CLIENT, MOST_FOR_EMAIL, MOST_FOR_NETWORK, MOST_IN_TOTAL, WINDOW
from outdial.db.session import Database
from tests.auth.local.conftest import EMAIL, KEYRING, PASSWORD, World
from tests.support.auth import CHEAP
from tests.support.factories import NOW, create_member, create_tenant


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


@pytest.mark.parametrize("body", [b"[" * 60_000, b'{"data":' * 8_000, b'{"email":' + b"[" * 60_000])
async def test_deeply_nested_bodies_are_rejected(world: World, body: bytes) -> None:
    for path in ("/token?grant_type=password", "/signup", "/admin/users"):
        response = await world.client.post(path, content=body, headers={"apikey": LOCAL_SECRET_KEY})
        assert response.json()["code"] in ("bad_json", "signup_disabled"), path


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


async def test_a_client_cannot_choose_the_address_that_is_counted(world: World) -> None:
    # Its proxy appends the true address, to the line of the client or as a line of its own.
    for n in range(MOST_FOR_CLIENT):
        body = {"email": f"user{n}@example.com", "password": "guess"}
        line = {"x_forwarded_for": f"198.51.100.{n}, 203.0.113.9"}
        await world.ask("POST", "/token?grant_type=password", body, **line)

    lines = [("x-forwarded-for", "192.0.2.77"), ("x-forwarded-for", "203.0.113.9"), ("apikey", LOCAL_PUBLISHABLE_KEY)]
    body = {"email": EMAIL, "password": PASSWORD}
    refused = await world.client.post("/token?grant_type=password", json=body, headers=lines)
    assert refused.status_code == 429
    assert (await world.sign_in(x_forwarded_for="192.0.2.77")).status_code == 200


async def test_the_number_of_proxies_decides_which_address_counts(world: World) -> None:
    app = create_auth(world.auth, world.keys, KEYRING, world.clock, proxies=2)
    headers = {"apikey": LOCAL_PUBLISHABLE_KEY}
    transport = httpx.ASGITransport(app, client=("10.0.0.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://auth", headers=headers) as client:

        async def status(email: str, password: str, forwarded: str) -> int:
            sent = {"email": email, "password": password}
            asked = await client.post("/token?grant_type=password", json=sent, headers={"x-forwarded-for": forwarded})
            return asked.status_code

        for n in range(MOST_FOR_CLIENT):
            await status(f"user{n}@example.com", "guess", f"198.51.100.{n}, 203.0.113.9, 10.0.0.8")
        assert await status(EMAIL, PASSWORD, "192.0.2.77, 203.0.113.9, 10.0.0.8") == 429
        assert await status(EMAIL, PASSWORD, "203.0.113.9, 192.0.2.77, 10.0.0.8") == 200


@pytest.mark.parametrize(
    ("addresses", "outside"),
    [
        ([f"203.0.113.{n}" for n in range(256)], "203.0.112.9"),
        ([f"2001:db8:1:{n:x}::1" for n in range(256)], "2001:db8:2::1"),
    ],
)
async def test_one_network_cannot_try_many_addresses(world: World, addresses: list[str], outside: str) -> None:
    for n in range(MOST_FOR_NETWORK):
        assert isinstance(await world.auth.sign_in(f"user{n}@example.com", "guess", addresses[n % 256]), AuthRefusal)
    assert await world.auth.sign_in(EMAIL, PASSWORD, addresses[0]) == AuthRefusal(
        "over_request_rate_limit", "Request rate limit reached", WINDOW
    )
    assert not isinstance(await world.auth.sign_in(EMAIL, PASSWORD, outside), AuthRefusal)


async def test_an_ipv6_client_is_counted_with_all_its_addresses(world: World) -> None:
    for n in range(MOST_FOR_CLIENT):
        await world.auth.sign_in(f"user{n}@example.com", "guess", f"2001:db8::{n:x}")
    assert isinstance(await world.auth.sign_in(EMAIL, PASSWORD, "2001:db8::ffff"), AuthRefusal)
    assert not isinstance(await world.auth.sign_in(EMAIL, PASSWORD, "2001:db8:0:1::1"), AuthRefusal)


async def test_failed_sign_ins_are_limited_in_total(world: World, connection: asyncpg.Connection) -> None:
    await world.auth.sign_in("user@example.com", "guess", "203.0.113.9")
    await connection.execute(
        "update auth.attempts set count = $1 where subject_sha256 = sha256('total')", MOST_IN_TOTAL
    )
    refused = await world.auth.sign_in(EMAIL, PASSWORD, "192.0.2.1")
    assert isinstance(refused, AuthRefusal)
    assert refused.code == "over_request_rate_limit"


async def test_what_one_limit_refuses_does_not_count_for_others(world: World, connection: asyncpg.Connection) -> None:
    """One client must not lock out a user by attempts that are refused anyway, nor everyone."""
    for n in range(MOST_FOR_CLIENT):
        await world.auth.sign_in(f"user{n}@example.com", "guess", "203.0.113.9")
    for _ in range(MOST_FOR_EMAIL + 5):
        await world.auth.sign_in(EMAIL, "guess", "203.0.113.9")
    assert not isinstance(await world.auth.sign_in(EMAIL, PASSWORD, "192.0.2.1"), AuthRefusal)
    total = await connection.fetchval("select count from auth.attempts where subject_sha256 = sha256('total')")
    assert total == MOST_FOR_CLIENT


async def test_sign_ins_that_succeed_do_not_count_for_client_and_network(world: World) -> None:
    """An office has one address, and may have more users than MOST_FOR_CLIENT."""
    for _ in range(MOST_FOR_CLIENT + 1):
        assert not isinstance(await world.auth.sign_in(EMAIL, PASSWORD, "203.0.113.9"), AuthRefusal)


async def test_the_queue_for_password_checks_is_bounded(world: World, connection: asyncpg.Connection) -> None:
    """Each check takes 64 MiB and a core: a flood of attempts must not queue up for minutes."""
    let_go = threading.Event()

    class Slow(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]
            let_go.wait(30)
            return bool(super().verify(hash, password))

    slow = LocalAuth(
        world.pool, world.clock, world.keys, "", PasswordHashing(Slow(time_cost=1, memory_cost=64, parallelism=1))
    )
    app = create_auth(slow, world.keys, KEYRING, world.clock)
    headers = {"apikey": LOCAL_PUBLISHABLE_KEY}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://auth", headers=headers, timeout=60
    ) as client:

        async def ask(n: int) -> httpx.Response:
            body = {"email": f"user{n}@example.com", "password": "guess"}
            line = {"x-forwarded-for": f"203.0.113.{n}"}
            return await client.post("/token?grant_type=password", json=body, headers=line)

        asked = [asyncio.create_task(ask(n)) for n in range(MOST_WAITING + 10)]
        while sum(task.done() for task in asked) < 8:
            await asyncio.wait([task for task in asked if not task.done()], return_when=asyncio.FIRST_COMPLETED)
        refused = [task.result() for task in asked if task.done()]
        let_go.set()
        responses = await asyncio.gather(*asked)

    assert [response.status_code for response in refused] == [429] * 8
    assert refused[0].json()["code"] == "over_request_rate_limit"
    assert int(refused[0].headers["retry-after"]) <= 5
    assert sorted(response.status_code for response in responses) == [400] * (MOST_WAITING + 2) + [429] * 8
    # The refused ones never reached a password, so they do not count against the user.
    counts = await connection.fetch("select count from auth.attempts where count = 0")
    assert len(counts) == 8 * 2


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
    operators = ("operator@example.com",)
    app = create_auth(world.auth, world.keys, KEYRING, world.clock, allow_sign_up=True, reserved_emails=operators)
    body = {"email": "new@example.com", "password": PASSWORD, "data": {"name": "N"}}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://auth") as client:
        headers = {"apikey": LOCAL_PUBLISHABLE_KEY}
        operator = await client.post("/signup", json={**body, "email": " Operator@example.com"}, headers=headers)
        begun = await client.post("/signup", json=body, headers=headers)
        again = [await client.post("/signup", json=body, headers=headers) for _ in range(MOST_FOR_EMAIL)]

    assert (operator.status_code, operator.json()["code"]) == (422, "signup_disabled")
    assert begun.json()["user"]["user_metadata"] == {"name": "N"}
    assert isinstance(await world.verifier.verify(begun.json()["access_token"]), VerifiedToken)
    assert [response.status_code for response in again] == [422] * (MOST_FOR_EMAIL - 1) + [429]


async def test_who_signs_up_with_an_invited_address_joins_by_the_link_only_until_the_address_is_confirmed(
    world: World, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    await connection.execute(
        "insert into invitations (organization_id, email, role, created_at, expires_at)"
        " values ($1, 'new@example.com', 'owner', $2::timestamptz, $2 + interval '7 days')",
        tenant.organization_id,
        NOW,
    )
    app = create_auth(world.auth, world.keys, KEYRING, world.clock, allow_sign_up=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://auth") as client:
        body = {"email": "new@example.com", "password": PASSWORD}
        made = (await client.post("/signup", json=body, headers={"apikey": LOCAL_PUBLISHABLE_KEY})).json()
    assert made["user"]["email_confirmed_at"] is None

    async def tries_to_join(token: str) -> tuple[bool, int, bool]:
        identity = await identify(
            {"authorization": f"Bearer {token}", "apikey": LOCAL_PUBLISHABLE_KEY},
            [parse_mode("user")],
            KEYRING,
            world.verifier,
        )
        assert isinstance(identity, Caller)
        assert identity.user is not None
        connecting = Database.connect(world.database.dsn_for("outdial_api"), application_name="tests")
        async with await connecting as api, api.as_caller("authenticated", dict(identity.claims)) as member:
            listed = await member.fetch("select * from private.my_open_invitations($1)", NOW)
            joined = await member.fetchval(
                "select private.answer_invitation($1, true, $2)", tenant.organization_id, NOW
            )
        return identity.user.is_email_confirmed, len(listed), joined

    assert await tries_to_join(made["access_token"]) == (False, 0, False)
    vouched = {"email_confirm": True}
    await world.ask("PUT", f"/admin/users/{made['user']['id']}", vouched, apikey=LOCAL_SECRET_KEY)
    renewed = (await world.refresh(made["refresh_token"])).json()
    assert await tries_to_join(renewed["access_token"]) == (True, 1, True)


async def test_text_that_the_database_cannot_store_is_rejected(world: World) -> None:
    token = (await world.sign_in()).json()["access_token"]
    for data in ({"a": "\x00"}, "text"):
        refused = await world.ask("PUT", "/user", {"data": data}, token=token)
        assert (refused.status_code, refused.json()["code"]) == (400, "validation_failed")


async def test_metadata_that_would_not_fit_a_token_is_rejected(world: World) -> None:
    """All metadata is in the access token, and a token above 16 KiB is no longer accepted."""
    token = (await world.sign_in()).json()["access_token"]
    for _ in range(2):
        assert (await world.ask("PUT", "/user", {"data": {"a": "x" * 4_000}}, token=token)).status_code == 200
    refused = await world.ask("PUT", "/user", {"data": {"b": "x" * 4_200}}, token=token)
    assert (refused.status_code, refused.json()["code"]) == (400, "validation_failed")
    assert "8192 bytes" in refused.json()["message"]
    kept = (await world.ask("GET", "/user", token=token)).json()["user_metadata"]
    assert list(kept) == ["a"]

    body = {"email": "grace@example.com", "password": PASSWORD, "app_metadata": {"a": "x" * 9_000}}
    assert (await world.ask("POST", "/admin/users", body, apikey=LOCAL_SECRET_KEY)).status_code == 400
    escaped = {**body, "app_metadata": {"a": "ü" * 3_900}}
    assert (await world.ask("POST", "/admin/users", escaped, apikey=LOCAL_SECRET_KEY)).status_code == 400
    largest = {**body, "app_metadata": {"a": "ü" * 1_340}}
    made = (await world.ask("POST", "/admin/users", largest, apikey=LOCAL_SECRET_KEY)).json()
    session = await world.auth.begin(UUID(made["id"]))
    assert not isinstance(session, AuthRefusal)
    assert isinstance(await world.verifier.verify(session.access_token), VerifiedToken)


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


async def test_a_preflight_allows_every_header_that_a_page_asks_for(world: World) -> None:
    asked = await world.client.options("/token", headers={"access-control-request-headers": "x-custom, apikey"})
    usual = await world.client.options("/token")

    assert asked.headers["access-control-allow-headers"] == "x-custom, apikey"
    assert "x-supabase-api-version" in usual.headers["access-control-allow-headers"]


async def test_deeply_nested_json_is_refused(world: World) -> None:
    deep, headers = b'{"a":' + b"[" * 60_000, {"apikey": LOCAL_PUBLISHABLE_KEY}
    response = await world.client.post("/token?grant_type=password", content=deep, headers=headers)

    assert (response.status_code, response.json()["code"]) == (400, "bad_json")
