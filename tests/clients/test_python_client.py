"""outdial.client, waiting and awaiting, does what the table of cases says; and what only Python can get wrong."""

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

from outdial import client
from outdial.client import AsyncCampaignTriggers, CampaignTriggerError, CampaignTriggers
from tests.clients.misbehaving import Misbehaving
from tests.clients.table import Arranged, Attempt, Told, arranged_faults, differences, token_of
from tests.support.factories import (
    create_campaign,
    create_campaign_contact,
    create_member,
    create_tenant,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "clients.md"
ID = "0190163d-8694-739b-aea5-966c26f8ad91"

Run = Callable[[Attempt], Awaitable[Told]]


def told(result: Any) -> Told:
    """A result as JSON would have it."""
    fields = {name: str(value) if isinstance(value, UUID) else value for name, value in asdict(result).items()}
    if "started" in fields:
        fields["started"] = [str(id) for id in fields["started"]]
    return {"result": fields}


def told_error(error: CampaignTriggerError) -> Told:
    return {
        "error": {"status": error.status, "code": error.code, "message": str(error), "details": dict(error.details)}
    }


def how(attempt: Attempt) -> dict[str, Any]:
    return {"token": attempt.token, "apikey": attempt.apikey, "timeout_s": attempt.timeout_ms / 1000}


async def waiting(attempt: Attempt) -> Told:
    triggers = CampaignTriggers(attempt.url, **how(attempt))
    try:
        return told(await asyncio.to_thread(getattr(triggers, attempt.method), **attempt.arguments))
    except CampaignTriggerError as error:
        return told_error(error)


async def awaiting(attempt: Attempt) -> Told:
    triggers = AsyncCampaignTriggers(attempt.url, **how(attempt))
    try:
        return told(await getattr(triggers, attempt.method)(**attempt.arguments))
    except CampaignTriggerError as error:
        return told_error(error)


both = pytest.mark.parametrize("run", [waiting, awaiting])


@both
async def test_every_case_comes_out_as_the_table_says(cases: list[Arranged], run: Run) -> None:
    found = [[await run(attempt) for attempt in case.attempts] for case in cases]

    assert differences(cases, found) == {}


@both
async def test_every_fault_becomes_the_error_of_the_table(faults: Misbehaving, run: Run) -> None:
    cases = arranged_faults(faults.urls)
    found = [[await run(attempt) for attempt in case.attempts] for case in cases]

    assert differences(cases, found) == {}


KINDS = {
    "nobody": client.ConnectionFailed,
    "silent": client.TimedOut,
    "list-400": client.InvalidRequest,
    "older-401": client.NotAuthenticated,
    "missing-404": client.NotFound,
    "limited-429": client.Unavailable,
    "page-502": client.Unavailable,
    "page-200": client.UnreadableAnswer,
}


@pytest.mark.parametrize("server", KINDS)
async def test_each_error_has_a_class_of_its_own(faults: Misbehaving, server: str) -> None:
    triggers = AsyncCampaignTriggers(faults.urls[server], apikey="k", timeout_s=0.3 if server == "silent" else 20)
    with pytest.raises(CampaignTriggerError) as caught:
        await triggers.start_campaign(ID)
    assert type(caught.value) is KINDS[server]


async def test_a_conflict_and_a_refused_viewer_have_classes_and_the_state(
    connection: asyncpg.Connection, project_url: str
) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant, status="completed")
    operator, viewer = [
        AsyncCampaignTriggers(
            project_url, token=token_of(await create_member(connection, tenant.organization_id, role))
        )
        for role in ("operator", "viewer")
    ]

    with pytest.raises(client.Conflict) as conflict:
        await operator.start_campaign(campaign.id)
    with pytest.raises(client.Forbidden):
        await viewer.start_campaign(campaign.id)
    assert conflict.value.campaign_status == "completed"


