"""campaign-trigger over HTTP: every action, as everybody who may and may not, with every refusal."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import jwt
import pytest

from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY
from outdial.clock import VirtualClock
from outdial.functions import Runtime
from outdial.functions.loading import load_functions
from outdial.functions.server import FunctionApp, serving
from outdial.settings import MissingSetting
from tests.support.factories import (
    NOW,
    Campaign,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_member,
    create_tenant,
)
from tests.support.postgres import Scratch

FUNCTIONS = Path(__file__).parents[2] / "supabase" / "functions"
SLUG = "campaign-trigger"
ACTIONS = ("start_campaign", "process_batch", "pause_campaign", "resume_campaign", "cancel_campaign")


def env_of(database: Scratch) -> dict[str, str]:
    """Return the settings of the function."""
    return {
        "SUPABASE_URL": "http://127.0.0.1:54321",
        "SUPABASE_DB_URL": database.dsn,
        "SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET,
        "SUPABASE_ANON_KEY": LOCAL_PUBLISHABLE_KEY,
        "SUPABASE_SERVICE_ROLE_KEY": LOCAL_SECRET_KEY,
    }


def sign(**claims: Any) -> str:
    """Return a token of the project, good for an hour."""
    standing = {"aud": "authenticated", "exp": int((NOW + timedelta(hours=1)).timestamp())}
    return jwt.encode({**standing, **claims}, LOCAL_JWT_SECRET, "HS256")


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries it."""
    return {"authorization": f"Bearer {token}"}


@dataclass
class Answer:
    """What came back."""

    status: int
    body: dict[str, Any]
    code: str | None


@dataclass
class Trigger:
    """The served function, and people who call it."""

    session: aiohttp.ClientSession
    look: asyncpg.Connection
    clock: VirtualClock
    campaign: Campaign
    people: dict[str, dict[str, str]]

    async def ask(self, who: str = "operator", **order: Any) -> Answer:
        """Call the function as one of the people."""
        if order.get("action") in ACTIONS:
            order.setdefault("campaign_id", str(self.campaign.id))
        async with self.session.post(SLUG, json=order, headers=self.people[who]) as response:
            return Answer(response.status, await response.json(), response.headers.get("sb-error-code"))

    async def status(self, campaign: Campaign | None = None) -> str:
        """Return the campaign's status."""
        sql = "select status from campaigns where id = $1"
        return str(await self.look.fetchval(sql, (campaign or self.campaign).id))


@pytest.fixture
async def trigger(database: Scratch, connection: asyncpg.Connection) -> AsyncIterator[Trigger]:
    """The function over a draft with one contact, and its people."""
    tenant, other = await create_tenant(connection), await create_tenant(connection, credential="other")
    campaign = await create_campaign(connection, tenant, status="draft", next_batch_at=None)
    await create_campaign_contact(connection, campaign)
    people = {
        role: bearer(sign(sub=str(await create_member(connection, tenant.organization_id, role)), role="authenticated"))
        for role in ("owner", "admin", "operator", "viewer")
    }
    outsider = await create_member(connection, other.organization_id, "owner")
    people |= {
        "outsider": bearer(sign(sub=str(outsider), role="authenticated")),
        "secret": {"apikey": LOCAL_SECRET_KEY},
        "secret as bearer": bearer(LOCAL_SECRET_KEY),
        "service": bearer(sign(role="service_role")),
        "publishable": {"apikey": LOCAL_PUBLISHABLE_KEY},
        "anon": bearer(sign(role="anon")),
        "expired": bearer(sign(sub=str(outsider), role="authenticated", exp=int(NOW.timestamp()) - 3600)),
        "nobody": {},
    }
    clock = VirtualClock(NOW)
    function = load_functions(FUNCTIONS)[SLUG]
    app = FunctionApp({SLUG: function}, Runtime.from_env(env_of(database), clock))
    async with serving(app) as url, aiohttp.ClientSession(f"{url}/functions/v1/") as session:
        yield Trigger(session, connection, clock, campaign, people)


@pytest.mark.parametrize("who", ["owner", "admin", "operator", "secret", "secret as bearer", "service"])
async def test_operators_can_run_a_campaign_through_all_states(trigger: Trigger, who: str) -> None:
    steps = [
        ("start_campaign", "active"),
        ("process_batch", "active"),
        ("pause_campaign", "paused"),
        ("resume_campaign", "active"),
        ("cancel_campaign", "cancelling"),
    ]
    for action, status in steps:
        answer = await trigger.ask(who, action=action)
        assert answer.status == 200, answer
        assert answer.body["success"] is True
        assert (answer.body["action"], answer.body["campaign_id"]) == (action, str(trigger.campaign.id))
        assert (answer.body["status"], answer.body["changed"]) == (status, True)
        assert answer.body["progress"]["total"] == 1
        assert await trigger.status() == status
    entries = await trigger.look.fetch("select actor, action from audit_log order by id")
    assert [entry["action"] for entry in entries] == [action for action, _ in steps]
    actors = {entry["actor"] for entry in entries}
    assert actors == {"service"} if "se" in who else actors.isdisjoint({"service"})


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_viewer_may_look_and_not_act(trigger: Trigger, action: str) -> None:
    answer = await trigger.ask("viewer", action=action)
    assert (answer.status, answer.code) == (403, "FORBIDDEN")
    assert answer.body["message"].startswith("You need the Operator role")
    assert await trigger.status() == "draft"


