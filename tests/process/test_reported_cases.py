"""What users of other function platforms have reported as broken, as requests to a stack with such functions."""

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import httpx
import pytest

from outdial.auth.keys import LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY
from outdial.clock import SystemClock
from outdial.retell.signature import HEADER, sign
from outdial.stack.local import LOCAL_WEBHOOK_SECRET
from tests.support.dialing import epoch_ms
from tests.support.documented import Project, running_stack
from tests.support.processes import TIMEOUT_S, until

pytestmark = pytest.mark.timeout(300)

HEAD = "import asyncio\nfrom outdial.functions import Context, Request, Response, with_supabase\n"
FETCH = "async def fetch(request: Request, ctx: Context) -> Response:\n    "
FUNCTIONS = {
    "keys": f'@with_supabase(auth="publishable")\n{FETCH}return Response.json(ctx.auth_mode)\n',
    "secrets-only": f'@with_supabase(auth="secret")\n{FETCH}return Response.json(ctx.auth_mode)\n',
    "upload": f'@with_supabase(auth="none", max_body=8 << 20)\n{FETCH}'
    'return Response.json([len(await request.body()), request.headers["content-type"]])\n',
    # One request waits until another one, to the same worker, has arrived.
    "slow": f'released = asyncio.Event()\n@with_supabase(auth="none")\n{FETCH}'
    'await released.wait() if request.query.get("wait") else released.set()\n    return Response("done")\n',
    "stuck": f'@with_supabase(auth="none")\n{FETCH}await asyncio.Event().wait()\n',
    "status": f'@with_supabase(auth="none")\n{FETCH}return Response(status=int(request.query["is"]))\n',
    "pem": f'@with_supabase(auth="none")\n{FETCH}return Response(ctx.env["PEM"])\n',
    "nothing": f'@with_supabase(auth="none")\n{FETCH}return {{"a": 1}} if request.query else None\n',
}
SETTINGS = {"slow": "max_workers = 1", "stuck": "wall_clock_s = 0.3", "pem": 'secrets = ["PEM"]'}
CONFIG = "".join(f"[functions.{slug}]\nverify_jwt = false\n{SETTINGS.get(slug, '')}\n" for slug in FUNCTIONS)
ORIGIN = {"origin": "https://app.example.com"}


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    """A stack with the functions above."""
    with running_stack({slug: HEAD + source for slug, source in FUNCTIONS.items()}, config=CONFIG) as running:
        yield running


@pytest.fixture
def functions(stack: Project) -> Iterator[httpx.Client]:
    """A client of the stack's functions."""
    with httpx.Client(base_url=f"{stack.addresses['api_url']}/functions/v1", timeout=TIMEOUT_S) as client:
        yield client


def signed(body: bytes) -> dict[str, str]:
    return {HEADER: sign(body, LOCAL_WEBHOOK_SECRET, epoch_ms(SystemClock().now()))}


def test_a_preflight_of_supabase_js_and_of_a_page_with_headers_of_its_own_passes(functions: httpx.Client) -> None:
    for asked in ("authorization,x-client-info,apikey,content-type", "authorization,apikey,content-type,x-session-id"):
        headers = {**ORIGIN, "access-control-request-method": "POST", "access-control-request-headers": asked}
        response = functions.options("/campaign-trigger", headers=headers)
        assert response.status_code == 204
        assert response.headers["access-control-allow-origin"] in ("*", ORIGIN["origin"])
        allowed = {name.strip() for name in response.headers["access-control-allow-headers"].lower().split(",")}
        assert set(asked.split(",")) <= allowed


def test_a_bad_token_is_an_error_that_a_page_can_read(functions: httpx.Client) -> None:
    response = functions.post("/campaign-trigger", headers={**ORIGIN, "authorization": "Bearer bad-token"})

    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] in ("*", ORIGIN["origin"])


def test_a_publishable_key_may_come_in_both_headers_at_once(functions: httpx.Client) -> None:
    both = {"apikey": LOCAL_PUBLISHABLE_KEY, "authorization": f"Bearer {LOCAL_PUBLISHABLE_KEY}"}

    assert functions.post("/keys", headers=both).json() == "publishable"
    refused = functions.post("/secrets-only", headers=both)
    assert (refused.status_code, refused.json()["code"]) == (401, "INVALID_CREDENTIALS")


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'"x"', b"1", b'{"action": "start_camp', b"\xff", b"[" * 10_000],
    ids=["empty", "null", "list", "text", "number", "cut", "bytes", "deep"],
)
def test_a_body_that_is_no_action_is_refused_with_a_code(functions: httpx.Client, body: bytes) -> None:
    response = functions.post("/campaign-trigger", content=body, headers={"apikey": LOCAL_SECRET_KEY})

    assert response.status_code == 400
    assert response.json()["code"] in ("INVALID_JSON", "INVALID_REQUEST")