async def test_a_redirect_is_not_followed_so_that_no_other_server_sees_the_token(faults: Misbehaving) -> None:
    url = faults.urls["moved"]
    with pytest.raises(client.Refused, match="answered 307"):
        await asyncio.to_thread(CampaignTriggers(url, token="t").start_campaign, ID)
    with pytest.raises(client.Refused, match="answered 307"):
        await AsyncCampaignTriggers(url, token="t").start_campaign(ID)
    assert len(faults.heads) == 2


async def test_a_function_gives_the_token_of_each_request(faults: Misbehaving) -> None:
    tokens = iter(["first", "second", "third"])

    async def later() -> str:
        return next(tokens)

    url = faults.urls["empty-500"]
    for ask in (
        lambda: asyncio.to_thread(CampaignTriggers(url, token=lambda: next(tokens)).start_campaign, ID),
        lambda: AsyncCampaignTriggers(url, token=lambda: next(tokens)).start_campaign(ID),
        lambda: AsyncCampaignTriggers(url, token=later).start_campaign(ID),
    ):
        with pytest.raises(client.Unavailable):
            await ask()
    sent = [re.search(r"(?im)^authorization: Bearer (\w+)", head) for head in faults.heads]
    assert [found and found[1] for found in sent] == ["first", "second", "third"]


def raises() -> str:
    raise LookupError("the session has ended, and its secret was s3cret")


@pytest.mark.parametrize("give", [raises, lambda: "", lambda: "s3cret\n", lambda: None])
async def test_a_function_that_gives_no_token_is_an_error_of_ours_that_tells_none(give: Any) -> None:
    url = "https://abc.supabase.co"
    with pytest.raises(client.TokenUnavailable) as sync_error:
        CampaignTriggers(url, token=give).start_campaign(ID)
    with pytest.raises(client.TokenUnavailable) as async_error:
        await AsyncCampaignTriggers(url, token=give).start_campaign(ID)
    assert str(sync_error.value) == str(async_error.value)
    assert "s3cret" not in str(sync_error.value)


@pytest.mark.parametrize("make", [CampaignTriggers, AsyncCampaignTriggers])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"url": "abc.supabase.co", "token": "t"}, "address of the project"),
        ({"url": "ftp://abc.supabase.co", "token": "t"}, "address of the project"),
        ({"url": "https://user:s3cret@abc.supabase.co", "token": "t"}, "address of the project"),
        ({"url": "https://abc.supabase.co"}, "give a token"),
        ({"url": "https://abc.supabase.co", "token": ""}, "token is empty"),
        ({"url": "https://abc.supabase.co", "token": "s3cret\n"}, "token is empty, or holds"),
        ({"url": "https://abc.supabase.co", "apikey": "s3crét"}, "apikey is empty, or holds"),
        ({"url": "https://abc.supabase.co", "token": "t", "timeout_s": 0}, "above 0"),
    ],
)
def test_arguments_of_which_no_client_can_be_made_are_told_at_once(
    make: Callable[..., object], arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        make(**arguments)
    assert "s3cr" not in str(caught.value)


@pytest.mark.parametrize("ending", ["", "/", "/functions/v1", "/functions/v1/"])
async def test_the_address_may_be_that_of_the_project_or_of_its_functions(faults: Misbehaving, ending: str) -> None:
    with pytest.raises(client.NotFound):
        await AsyncCampaignTriggers(faults.urls["missing-404"] + ending, apikey="k").start_campaign(ID)
    assert faults.heads[0].startswith("POST /missing-404/functions/v1/campaign-trigger HTTP/1.1")


def test_results_do_not_change() -> None:
    result = client.ScheduleResult("schedule_check", ())
    with pytest.raises(FrozenInstanceError):
        result.action = "start_campaign"  # type: ignore[misc]


def test_importing_it_loads_no_other_part_of_ours_and_no_server() -> None:
    program = "import sys, outdial.client; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert {name for name in loaded if name.startswith("outdial.")} == {
        "outdial.client",
        *(f"outdial.client.{name}" for name in ("_request", "_response", "asynchronous", "errors", "results")),
        "outdial.client.synchronous",
    }
    assert {"aiohttp", "asyncpg", "starlette", "fastapi"}.isdisjoint(loaded)


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
