"""The launch check asks the workspace about key, agent and numbers, and counts contacts without a variable."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import msgspec
import pytest

from outdial.db.queries.dialing import launch_checks
from outdial.dialer.launching.checks import CheckFinding, check_launch
from outdial.dialer.launching.requests import LaunchChecker
from outdial.retell.client import RetellClient
from outdial.retell.provider import RetellProvider
from outdial.retell.simulator.in_process import SimulatorTransport
from tests.support.dialing import KEY, Stage, open_stage
from tests.support.factories import (
    NOW,
    Campaign,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_tenant,
    insert,
)
from tests.support.postgres import Scratch

FROM = "+12125550000"


@pytest.fixture
async def stage(database: Scratch, connection: asyncpg.Connection) -> AsyncIterator[Stage]:
    async with open_stage(database, connection) as opened:
        yield opened


async def ask(stage: Stage, method: str, path: str, body: dict[str, object]) -> None:
    transport = SimulatorTransport(stage.workspace, stage.clock.now, KEY)
    response = await transport.send(method, path, msgspec.json.encode(body), 5)
    assert response.status in (200, 201), response


async def findings_of(stage: Stage, campaign: Campaign) -> dict[str, list[tuple[str, str]]]:
    """Check as the dialer does; return levels and texts by what they are about."""
    organization_id = campaign.tenant.organization_id
    found = await check_launch(lambda: stage.dialing.for_organization(organization_id), stage.provider, campaign.id)
    assert found is not None
    return by_code(found)


def by_code(found: list[CheckFinding]) -> dict[str, list[tuple[str, str]]]:
    codes: dict[str, list[tuple[str, str]]] = {}
    for finding in found:
        codes.setdefault(finding.code, []).append((finding.level, finding.text))
    return codes


async def prepare(stage: Stage, countries: list[str] | None = None) -> Campaign:
    """Create a campaign of agent_simulator, whose number the workspace has, and whose prompt names five variables."""
    tenant = await create_tenant(stage.look)
    number: dict[str, object] = {"phone_number": FROM}
    if countries is not None:
        number["allowed_outbound_country_list"] = countries
    await ask(stage, "POST", "/create-phone-number", number)
    prompt = (
        "Hello {{name}}, this is {{caller}} about {{ plan }} and {{offer}} at {{current_time}} for {{tone}}, {{phone}}."
    )
    tone = {"tone": "a friend"}
    await ask(
        stage,
        "PATCH",
        "/update-retell-llm/llm_simulator",
        {"general_prompt": prompt, "default_dynamic_variables": tone},
    )
    return await create_campaign(
        stage.look,
        tenant,
        status="draft",
        retell_agent_id="agent_simulator",
        from_number=FROM,
        dynamic_variables='{"caller": "Acme"}',
    )


async def test_all_parts_of_a_launch_check(stage: Stage) -> None:
    campaign = await prepare(stage, ["US"])
    for number, (name, plan) in enumerate([("Ada", "gold"), ("Bo", " "), ("", "gold")]):
        contact = await create_contact(stage.look, campaign.tenant.organization_id, name=name)
        jurisdiction = "US-NY" if number else "GB"
        variables = msgspec.json.encode({"plan": plan}).decode()
        await create_campaign_contact(stage.look, campaign, contact, jurisdiction_key=jurisdiction, variables=variables)

    found = await findings_of(stage, campaign)

    assert found["key"] == [("ok", "The API key is valid, for the workspace Simulator")]
    assert found["agent"] == [("ok", "The agent Simulated agent exists")]
    assert found["number"] == [
        ("problem", f"The number {FROM} cannot call contacts in Britain (UK) (1): allow the country at Retell")
    ]
    assert found["webhooks"][0][0] == "warning"
    assert "voicemail" not in found
    assert found["variables"] == [
        ("problem", "The prompt uses {{name}}, which is empty for 1 of 3 contacts"),
        (
            "problem",
            "The prompt uses {{offer}}, which no contact has: import a column offer, or give the campaign a variable"
            " of this name",
        ),
        (
            "problem",
            "The prompt uses {{phone}}, which calls do not send: use {{user_number}}, which Retell fills in with the"
            " contact's number",
        ),
        ("problem", "The prompt uses {{plan}}, which is empty for 1 of 3 contacts"),
    ]
    event = {"credential": "default", "retell_call_id": "call_1", "event": "call_ended", "body": b"{}"}
    await insert(
        stage.look,
        "webhook_events",
        organization_id=campaign.tenant.organization_id,
        source="webhook",
        body_sha256=b"1" * 32,
        received_at=NOW,
        next_try_at=NOW,
        **event,
    )
    message = "{{name}}, {{plan}}, {{offer}}, {{last_call_summary}}: {{current_time_Europe/Berlin}} {{user_number}}"
    policy = {"action": "leave_message", "message": message, "on_attempt": 4}
    await stage.change("campaigns", campaign.id, voicemail_policy=msgspec.json.encode(policy).decode())
    assert (await findings_of(stage, campaign))["voicemail"] == [
        ("warning", "The voicemail message uses {{name}}, which is empty for 1 of 3 contacts"),
        (
            "problem",
            "The voicemail message uses {{offer}}, which no contact has: import a column offer, or give the campaign a"
            " variable of this name",
        ),
        ("warning", "The voicemail message uses {{plan}}, which is empty for 1 of 3 contacts"),
        (
            "problem",
            "The voicemail message is never left: a contact gets at most 3 attempts, so attempt 4 would never leave the"
            " message. Choose a lower number, or the last attempt",
        ),
    ]
    await stage.change(
        "campaigns",
        campaign.id,
        dynamic_variables='{"caller": "Acme", "offer": "x", "phone": "1", "plan": "y"}',
        max_attempts=4,
    )
    await stage.look.execute("update contacts set name = 'Cy'")

    found = await findings_of(stage, campaign)

    assert found["voicemail"] == [("ok", "Every contact has the variables of the voicemail message: name")]

    assert found["webhooks"] == [("ok", "Webhooks arrive; the last one on 2026-03-10 at 17:00 UTC")]
    assert found["variables"] == [("ok", "Every contact has the variables of the prompt: name")]


async def test_what_the_workspace_lacks_and_what_cannot_be_asked(stage: Stage) -> None:
    campaign = await prepare(stage)
    assert (await findings_of(stage, campaign))["number"] == [("ok", f"The number {FROM} belongs to the workspace")]

    await stage.change(
        "campaigns", campaign.id, retell_agent_id="agent_gone", from_number="+12125550001", more_numbers=[FROM]
    )
    found = await findings_of(stage, campaign)
    assert found["agent"] == [("problem", "The workspace has no agent agent_gone: choose another one")]
    assert [level for level, _ in found["number"]] == ["problem", "ok"]
    assert "variables" not in found

    stage.clients["default"] = RetellClient(SimulatorTransport(stage.workspace, stage.clock.now, "key_wrong"))
    refused = await findings_of(stage, campaign)
    assert refused["key"][0][0] == "problem"
    assert refused.keys() == {"key", "webhooks"}
    stage.clients.clear()
    missing = await findings_of(stage, campaign)
    assert (
        "no API key for the account 'default': enter one in the settings, or set RETELL_API_KEY" in missing["key"][0][1]
    )


async def test_a_requested_check_is_carried_out_once_and_repeated_on_request(stage: Stage) -> None:
    campaign = await prepare(stage)
    organization_id = campaign.tenant.organization_id
    checker = LaunchChecker(stage.dialing, RetellProvider(stage.clients), stage.clock)

    async def request() -> None:
        await launch_checks.request_launch_check(
            stage.look, campaign_id=campaign.id, organization_id=organization_id, now=stage.clock.now()
        )

    async def shown(campaign_id: UUID = campaign.id) -> launch_checks.LaunchCheckRow:
        row = await launch_checks.show_launch_check(
            stage.look, campaign_id=campaign_id, organization_id=organization_id
        )
        assert row is not None
        return row

    assert await checker.run_once() == 0
    await request()
    assert (await shown()).checked_at is None
    assert await checker.run_once() == 1
    assert await checker.run_once() == 0
    assert (await shown()).checked_at == NOW
    assert '"code": "agent"' in (await shown()).findings

    stage.clock.advance(timedelta(minutes=5))
    await request()
    # Another dialer took it and died: it is carried out again after a minute.
    await launch_checks.take_launch_check(stage.look, campaign_id=campaign.id, now=stage.clock.now())
    assert await checker.run_once() == 0
    stage.clock.advance(timedelta(minutes=1, seconds=1))
    assert await checker.run_once() == 1
    assert (await shown()).checked_at == stage.clock.now()

    # Settings stored past the studio that cannot be read are a finding; the check ends.
    stage.clock.advance(timedelta(minutes=5))
    await stage.change("campaigns", campaign.id, voicemail_policy='{"plan": 1}')
    await request()
    assert await checker.run_once() == 1
    assert (await shown()).checked_at == stage.clock.now()
    assert "settings are invalid (unknown key 'plan'" in (await shown()).findings