async def test_a_slow_request_delays_no_other_and_a_stuck_one_ends_with_the_wall_clock(stack: Project) -> None:
    url = f"{stack.addresses['api_url']}/functions/v1"
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
        slow = asyncio.create_task(client.get(f"{url}/slow?wait=1"))
        stuck = asyncio.create_task(client.get(f"{url}/stuck"))
        assert (await client.post(f"{url}/keys", headers={"apikey": LOCAL_PUBLISHABLE_KEY})).status_code == 200
        # The worker that holds the slow request serves this one, which lets the slow one go.
        assert (await client.get(f"{url}/slow")).text == "done"
        assert (await slow).text == "done"
        assert ((await stuck).status_code, (await stuck).json()["code"]) == (504, "IDLE_TIMEOUT")


def test_uploads_arrive_whole_as_a_form_and_in_chunks(functions: httpx.Client) -> None:
    form = functions.post("/upload", files={"file": ("a.bin", bytes(5 << 20))})
    size, kind = form.json()
    assert size > 5 << 20
    assert kind.startswith("multipart/form-data; boundary=")

    chunks = (bytes(1 << 20) for _ in range(5))
    chunked = functions.post("/upload", content=chunks, headers={"content-type": "text/plain"})
    assert chunked.json() == [5 << 20, "text/plain"]


def test_a_status_without_a_body_passes_and_an_impossible_one_is_an_error(functions: httpx.Client) -> None:
    empty = functions.get("/status?is=204")
    assert (empty.status_code, empty.content) == (204, b"")
    for status in (199, 999):
        response = functions.get(f"/status?is={status}")
        assert (response.status_code, response.json()["code"]) == (500, "INVALID_RESPONSE_STATUS_CODE")


@pytest.mark.parametrize("path", ["/functions/v1/campaign-trigger/", "/functions/v1//campaign-trigger"])
def test_one_slash_too_many_is_served_or_a_404_that_a_page_can_read(stack: Project, path: str) -> None:
    response = httpx.post(stack.addresses["api_url"] + path, headers=ORIGIN, timeout=TIMEOUT_S)

    assert response.status_code in (401, 404)
    assert response.headers["access-control-allow-origin"] in ("*", ORIGIN["origin"])


@pytest.mark.parametrize(("query", "returned"), [("", "NoneType"), ("?x=1", "dict")])
async def test_a_function_that_returns_no_response_is_a_500_and_the_log_says_what_it_returned(
    stack: Project, query: str, returned: str
) -> None:
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
        response = await client.get(f"{stack.addresses['api_url']}/functions/v1/nothing{query}")

    assert (response.status_code, response.json()["code"]) == (500, "EDGE_FUNCTION_ERROR")
    logs = f"python -m outdial.cli functions logs nothing --request-id {response.json()['request_id']}"

    async def logged() -> bool:
        return f"the function returned {returned}, not a Response" in await asyncio.to_thread(stack.run, logs)

    await until(logged, "the log does not say what the function returned")


def test_a_secret_of_several_lines_reaches_the_function_as_it_is(stack: Project, functions: httpx.Client) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n= two\n-----END PRIVATE KEY-----"
    (stack.directory / "key.pem").write_text(key + "\n")

    stack.run('python -m outdial.cli secrets set PEM="$(cat key.pem)"')

    assert functions.get("/pem").text == key


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"])
def test_a_signature_covers_the_raw_bytes_whatever_their_type(functions: httpx.Client, kind: str) -> None:
    body = b'{ "event" : "call_started" ,  "call": {"call_id": "raw"} }\n'

    response = functions.post("/retell-webhook", content=body, headers={**signed(body), "content-type": kind})

    assert (response.status_code, response.json()) == (200, {"success": True, "event": "call_started"})


async def test_an_event_sent_five_times_at_once_is_one_row_and_another_body_a_second(stack: Project) -> None:
    url = f"{stack.addresses['api_url']}/functions/v1/retell-webhook"
    bodies = [b'{"event": "call_ended", "call": {"call_id": "five"}}'] * 5
    bodies.append(b'{"event": "call_ended", "call": {"call_id": "five", "end_timestamp": 1}}')
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
        sent = await asyncio.gather(*(client.post(url, content=body, headers=signed(body)) for body in bodies))
    assert [response.status_code for response in sent] == [200] * 6

    connection = await asyncpg.connect(stack.addresses["database_url"])
    try:
        rows: list[Any] = await connection.fetch("select repeats from webhook_events where retell_call_id = 'five'")
    finally:
        await connection.close()
    assert sorted(row["repeats"] for row in rows) == [0, 4]