@pytest.mark.parametrize("action", ACTIONS)
async def test_to_an_outsider_the_campaign_is_not_there(trigger: Trigger, action: str) -> None:
    answer = await trigger.ask("outsider", action=action)
    unknown = await trigger.ask("operator", action=action, campaign_id=str(uuid4()))
    assert (answer.status, answer.code) == (404, "CAMPAIGN_NOT_FOUND")
    assert answer == unknown
    assert await trigger.status() == "draft"


@pytest.mark.parametrize("who", ["nobody", "publishable", "anon", "expired"])
async def test_without_a_credential_of_the_right_kind_nothing_is_done(trigger: Trigger, who: str) -> None:
    answer = await trigger.ask(who, action="start_campaign")
    assert answer.status == 401
    assert answer.code == answer.body["code"]
    assert await trigger.status() == "draft"


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ({"action": "explode"}, "the actions are start_campaign, process_batch"),
        ({}, "action"),
        ({"action": 7}, "action"),
        ({"action": "start_campaign", "campaign_id": None}, "campaign_id is missing"),
        ({"action": "start_campaign", "campaign_id": "x"}, "campaign_id"),
        ({"action": "process_batch", "batch_size": 0}, "batch_size must be from 1 to 1000"),
        ({"action": "process_batch", "batch_size": 1001}, "batch_size must be from 1 to 1000"),
        ({"action": "process_batch", "batch_size": "many"}, "batch_size"),
        ({"action": "start_campaign", "hang_upp": True}, "hang_upp"),
        ({"action": "schedule_check", "organization_id": "x"}, "organization_id"),
    ],
)
async def test_an_invalid_request_is_rejected_with_the_reason(
    trigger: Trigger, order: dict[str, Any], says: str
) -> None:
    answer = await trigger.ask(**order)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert answer.body["error"] == answer.body["message"]
    assert says in answer.body["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
async def test_a_body_that_is_not_json_is_rejected(trigger: Trigger, body: bytes) -> None:
    async with trigger.session.post(SLUG, data=body, headers=trigger.people["operator"]) as response:
        assert response.status == 400
        assert (await response.json())["code"] == "INVALID_JSON"


async def test_other_methods_are_rejected_and_a_preflight_succeeds(trigger: Trigger) -> None:
    async with trigger.session.get(SLUG) as response:
        assert response.status == 405
    async with trigger.session.options(SLUG) as response:
        assert response.status == 204
        assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("status", "action"),
    [
        ("draft", "process_batch"),
        ("draft", "pause_campaign"),
        ("draft", "resume_campaign"),
        ("paused", "start_campaign"),
        ("paused", "process_batch"),
        ("completed", "start_campaign"),
        ("completed", "resume_campaign"),
        ("completed", "cancel_campaign"),
        ("cancelled", "start_campaign"),
        ("cancelled", "pause_campaign"),
    ],
)
async def test_a_wrong_campaign_state_is_in_the_body(trigger: Trigger, status: str, action: str) -> None:
    async with trigger.look.transaction():
        await trigger.look.execute("set local session_replication_role = replica")
        await trigger.look.execute("update campaigns set status = $1", status)
    answer = await trigger.ask(action=action)
    assert (answer.status, answer.code) == (409, "CAMPAIGN_STATE")
    assert (answer.body["status"], answer.body["action"]) == (status, action)
    assert status in answer.body["message"]
    assert await trigger.status() == status


async def test_a_campaign_without_contacts_does_not_start(trigger: Trigger) -> None:
    await trigger.look.execute("delete from campaign_contacts")
    answer = await trigger.ask(action="start_campaign")
    assert (answer.status, answer.body["status"]) == (409, "draft")
    assert "import some first" in answer.body["message"]


@pytest.mark.parametrize("action", ["start_campaign", "pause_campaign", "resume_campaign", "cancel_campaign"])
async def test_repeating_a_request_does_no_harm(trigger: Trigger, action: str) -> None:
    if action != "start_campaign":
        await trigger.ask(action="start_campaign")
    if action == "resume_campaign":
        await trigger.ask(action="pause_campaign")
    first = await trigger.ask(action=action)
    before = await trigger.look.fetchrow("select * from campaigns where id = $1", trigger.campaign.id)
    trigger.clock.advance(timedelta(seconds=10))
    again = await trigger.ask(action=action)
    assert (first.status, first.body["changed"]) == (200, True)
    assert (again.status, again.body["changed"], again.body["status"]) == (200, False, first.body["status"])
    assert await trigger.look.fetchrow("select * from campaigns where id = $1", trigger.campaign.id) == before


