"""The management API: access, responses and errors."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec
import pytest

from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY
from outdial.host.api.management import BURST, LARGEST_BODY, LARGEST_DEPLOYMENT, UNKNOWN_BURST, ApiError
from outdial.host.api.tokens import TokenScope, new_token
from outdial.host.deployments.multipart import read_form
from outdial.host.gateway.operations import OperatorRoutes
from outdial.http import HttpResponse, RequestHead
from tests.support.deploying import FUNCTIONS, PROJECT, REF, Host, form, hosting, saying
from tests.support.hosting import KEYS
from tests.support.postgres import Scratch
from tests.support.processes import until

SECRETS = f"{PROJECT}/secrets"


@pytest.fixture
async def host(database: Scratch, tmp_path: Path) -> AsyncIterator[Host]:
    async with hosting(database, tmp_path) as (one,):
        yield one


def told(answer: HttpResponse) -> dict[str, str]:
    found: dict[str, str] = msgspec.json.decode(answer.body)
    return found


# Access.


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer sbp_short", f"Bearer {LOCAL_SECRET_KEY}", f"Basic sbp_{'a' * 40}", f"Bearer sbp_{'A' * 40}"],
)
async def test_rejects_malformed_tokens_before_reading_the_body(host: Host, authorization: str) -> None:
    for path in ("/v1/projects", SECRETS, f"{FUNCTIONS}/deploy"):
        head = RequestHead("POST", path, "", [(b"authorization", authorization.encode())] if authorization else [])
        answer = host.api.admit(head)

        assert isinstance(answer, HttpResponse)
        assert answer.status == 401
        assert "outdial tokens create" in told(answer)["message"]
        assert (b"sb-error-code", b"UNAUTHORIZED") in answer.headers


async def test_rejects_an_unknown_token_on_every_route(host: Host) -> None:
    host.token = new_token()
    for method, path in (("GET", "/v1/projects"), ("POST", f"{FUNCTIONS}/deploy"), ("GET", "/v1/nowhere")):
        answer = await host.ask(method, path)
        assert (answer.status, told(answer)["code"]) == (401, "UNAUTHORIZED")


async def test_rejects_a_token_once_it_is_revoked(host: Host, connection: asyncpg.Connection) -> None:
    await host.json("GET", "/v1/projects")
    assert await host.api.may_read_metrics(host.token)
    await connection.execute("update host.access_tokens set revoked_at = now()")

    assert (await host.ask("GET", "/v1/projects")).status == 401
    assert not await host.api.may_read_metrics(host.token)


async def test_limits_bodies_with_a_larger_limit_for_deployments(host: Host) -> None:
    def admitted(path: str) -> int | HttpResponse:
        return host.api.admit(RequestHead("POST", path, "", [(b"authorization", f"Bearer {host.token}".encode())]))

    assert admitted(f"{FUNCTIONS}/deploy") == LARGEST_DEPLOYMENT == 25 * 2**20
    assert admitted(SECRETS) == LARGEST_BODY


async def test_limits_the_rate_per_token(host: Host) -> None:
    answers = await asyncio.gather(*(host.ask("GET", "/v1/projects") for _ in range(int(BURST) + 60)))

    statuses = [answer.status for answer in answers]
    refused = next(answer for answer in answers if answer.status == 429)
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= BURST
    assert b"retry-after" in dict(refused.headers)
    assert told(refused)["code"] == "RATE_LIMIT_EXCEEDED"


async def test_limits_guesses_without_locking_out_known_tokens(host: Host) -> None:
    good = host.token
    await host.json("GET", "/v1/projects")
    statuses = []
    for _ in range(int(UNKNOWN_BURST) + 20):
        host.token = new_token()
        statuses.append((await host.ask("GET", "/v1/projects")).status)
    host.token = good

    assert set(statuses) == {401, 429}
    assert statuses[: int(UNKNOWN_BURST) - 1].count(429) == 0
    await host.json("GET", "/v1/projects")


async def test_a_flood_of_unknown_tokens_locks_out_nobody_else(host: Host) -> None:
    """Not even a token that this host has not seen before, nor one that comes from the address of the flood."""
    fresh = await host.tokens.create("fresh")
    flood = {"x-forwarded-for": "10.0.0.1, 192.0.2.7"}

    async def unknown(**headers: str) -> int:
        host.token = new_token()
        return (await host.ask("GET", "/v1/projects", **headers)).status

    statuses = [await unknown(**flood) for _ in range(int(UNKNOWN_BURST) + 20)]
    assert set(statuses) == {401, 429}
    assert await unknown(**{"x-forwarded-for": "192.0.2.7, 198.51.100.1"}) == 401
    for headers in (flood, {}):
        host.token = fresh
        assert (await host.ask("GET", "/v1/projects", **headers)).status == 200


async def test_a_flood_takes_one_connection_at_a_time(host: Host, connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        # Look-ups wait here, and none may take a second connection of the pool.
        await connection.execute("lock table host.access_tokens in access exclusive mode")
        good = asyncio.create_task(host.tokens.find(host.token))
        flood = [asyncio.create_task(host.tokens.find(new_token())) for _ in range(200)]

        async def waits() -> bool:
            return bool(
                await connection.fetchval("select count(*) from pg_stat_activity where wait_event = 'relation'")
            )

        await until(waits, "a look-up waits")
        busy = await connection.fetchval("select count(*) from pg_stat_activity where wait_event = 'relation'")
    assert busy == 1
    assert await good is not None
    assert await asyncio.gather(*flood) == [None] * len(flood)


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        (TokenScope.DEPLOY, "POST", f"{FUNCTIONS}/deploy?slug=hello"),
        (TokenScope.DEPLOY, "DELETE", f"{FUNCTIONS}/hello"),
        (TokenScope.DEPLOY, "POST", f"{FUNCTIONS}/hello/rollback"),
        (TokenScope.DEPLOY, "GET", f"{FUNCTIONS}/hello/body"),
        (TokenScope.SECRETS, "GET", SECRETS),
        (TokenScope.SECRETS, "POST", SECRETS),
        (TokenScope.SECRETS, "POST", f"{SECRETS}/reseal"),
        (TokenScope.LOGS, "GET", f"{PROJECT}/analytics/endpoints/logs.all"),
    ],
)
async def test_a_token_needs_the_scope_of_the_route(host: Host, scope: TokenScope, method: str, path: str) -> None:
    host.token = await host.tokens.create("others", set(TokenScope) - {scope})
    refused = await host.ask(method, path)
    assert (refused.status, told(refused)["code"]) == (403, "SCOPE_MISSING")
    assert f"outdial tokens create NAME --scope {scope}" in told(refused)["message"]

    host.token = await host.tokens.create("it", [scope])
    assert (await host.ask(method, path)).status != 403
    assert (await host.ask("GET", "/v1/projects")).status == 200
    assert (await host.ask("GET", FUNCTIONS)).status == 200
    assert await host.api.may_read_metrics(host.token) == (scope is TokenScope.LOGS)


async def test_an_expired_token_is_rejected_with_the_time(host: Host, connection: asyncpg.Connection) -> None:
    host.token = await host.tokens.create("ci", lifetime=timedelta(days=30))
    assert (await host.ask("GET", "/v1/projects")).status == 200
    await connection.execute("update host.access_tokens set created_at = '2026-01-01', expires_at = '2026-01-02'")

    refused = await host.ask("GET", "/v1/projects")

    assert (refused.status, told(refused)["code"]) == (401, "TOKEN_EXPIRED")
    assert "The access token ci expired at 2026-01-02" in told(refused)["message"]
    assert not await host.api.may_read_metrics(host.token)


async def test_deeply_nested_json_is_rejected(host: Host) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    content_type, body = form("hello", saying("1"))
    changed = body.replace(b'"verify_jwt":false', b'"verify_jwt":false,"config":' + deep)
    answers = [
        await host.ask("POST", SECRETS, deep),
        await host.ask("POST", f"{FUNCTIONS}/deploy?slug=hello", changed, content_type),
    ]
    toml = b"a = " + deep
    content_type, body = form("hello", saying("1"), {"supabase/config.toml": toml})
    answers.append(await host.ask("POST", f"{FUNCTIONS}/deploy?slug=hello", body, content_type))

    assert changed != body
    assert [answer.status for answer in answers] == [400, 400, 400]


@pytest.mark.parametrize(
    ("behind_proxy", "protocol", "status"), [(True, "http", 403), (True, "https", 0), (False, "http", 0)]
)
async def test_rejects_a_token_sent_over_plain_http_to_the_proxy(
    host: Host, behind_proxy: bool, protocol: str, status: int
) -> None:
    operations = OperatorRoutes(
        metrics=lambda: (b"", ""), worker_counts=dict, management=host.api, behind_proxy=behind_proxy
    )
    token = (b"authorization", f"Bearer {host.token}".encode())
    answer = operations.admit(
        RequestHead("GET", "/v1/projects", "", [token, (b"x-forwarded-proto", protocol.encode())])
    )

    assert (answer.status if isinstance(answer, HttpResponse) else 0) == status


# Responses.


async def test_lists_one_project(host: Host) -> None:
    (project,) = await host.json("GET", "/v1/projects")

    assert project == await host.json("GET", PROJECT)
    assert (project["ref"], project["id"], project["status"], project["region"]) == (
        REF, REF, "ACTIVE_HEALTHY", "local"
    )  # fmt: skip
    other = "/v1/projects/abcdefghijklmnopqrst"
    for path in (other, f"{other}/functions", f"{other}/secrets"):
        assert REF in (await host.json("GET", path, status=404))["message"]


async def test_masks_secret_keys(host: Host) -> None:
    answer = await host.ask("GET", f"{PROJECT}/api-keys?reveal=true")
    keys = {(key["type"], key["name"]): key["api_key"] for key in msgspec.json.decode(answer.body)}

    assert keys[("legacy", "anon")] == LOCAL_PUBLISHABLE_KEY
    assert keys[("legacy", "service_role")] is None
    assert LOCAL_SECRET_KEY.encode() not in answer.body
    assert LOCAL_JWT_SECRET.encode() not in answer.body


async def test_unknown_paths_get_a_json_error(host: Host) -> None:
    assert (await host.json("GET", "/v1/nowhere", status=404))["code"] == "NOT_FOUND"
    assert (await host.json("GET", f"{FUNCTIONS}/nope", status=404))["message"] == "Function not found"
    answer = await host.ask("PUT", SECRETS)
    assert answer.status == 405
    assert (b"allow", b"GET, POST, DELETE") in answer.headers


async def test_errors_have_the_message_in_every_field_that_clients_read(host: Host) -> None:
    answer = await host.json("GET", f"{FUNCTIONS}/nope", status=404)

    assert answer == {"message": "Function not found", "error": "Function not found", "code": "NOT_FOUND"}


async def test_responses_have_no_cors_headers(host: Host) -> None:
    answers = [
        await host.ask("GET", "/v1/projects"),
        await host.ask("OPTIONS", "/v1/projects"),
        ApiError(1, "", "").to_http(),
    ]

    assert not any(b"access-control" in name.lower() for answer in answers for name, _ in answer.headers)


async def test_log_endpoints_go_to_the_log_reader(host: Host) -> None:
    answer = await host.json("GET", f"{PROJECT}/analytics/endpoints/logs.all?sql=select%201&limit=5")

    assert answer == {"asked": "logs.all", "sql": "select 1", "limit": "5"}


async def test_an_unreachable_database_is_a_503(host: Host, database: Scratch, connection: asyncpg.Connection) -> None:
    await connection.execute("revoke usage on schema host from outdial_host")

    assert (await host.json("GET", "/v1/projects", status=503))["code"] == "DATABASE_UNREACHABLE"


# Functions.


async def test_rejects_docker_bundles_and_names_the_option(host: Host) -> None:
    eszip = "application/vnd.denoland.eszip"
    await host.deploy("hello", saying("1"))
    answers = [
        await host.ask("POST", f"{FUNCTIONS}?slug=new&name=new", b"EZBR", eszip),
        await host.ask("PATCH", f"{FUNCTIONS}/hello?slug=hello", b"EZBR", eszip),
        await host.ask("GET", f"{FUNCTIONS}/hello/body"),
    ]

    assert [answer.status for answer in answers] == [400, 400, 406]
    assert all("--use-api" in told(answer)["message"] for answer in answers)
    assert await host.say("hello") == "1"


@pytest.mark.parametrize(
    ("query", "content_type", "body"),
    [
        ("slug=hello", "application/json", b"{}"),
        ("slug=hello", "multipart/form-data; boundary=b", b"--b--"),
        ("slug=../etc", "multipart/form-data; boundary=b", b"--b--"),
        ("", "multipart/form-data; boundary=b", b"--b--"),
    ],
)
async def test_rejects_an_invalid_deployment(host: Host, query: str, content_type: str, body: bytes) -> None:
    answer = await host.ask("POST", f"{FUNCTIONS}/deploy?{query}", body, content_type)

    assert (answer.status, told(answer)["code"]) == (400, "INVALID_REQUEST")


async def test_downloads_files_byte_for_byte(host: Host) -> None:
    odd = {
        "supabase/functions/hello/ünï cödé.bin": bytes(range(256)) + b"\r\n--",
        "supabase/functions/hello/empty": b"",
    }
    source = saying("1")
    await host.deploy("hello", source, {**odd, "supabase/config.toml": b"[functions.hello]\nmemory_mb = 64"})
    answer = await host.ask("GET", f"{FUNCTIONS}/hello/body", accept="multipart/form-data")

    content_type = dict(answer.headers)[b"content-type"].decode()
    metadata, *files = read_form(content_type, answer.body)
    assert msgspec.json.decode(metadata.content) == {"deno2_entrypoint_path": "supabase/functions/hello/index.py"}
    assert {part.filename: part.content for part in files} == {
        "supabase/functions/hello/index.py": source.encode(),
        **odd,
    }
    assert all(part.headers["supabase-path"] == part.filename for part in files)


# Secrets.


async def test_lists_secrets_by_digest_and_never_by_value(host: Host) -> None:
    answer = await host.ask("POST", SECRETS, msgspec.json.encode([{"name": "A", "value": "s3cret"}]))
    assert (answer.status, answer.body) == (201, b"")

    (secret,) = await host.json("GET", SECRETS)
    assert (secret["name"], secret["value"]) == ("A", hashlib.sha256(b"s3cret").hexdigest())
    assert secret["updated_at"].endswith("Z")
    answer = await host.ask("DELETE", SECRETS, b'["A", "NEVER_SET"]')
    assert (answer.status, answer.body) == (200, b"")
    assert await host.json("GET", SECRETS) == []


@pytest.mark.parametrize(
    "body",
    [
        b'[{"name": "SUPABASE_URL", "value": "s3cret"}]', b'[{"name": "A B", "value": "s3cret"}]', b'{"A": "s3cret"}',
        b'[{"name": "A", "value": 5, "note": "s3cret"}]', b's3cret', b'[{"name": "A", "value": "s3cret\\u0000"}]',
    ],
)  # fmt: skip
async def test_rejects_an_invalid_secret_without_quoting_it(host: Host, body: bytes) -> None:
    answer = await host.ask("POST", SECRETS, body)

    assert answer.status == 400
    assert b"s3cret" not in answer.body
    assert await host.json("GET", SECRETS) == []


async def test_a_host_with_a_different_key_reports_it(database: Scratch, tmp_path: Path, host: Host) -> None:
    await host.json("POST", SECRETS, [{"name": "A", "value": "1"}], status=201)
    (tmp_path / "secrets.key").unlink()
    with pytest.raises(Exception, match="the secret A was encrypted with a key that is not in OUTDIAL_SECRETS_KEY"):
        async with hosting(database, tmp_path, settings=KEYS):
            pass
