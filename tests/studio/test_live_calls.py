"""Live calls: who is on the line, with which agent, since when; what has just ended; and else the next call."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from outdial.dialer.live import board
from outdial.studio.live_calls import pages
from tests.support.factories import (
    NOW,
    Campaign,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_member,
    create_tenant,
    create_test_call,
    insert,
)
from tests.support.studio import CSRF, BrowserFor, ClientFor, StudioServer


@pytest.fixture
async def campaign(connection: asyncpg.Connection) -> Campaign:
    return await create_campaign(connection, await create_tenant(connection), name="Spring")


@pytest.fixture
async def operator(connection: asyncpg.Connection, campaign: Campaign) -> UUID:
    return await create_member(connection, campaign.tenant.organization_id, "operator")


async def create_busy_line(connection: asyncpg.Connection, campaign: Campaign) -> dict[str, UUID]:
    """A call that talks and one that rings, one of another campaign, and two that have ended, one of them long ago."""
    tenant = campaign.tenant
    ada = await create_contact(connection, tenant.organization_id, name="Ada Hopper")
    await insert(
        connection,
        "agents",
        provider_account_id=tenant.provider_account_id,
        organization_id=tenant.organization_id,
        agent_id="agent_7",
        name="Maria",
        seen_at=NOW,
    )
    other = await create_campaign(connection, tenant, name="Autumn")
    ended: dict[str, Any] = {"status": "ended", "duration_ms": 61_000}
    _, talking = await create_calling(
        connection,
        campaign,
        ada,
        status="ongoing",
        requested_at=NOW - timedelta(seconds=60),
        started_at=NOW - timedelta(seconds=42),
        request='{"override_agent_id": "agent_7"}',
    )
    _, ringing = await create_calling(
        connection, campaign, status="placed", placed_at=NOW - timedelta(seconds=5), hang_up_due_at=NOW
    )
    _, elsewhere = await create_calling(connection, other, requested_at=NOW + timedelta(seconds=3))
    _, voicemail = await create_calling(
        connection, campaign, **ended, outcome="voicemail", ended_at=NOW - timedelta(minutes=1)
    )
    await create_calling(connection, campaign, **ended, outcome="answered", ended_at=NOW - timedelta(minutes=6))
    return {"talking": talking, "ringing": ringing, "elsewhere": elsewhere, "voicemail": voicemail}


async def read(client_for: ClientFor, user: UUID, campaign: Campaign, path: str = "") -> Any:
    client = await client_for(user)
    response = await client.get(f"/api/v1/organizations/{campaign.tenant.organization_id}{path}/live-calls")
    assert response.status_code == 200, response.text
    return response.json()


async def test_live_calls_have_their_agent_their_state_and_the_time_since_they_were_answered(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign, operator: UUID
) -> None:
    line = await create_busy_line(connection, campaign)
    await create_test_call(connection, campaign)

    live = await read(client_for, operator, campaign)

    shown = {each["id"]: each for each in live["calls"]}
    assert list(shown) == [str(line["talking"]), str(line["ringing"]), str(line["elsewhere"])]
    talking, ringing, elsewhere = shown.values()
    assert (talking["name"], talking["campaign_name"], talking["agent_name"], talking["state"]) == (
        "Ada Hopper", "Spring", "Maria", "talking",
    )  # fmt: skip
    assert talking["since"] == (NOW - timedelta(seconds=42)).isoformat().replace("+00:00", "Z")
    assert (ringing["state"], ringing["is_hanging_up"], ringing["agent_name"]) == ("ringing", True, None)
    assert (elsewhere["state"], elsewhere["campaign_name"]) == ("dialing", "Autumn")
    assert elsewhere["since"] == NOW.isoformat().replace("+00:00", "Z")
    assert [(each["id"], each["outcome"], each["duration_ms"]) for each in live["ended"]] == [
        (str(line["voicemail"]), "voicemail", 61_000)
    ]
    assert live["lines"] == {"lines": 20, "in_use": 4}
    assert live["next_call"] is None

    of_campaign = await read(client_for, operator, campaign, f"/campaigns/{campaign.id}")
    assert [each["id"] for each in of_campaign["calls"]] == [str(line["talking"]), str(line["ringing"])]
    assert of_campaign["lines"] == {"lines": 20, "in_use": 4}


async def test_another_organization_has_its_own_line(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign
) -> None:
    await create_busy_line(connection, campaign)
    other = await create_campaign(connection, await create_tenant(connection, credential="other"))
    member = await create_member(connection, other.tenant.organization_id, "viewer")

    live = await read(client_for, member, other)

    assert (live["calls"], live["ended"], live["lines"]["in_use"]) == ([], [], 0)
    client = await client_for(member)
    organizations = "/api/v1/organizations"
    assert (await client.get(f"{organizations}/{campaign.tenant.organization_id}/live-calls")).status_code == 404
    path = f"{organizations}/{other.tenant.organization_id}/campaigns/{campaign.id}/live-calls"
    assert (await client.get(path)).status_code == 404


async def test_without_a_call_the_next_one_is_the_earliest_of_all_campaigns(
    connection: asyncpg.Connection, client_for: ClientFor, browser_for: BrowserFor, campaign: Campaign, operator: UUID
) -> None:
    tenant = campaign.tenant
    for status in ("pausing", "paused"):
        await connection.execute("update campaigns set status = $2 where id = $1", campaign.id, status)
    nothing = (await read(client_for, operator, campaign))["next_call"]
    assert nothing == {"campaign_id": None, "at": None, "waiting": None}
    late, soon = [
        await create_campaign(
            connection, tenant, status="scheduled", scheduled_at=NOW + timedelta(hours=hours), next_batch_at=None
        )
        for hours in (9, 2)
    ]

    first = (await read(client_for, operator, campaign))["next_call"]
    assert first["campaign_id"] == str(soon.id)
    assert first["at"] == (NOW + timedelta(hours=2)).isoformat().replace("+00:00", "Z")
    assert first["waiting"]["code"] == "scheduled"
    of_late = (await read(client_for, operator, campaign, f"/campaigns/{late.id}"))["next_call"]
    assert of_late["campaign_id"] == str(late.id)
    paused = (await read(client_for, operator, campaign, f"/campaigns/{campaign.id}"))["next_call"]
    assert (paused["at"], paused["waiting"]["code"]) == (None, "paused")
    browser = await browser_for(operator)
    page = (await browser.get(f"/o/{tenant.organization_id}/live-calls")).text
    assert "No one on the line" in page
    assert "Next call <time" in page

    dialing = await create_campaign(connection, tenant, next_batch_at=NOW)
    await create_campaign_contact(connection, dialing)
    now = (await read(client_for, operator, campaign))["next_call"]
    assert now == {"campaign_id": str(dialing.id), "at": None, "waiting": None}


async def test_a_call_is_hung_up_from_its_row_and_the_page_comes_back(
    connection: asyncpg.Connection, browser_for: BrowserFor, campaign: Campaign, operator: UUID
) -> None:
    line = await create_busy_line(connection, campaign)
    home = f"/o/{campaign.tenant.organization_id}"
    browser = await browser_for(operator)
    page = (await browser.get(f"{home}/campaigns/{campaign.id}/live-calls")).text
    assert "4 of 20" not in page
    assert "3 of 20" in page
    assert f'href="../../calls/{line["talking"]}/hang-up"' in page
    assert f"{line['ringing']}/hang-up" not in page  # it is being hung up already

    sent = {"reason": "wrong person", "shown_on": f"campaigns/{campaign.id}/live-calls"}
    response = await browser.post_form(f"{home}/calls/{line['talking']}/hang-up", sent)
    assert response.headers["location"] == f"{home}/campaigns/{campaign.id}/live-calls"
    due = await connection.fetchval("select hang_up_due_at from calls where id = $1", line["talking"])
    assert due is not None

    gone = await browser.post_form(f"{home}/calls/{line['voicemail']}/hang-up", sent)
    assert gone.status_code == 303, "the call ended while the dialog was open"
    page = (await browser.get(gone.headers["location"])).text
    assert "Only live calls can be hung up. This one is ended" in page
    elsewhere = {"shown_on": "https://evil.example/live-calls"}
    response = await browser.post_form(f"{home}/calls/{line['elsewhere']}/hang-up", elsewhere)
    assert response.headers["location"] == f"{home}/calls/{line['elsewhere']}"


async def hear(connection: asyncpg.Connection, campaign: Campaign, call_id: UUID, transcript: str) -> None:
    """Keep what is said in a call and notify pages, as the webhook does."""
    await connection.execute(
        "insert into live_transcripts (organization_id, call_id, transcript, lines, characters, updated_at)"
        " values ($1, $2, $3, 1, 1, $4) on conflict (call_id) do update set transcript = excluded.transcript",
        campaign.tenant.organization_id,
        call_id,
        transcript,
        NOW,
    )
    organization_id = campaign.tenant.organization_id
    await connection.execute("select pg_notify('outdial_transcripts', $1)", f"{organization_id} {call_id}")


async def test_a_followed_call_shows_who_says_what_and_stays_open_when_another_is_hung_up(
    connection: asyncpg.Connection, browser_for: BrowserFor, campaign: Campaign, operator: UUID
) -> None:
    line = await create_busy_line(connection, campaign)
    talking = line["talking"]
    await hear(connection, campaign, talking, "Agent: Do you have <a minute>?\nUser: Yes.")
    url = f"/o/{campaign.tenant.organization_id}/live-calls"
    browser = await browser_for(operator)
    page = (await browser.get(url)).text
    assert "a minute" not in page, "only a call that is followed shows what is said"
    assert f'href="?follow={talking}#call-{talking}" aria-expanded="false" aria-label="Follow Ada Hopper"' in page
    assert f"follow={line['elsewhere']}" not in page, "no one can have answered yet"

    page = (await browser.get(f"{url}?follow={talking}")).text

    assert '<li class="agent"><b>Agent</b> <span>Do you have &lt;a minute&gt;?</span></li>' in page
    assert '<li class="user"><b>Contact</b> <span>Yes.</span></li>' in page
    assert f'href="?#call-{talking}" aria-expanded="true" aria-label="Close the transcript of Ada Hopper"' in page
    assert f'data-live-transcripts="{talking}"' in page
    assert f'href="?follow={talking}&amp;follow={line["ringing"]}#call-{line["ringing"]}"' in page
    assert f'name="shown_on" value="live-calls?follow={talking}"' in page
    assert f'name="back" value="{url}?follow={talking}"' in page
    sent = {"reason": "", "shown_on": f"live-calls?follow={talking}"}
    response = await browser.post_form(f"/o/{campaign.tenant.organization_id}/calls/{talking}/hang-up", sent)
    assert response.headers["location"] == f"{url}?follow={talking}"

    await connection.execute("update calls set status = 'ended', ended_at = $2 where id = $1", talking, NOW)
    page = (await browser.get(f"{url}?follow={talking}")).text
    assert "a minute" not in page
    assert f'href="calls/{talking}#conversation">Transcript</a>' in page


async def test_a_followed_call_without_words_says_why(
    connection: asyncpg.Connection, browser_for: BrowserFor, campaign: Campaign, operator: UUID
) -> None:
    line = await create_busy_line(connection, campaign)
    browser = await browser_for(operator)
    home = f"/o/{campaign.tenant.organization_id}"
    ringing, talking = line["ringing"], line["talking"]

    # Ids that are none, and calls that are not on the page, are left out.
    follow = f"follow=x&follow={UUID(int=1)}&follow={ringing}&follow={talking}"
    page = (await browser.get(f"{home}/live-calls?{follow}")).text

    assert "The transcript appears here once the call is answered." in page
    hint = "add <code>transcript_updated</code> to the agent's <code>webhook_events</code> at Retell"
    assert page.count(hint) == 1
    assert 'data-live-every="10"' in page
    assert hint in (await browser.get(f"{home}/calls/{talking}")).text
    await connection.execute("update calls set started_at = $2 where id = $1", talking, NOW - timedelta(seconds=19))
    page = (await browser.get(f"{home}/live-calls?{follow}")).text
    assert "No words yet." in page
    assert hint not in page


async def test_what_is_said_is_shown_to_members_of_the_organization_alone(
    connection: asyncpg.Connection, browser_for: BrowserFor, client_for: ClientFor, campaign: Campaign
) -> None:
    line = await create_busy_line(connection, campaign)
    said = "Agent: Hello.\nUser: Zanzibar."
    await hear(connection, campaign, line["talking"], said)
    organization_id = campaign.tenant.organization_id
    viewer = await create_member(connection, organization_id, "viewer")
    live, call = f"/o/{organization_id}/live-calls?follow={line['talking']}", f"calls/{line['talking']}"

    assert "Zanzibar" in (await (await browser_for(viewer)).get(live)).text
    page = (await (await browser_for(viewer)).get(f"/o/{organization_id}/{call}")).text
    assert "<span>Zanzibar.</span>" in page
    assert f'data-live-transcripts="{line["talking"]}"' in page
    shown = (await (await client_for(viewer)).get(f"/api/v1/organizations/{organization_id}/{call}")).json()
    assert (shown["live_transcript"], shown["transcript"], shown["turns"]) == (said, None, [])

    other = await create_campaign(connection, await create_tenant(connection, credential="other"))
    stranger = await create_member(connection, other.tenant.organization_id, "owner")
    assert (await (await browser_for(stranger)).get(live)).status_code == 404
    own = f"/o/{other.tenant.organization_id}/live-calls?follow={line['talking']}"
    assert "Zanzibar" not in (await (await browser_for(stranger)).get(own)).text

    await connection.execute("update calls set status = 'ended' where id = $1", line["talking"])
    shown = (await (await client_for(viewer)).get(f"/api/v1/organizations/{organization_id}/{call}")).json()
    assert shown["live_transcript"] is None


async def test_a_page_of_many_live_calls_stays_small(
    connection: asyncpg.Connection, browser_for: BrowserFor, campaign: Campaign, operator: UUID
) -> None:
    for number in range(60):
        contact = await create_contact(connection, campaign.tenant.organization_id, name=f"Bartholomew Fitz {number}")
        await create_calling(connection, campaign, contact, status="ongoing", started_at=NOW)
        if number < 12:
            await create_calling(connection, campaign, status="ended", outcome="answered", ended_at=NOW)
    browser = await browser_for(operator)
    long = "\n".join(f"User: & {'said & done ' * 50}" for _ in range(30))
    ids = [
        row["id"]
        for row in await connection.fetch(
            "select id from calls where status = 'ongoing' order by requested_at, id limit 5"
        )
    ]
    for call_id in ids:
        await hear(connection, campaign, call_id, long)

    follow = "&".join(f"follow={call_id}" for call_id in ids)
    response = await browser.get(f"/o/{campaign.tenant.organization_id}/live-calls?{follow}")

    assert response.text.count('class="spoken-row"') == 2, "the last ones that were opened"
    assert response.text.count("data-elapsed") == 40
    assert "20 more live calls" in response.text
    assert len(response.content) < 60_000


async def test_live_updates_of_members_who_see_the_same_are_rendered_once_until_something_changes(
    connection: asyncpg.Connection,
    browser_for: BrowserFor,
    studio_app: StudioServer,
    campaign: Campaign,
    operator: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = await create_busy_line(connection, campaign)
    organization_id = campaign.tenant.organization_id
    hub = studio_app.studio.hub
    monkeypatch.setattr(type(hub), "is_listening", property(lambda _: True))
    url = f"/o/{organization_id}/campaigns/{campaign.id}/live-calls"
    browsers = [
        await browser_for(operator),
        await browser_for(await create_member(connection, organization_id, "admin")),
    ]
    browsers.append(await browser_for(await create_member(connection, organization_id, "operator")))
    viewer = await browser_for(await create_member(connection, organization_id, "viewer"))

    async def updates() -> list[str]:
        return [(await browser.get(url, headers={"x-live": "1"})).text for browser in browsers]

    pages = await updates()
    assert all(f"call-{line['talking']}" in page for page in pages)
    for browser, page in zip(browsers, pages, strict=True):
        assert browser.session is not None
        # The forms of each page have the reader's own token, and no page names a user.
        assert set(CSRF.findall(page)) == {browser.session.csrf}
        assert not any(other.session and other.session.email in page for other in browsers)
    assert "Hang up" not in (await viewer.get(url, headers={"x-live": "1"})).text

    await connection.execute("update calls set status = 'ended', outcome = 'busy' where id = $1", line["talking"])
    assert [page.count("Talking") for page in await updates()] == [1, 1, 1], "the studio has heard of no change"
    hub.publish(f"{campaign.tenant.organization_id} {campaign.id}")
    assert [page.count("Talking") for page in await updates()] == [0, 0, 0]

    await connection.execute("update calls set status = 'ongoing' where id = $1", line["ringing"])
    hub.publish(f"{UUID(int=1)} {UUID(int=2)}")
    assert [page.count("Talking") for page in await updates()] == [0, 0, 0], "a change of another organization"
    hub.publish_campaign(str(campaign.id))
    assert [page.count("badge-warn") for page in await updates()] == [1, 1, 1]
    other = await create_campaign(connection, await create_tenant(connection, credential="other"))
    member = await browser_for(await create_member(connection, other.tenant.organization_id, "operator"))
    assert (await member.get(url, headers={"x-live": "1"})).status_code == 404


async def test_the_page_pauses_campaigns_and_says_how_many_calls_it_leaves_out(
    connection: asyncpg.Connection,
    client_for: ClientFor,
    browser_for: BrowserFor,
    campaign: Campaign,
    operator: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = f"/o/{campaign.tenant.organization_id}"
    await create_busy_line(connection, campaign)
    halted = await create_campaign(connection, campaign.tenant, name="Halted")
    await create_calling(connection, halted)
    await connection.execute("update campaigns set status = 'pausing' where id = $1", halted.id)
    browser = await browser_for(operator)

    page = (await browser.get(f"{home}/live-calls")).text

    assert re.findall(r"Pause (\w+)</span>", page) == ["Spring", "Autumn"]
    assert f'href="{home}/stop">Stop everything' in page
    assert "calls shown" not in page
    viewer = await browser_for(await create_member(connection, campaign.tenant.organization_id, "viewer"))
    assert "Pause" not in (await viewer.get(f"{home}/live-calls")).text
    paused = await browser.post_form(f"{home}/campaigns/{campaign.id}/pause", {"back": f"{home}/live-calls"})
    assert paused.headers["location"] == f"{home}/live-calls"
    page = (await browser.get(f"{home}/live-calls")).text
    assert re.findall(r"Pause (\w+)</span>", page) == ["Autumn"]

    # Only a list that is full is counted.
    monkeypatch.setattr(board, "MAX_LIVE", 3)
    monkeypatch.setattr(pages, "SHOWN", 2)
    live = await read(client_for, operator, campaign)
    assert (len(live["calls"]), live["total"]) == (3, 4)
    of_campaign = await read(client_for, operator, campaign, f"/campaigns/{campaign.id}")
    assert (len(of_campaign["calls"]), of_campaign["total"]) == (2, 2)
    page = (await browser.get(f"{home}/live-calls")).text
    assert "2 of 4 calls shown" in page
    assert "2 more live calls" in page