async def test_a_pause_with_a_request_in_flight_reads_pausing(trigger: Trigger) -> None:
    await trigger.ask(action="start_campaign")
    await create_calling(trigger.look, trigger.campaign)
    answer = await trigger.ask(action="pause_campaign")
    assert answer.body["status"] == "pausing"
    assert answer.body["progress"]["live_calls"] == 1


async def test_process_batch_makes_the_campaign_due_now_with_the_size_that_was_asked_for(trigger: Trigger) -> None:
    await trigger.ask(action="start_campaign")
    await trigger.look.execute("update campaigns set next_batch_at = $1", NOW + timedelta(hours=1))
    await trigger.ask(action="process_batch", batch_size=7)
    sql = "select next_batch_at, next_batch_size, batch_size from campaigns where id = $1"
    assert tuple(await trigger.look.fetchrow(sql, trigger.campaign.id) or ()) == (NOW, 7, 10)


async def test_a_draft_whose_time_has_not_come_is_scheduled_and_starts_with_the_schedule_check(
    trigger: Trigger,
) -> None:
    at = NOW + timedelta(minutes=30)
    await trigger.look.execute("update campaigns set scheduled_at = $1 where id = $2", at, trigger.campaign.id)
    assert (await trigger.ask(action="start_campaign")).body["status"] == "scheduled"
    early = await trigger.ask(action="schedule_check")
    assert early.body == {"success": True, "action": "schedule_check", "started": []}
    trigger.clock.set(at)
    organization_id = str(trigger.campaign.tenant.organization_id)
    due = await trigger.ask(action="schedule_check", organization_id=organization_id)
    assert due.body["started"] == [str(trigger.campaign.id)]
    assert (await trigger.ask(action="schedule_check")).body["started"] == []
    assert await trigger.status() == "active"


async def scheduled(trigger: Trigger) -> None:
    """Schedule the campaign for now."""
    sql = "update campaigns set status = 'scheduled', scheduled_at = $1 where id = $2"
    await trigger.look.execute(sql, NOW, trigger.campaign.id)


async def test_a_schedule_check_starts_only_campaigns_the_caller_may_run(trigger: Trigger) -> None:
    await scheduled(trigger)
    for who in ("viewer", "outsider"):
        answer = await trigger.ask(who, action="schedule_check")
        assert (answer.status, answer.body.get("started")) == (200, []), who
    organization_id = str(trigger.campaign.tenant.organization_id)
    answer = await trigger.ask("outsider", action="schedule_check", organization_id=organization_id)
    assert (answer.status, answer.code) == (404, "CAMPAIGN_NOT_FOUND")
    assert await trigger.status() == "scheduled"


async def test_a_schedule_check_with_the_service_key_starts_the_campaigns_of_all(trigger: Trigger) -> None:
    await scheduled(trigger)
    other = await create_campaign(
        trigger.look,
        await create_tenant(trigger.look, credential="third"),
        status="scheduled",
        scheduled_at=NOW,
        next_batch_at=None,
    )
    answer = await trigger.ask("secret", action="schedule_check")
    assert {UUID(id) for id in answer.body["started"]} == {trigger.campaign.id, other.id}


async def test_a_start_reaches_a_listening_dialer(trigger: Trigger, database: Scratch) -> None:
    heard = asyncio.Queue[str]()
    listener = await asyncpg.connect(database.dsn_for("outdial_dialer"))
    await listener.add_listener("outdial_campaigns", lambda *args: heard.put_nowait(str(args[-1])))
    await trigger.ask(action="start_campaign")
    assert await asyncio.wait_for(heard.get(), 30) == str(trigger.campaign.id)
    await listener.close()


async def test_hang_up_is_recorded_even_while_cancelling(trigger: Trigger) -> None:
    await trigger.ask(action="start_campaign")
    await trigger.ask(action="cancel_campaign")
    answers = [await trigger.ask(action="cancel_campaign", hang_up=True) for _ in range(2)]
    assert [answer.body["changed"] for answer in answers] == [True, False]
    await trigger.ask(action="cancel_campaign")
    assert await trigger.look.fetchval("select hang_up from campaigns where id = $1", trigger.campaign.id) is True


@pytest.mark.parametrize("name", ["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_DB_URL"])
async def test_a_missing_setting_stops_the_start_with_one_line_that_names_it(database: Scratch, name: str) -> None:
    env = {key: value for key, value in env_of(database).items() if key != name}
    app = FunctionApp({SLUG: load_functions(FUNCTIONS)[SLUG]}, Runtime.from_env(env, VirtualClock(NOW)))
    with pytest.raises(MissingSetting, match=name) as raised:
        async with serving(app):
            pass
    assert "\n" not in str(raised.value)
