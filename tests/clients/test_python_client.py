"""Both Python clients pass the table of cases; and tests of what is specific to Python."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import FrozenInstanceError, asdict
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

import outdial_client
from tests.clients.broken_server import BrokenServer
from tests.clients.table import Attempt, Observed, PreparedCase, differences, prepare_faults, token_of
from tests.support.factories import (
    create_campaign,
    create_campaign_contact,
    create_member,
    create_tenant,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "clients.md"
PACKAGE = Path(__file__).parents[2] / "clients" / "python" / "src"
ID = "0190163d-8694-739b-aea5-966c26f8ad91"

Run = Callable[[Attempt], Awaitable[Observed]]


def observed_result(result: Any) -> Observed:
    """Return a result as JSON would have it."""
    fields = {name: str(value) if isinstance(value, UUID) else value for name, value in asdict(result).items()}
    if "started" in fields:
        fields["started"] = [str(id) for id in fields["started"]]
    if "results" in fields:
        fields["results"] = [{name: each[name] for name in ("status", "kind")} for each in fields["results"]]
    return {"result": fields}


def observed_error(error: outdial_client.CampaignTriggerError) -> Observed:
    return {
        "error": {"status": error.status, "code": error.code, "message": str(error), "details": dict(error.details)}
    }


def client_options(attempt: Attempt) -> dict[str, Any]:
    return {"token": attempt.token, "apikey": attempt.apikey, "timeout_s": attempt.timeout_ms / 1000}


async def synchronous(attempt: Attempt) -> Observed:
    triggers = outdial_client.CampaignTriggers(attempt.url, **client_options(attempt))
    try:
        return observed_result(await asyncio.to_thread(getattr(triggers, attempt.method), **attempt.arguments))
    except outdial_client.CampaignTriggerError as error:
        return observed_error(error)


async def asynchronous(attempt: Attempt) -> Observed:
    triggers = outdial_client.AsyncCampaignTriggers(attempt.url, **client_options(attempt))
    try:
        return observed_result(await getattr(triggers, attempt.method)(**attempt.arguments))
    except outdial_client.CampaignTriggerError as error:
        return observed_error(error)


both = pytest.mark.parametrize("run", [synchronous, asynchronous])


@both
async def test_every_case_passes(cases: list[PreparedCase], run: Run) -> None:
    found = [[await run(attempt) for attempt in case.attempts] for case in cases]

    assert differences(cases, found) == {}


@both
async def test_every_fault_raises_its_error(faults: BrokenServer, run: Run) -> None:
    cases = prepare_faults(faults.urls)
    found = [[await run(attempt) for attempt in case.attempts] for case in cases]

    assert differences(cases, found) == {}


KINDS = {
    "unreachable": outdial_client.ConnectionFailedError,
    "silent": outdial_client.RequestTimeoutError,
    "list-400": outdial_client.InvalidRequestError,
    "older-401": outdial_client.NotAuthenticatedError,
    "missing-404": outdial_client.NotFoundError,
    "limited-429": outdial_client.UnavailableError,
    "page-502": outdial_client.UnavailableError,
    "page-200": outdial_client.InvalidResponseError,
}


@pytest.mark.parametrize("server", KINDS)
async def test_each_error_has_its_own_class(faults: BrokenServer, server: str) -> None:
    triggers = outdial_client.AsyncCampaignTriggers(
        faults.urls[server], apikey="k", timeout_s=0.3 if server == "silent" else 20
    )
    with pytest.raises(outdial_client.CampaignTriggerError) as caught:
        await triggers.start_campaign(ID)
    assert type(caught.value) is KINDS[server]


async def test_a_conflict_carries_the_status_and_a_viewer_is_forbidden(
    connection: asyncpg.Connection, project_url: str
) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant, status="completed")
    operator, viewer = [
        outdial_client.AsyncCampaignTriggers(
            project_url, token=token_of(await create_member(connection, tenant.organization_id, role))
        )
        for role in ("operator", "viewer")
    ]

    with pytest.raises(outdial_client.ConflictError) as conflict:
        await operator.start_campaign(campaign.id)
    with pytest.raises(outdial_client.ForbiddenError):
        await viewer.start_campaign(campaign.id)
    assert conflict.value.campaign_status == "completed"


async def test_redirects_are_not_followed_so_no_other_server_sees_the_token(faults: BrokenServer) -> None:
    url = faults.urls["moved"]
    with pytest.raises(outdial_client.ResponseError, match="responded 307"):
        await asyncio.to_thread(outdial_client.CampaignTriggers(url, token="t").start_campaign, ID)
    with pytest.raises(outdial_client.ResponseError, match="responded 307"):
        await outdial_client.AsyncCampaignTriggers(url, token="t").start_campaign(ID)
    assert len(faults.heads) == 2


async def test_a_function_returns_the_token_of_each_request(faults: BrokenServer) -> None:
    tokens = iter(["first", "second", "third"])

    async def later() -> str:
        return next(tokens)

    url = faults.urls["empty-500"]
    for ask in (
        lambda: asyncio.to_thread(outdial_client.CampaignTriggers(url, token=lambda: next(tokens)).start_campaign, ID),
        lambda: outdial_client.AsyncCampaignTriggers(url, token=lambda: next(tokens)).start_campaign(ID),
        lambda: outdial_client.AsyncCampaignTriggers(url, token=later).start_campaign(ID),
    ):
        with pytest.raises(outdial_client.UnavailableError):
            await ask()
    sent = [re.search(r"(?im)^authorization: Bearer (\w+)", head) for head in faults.heads]
    assert [found and found[1] for found in sent] == ["first", "second", "third"]


def raises() -> str:
    raise LookupError("the session has ended, and its secret was s3cret")


@pytest.mark.parametrize("give", [raises, lambda: "", lambda: "s3cret\n", lambda: None])
async def test_a_failing_token_function_raises_an_error_without_the_secret(give: Any) -> None:
    url = "https://abc.supabase.co"
    with pytest.raises(outdial_client.TokenUnavailableError) as sync_error:
        outdial_client.CampaignTriggers(url, token=give).start_campaign(ID)
    with pytest.raises(outdial_client.TokenUnavailableError) as async_error:
        await outdial_client.AsyncCampaignTriggers(url, token=give).start_campaign(ID)
    assert str(sync_error.value) == str(async_error.value)
    assert "s3cret" not in str(sync_error.value)


@pytest.mark.parametrize("make", [outdial_client.CampaignTriggers, outdial_client.AsyncCampaignTriggers])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"url": "abc.supabase.co", "token": "t"}, "project's URL"),
        ({"url": "ftp://abc.supabase.co", "token": "t"}, "project's URL"),
        ({"url": "https://user:s3cret@abc.supabase.co", "token": "t"}, "project's URL"),
        ({"url": "https://abc.supabase.co"}, "pass a token"),
        ({"url": "https://abc.supabase.co", "token": ""}, "token is empty"),
        ({"url": "https://abc.supabase.co", "token": "s3cret\n"}, "token is empty or contains"),
        ({"url": "https://abc.supabase.co", "apikey": "s3crét"}, "apikey is empty or contains"),
        ({"url": "https://abc.supabase.co", "token": "t", "timeout_s": 0}, "above 0"),
    ],
)
def test_unusable_arguments_raise_at_once(make: Callable[..., object], arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        make(**arguments)
    assert "s3cr" not in str(caught.value)


@pytest.mark.parametrize("ending", ["", "/", "/functions/v1", "/functions/v1/"])
async def test_the_url_may_be_of_the_project_or_of_its_functions(faults: BrokenServer, ending: str) -> None:
    with pytest.raises(outdial_client.NotFoundError):
        await outdial_client.AsyncCampaignTriggers(faults.urls["missing-404"] + ending, apikey="k").start_campaign(ID)
    assert faults.heads[0].startswith("POST /missing-404/functions/v1/campaign-trigger HTTP/1.1")


def test_results_do_not_change() -> None:
    result = outdial_client.ScheduleResult("schedule_check", ())
    with pytest.raises(FrozenInstanceError):
        result.action = "start_campaign"  # type: ignore[misc]


def test_the_client_imports_neither_outdial_nor_a_server() -> None:
    program = f"import sys; sys.path.insert(0, {str(PACKAGE)!r}); import outdial_client; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert {name for name in loaded if name.startswith("outdial")} == {
        "outdial_client",
        *(
            f"outdial_client.{name}"
            for name in ("_actions", "_request", "_response", "asynchronous", "errors", "results")
        ),
        "outdial_client.synchronous",
    }
    assert {"aiohttp", "asyncpg", "msgspec", "starlette", "fastapi"}.isdisjoint(loaded)


async def test_the_examples_of_the_document_run(connection: asyncpg.Connection, project_url: str) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant, status="draft", next_batch_at=None)
    await create_campaign_contact(connection, campaign)
    token = token_of(await create_member(connection, tenant.organization_id))
    names = {"url": project_url, "access_token": token, "campaign_id": campaign.id}

    examples = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    for example in examples:
        await asyncio.to_thread(exec, compile(example, DOCUMENT.name, "exec"), dict(names))

    assert len(examples) == 2
    assert await connection.fetchval("select status from campaigns where id = $1", campaign.id) == "cancelling"
