"""A member hears a live call and takes it over: the studio asks, a dialer asks Retell, and the audit log has both."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from outdial.db.session import Database
from outdial.dialer.listening.task import KEPT_FOR, CallListening
from outdial.provider import (
    CallMissing,
    CardDataSpoken,
    ProviderUnavailable,
    SoundInDashboardOnly,
    SoundOffered,
    TakenOver,
)
from outdial.provider_keys.replies import ReplyKey, seal_reply
from outdial.studio.listening import service
from outdial.studio.web.assets import StaticAsset, assets
from tests.support.factories import (
    NOW,
    Campaign,
    create_calling,
    create_campaign,
    create_member,
    create_tenant,
    insert,
)
from tests.support.studio import StudioServer

TOKEN = "eyJ.secret.token"
URL = "wss://retell-ai.livekit.cloud"
OFFER = SoundOffered(URL, TOKEN, "listener_1")


@dataclass
class FakeSound:
    """A provider that gives the same responses to every request, and records the requests."""

    offers: SoundOffered | SoundInDashboardOnly | CallMissing | ProviderUnavailable = OFFER
    takes: TakenOver | CardDataSpoken | CallMissing | ProviderUnavailable = field(default_factory=TakenOver)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    credentials: tuple[str, ...] = ("default",)

    def has_account(self, credential: str) -> bool:
        return credential in self.credentials

    async def listen(
        self, credential: str, provider_call_id: str
    ) -> SoundOffered | SoundInDashboardOnly | CallMissing | ProviderUnavailable:
        self.asked.append((credential, provider_call_id))
        return self.offers

    async def take_over(
        self, credential: str, provider_call_id: str, participant_id: str
    ) -> TakenOver | CardDataSpoken | CallMissing | ProviderUnavailable:
        self.asked.append((credential, provider_call_id, participant_id))
        return self.takes


@dataclass
class Line:
    """A call on the line, a dialer that can ask a provider for its sound, and the studio."""

    app: StudioServer
    campaign: Campaign
    call_id: UUID
    sound: FakeSound
    dialer: CallListening

    @property
    def calls(self) -> str:
        return f"/api/v1/organizations/{self.campaign.tenant.organization_id}/calls"

    async def ask(
        self, client: httpx.AsyncClient, path: str, body: Any = None, call_id: UUID | None = None
    ) -> httpx.Response:
        """Send a request while the dialer works."""
        request = asyncio.create_task(client.post(f"{self.calls}/{call_id or self.call_id}/{path}", json=body))
        while not request.done():
            await self.dialer.run_once()
            await asyncio.wait({request}, timeout=0.02)
        return await request


@pytest.fixture
async def line(studio_app: StudioServer, connection: asyncpg.Connection) -> AsyncIterator[Line]:
    campaign = await create_campaign(connection, await create_tenant(connection))
    _, call_id = await create_calling(connection, campaign, status="ongoing", started_at=NOW, retell_call_id="call_1")
    dsn = studio_app.database.dsn_for("outdial_dialer")
    async with await Database.connect(dsn, application_name="dialer", max_size=2) as database:
        sound = FakeSound()
        yield Line(studio_app, campaign, call_id, sound, CallListening(database, sound, studio_app.clock))


async def audited(connection: asyncpg.Connection) -> list[tuple[str, str, str]]:
    rows = await connection.fetch("select action, actor, subject_id from audit_log order by id")
    return [tuple(row) for row in rows]


async def test_a_member_hears_a_call_and_takes_it_over_and_the_audit_log_names_the_member(
    line: Line, connection: asyncpg.Connection, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    member = await create_member(connection, line.campaign.tenant.organization_id, "operator")
    client = await line.app.client_of(member)
    early = await line.ask(client, "take-over", {"listening_id": str(uuid4())})
    assert (early.status_code, early.json()["message"]) == (409, "Listen to the call before you take it over")

    heard = await line.ask(client, "listen")

    assert heard.status_code == 200, heard.text
    assert heard.headers["cache-control"] == "no-store"
    listening_id = heard.json().pop("listening_id")
    assert heard.json() == {"listening_id": listening_id, "url": URL, "token": TOKEN, "is_simulated": False}
    stored = await connection.fetchrow("select * from listen_requests")
    assert TOKEN.encode() not in stored["sealed"]
    assert await audited(connection) == [("listen_to_call", str(member), str(line.call_id))]

    taken = await line.ask(client, "take-over", {"listening_id": listening_id})

    assert (taken.status_code, taken.content) == (204, b"")
    assert line.sound.asked == [("default", "call_1"), ("default", "call_1", "listener_1")]
    assert (await audited(connection))[1:] == [
        ("ask_to_take_over_call", str(member), str(line.call_id)),
        ("take_over_call", str(member), str(line.call_id)),
    ]
    written = capsys.readouterr()
    assert TOKEN not in caplog.text + written.out + written.err

    # A member speaks only as who they have listened as themselves.
    other = await line.app.client_of(await create_member(connection, line.campaign.tenant.organization_id, "admin"))
    assert (await line.ask(other, "take-over", {"listening_id": listening_id})).status_code == 409
    page = await (await line.app.browser_of(member)).get(f"/o/{line.campaign.tenant.organization_id}/audit")
    assert "Listen to call" in page.text
    assert "Ask to take over call" in page.text
    assert ">Take over call" in page.text

    line.app.clock.advance(KEPT_FOR + timedelta(minutes=1))
    assert (await line.ask(await line.app.client_of(None), "listen")).status_code == 200
    assert await connection.fetchval("select count(*) from listen_requests") == 1


@pytest.mark.parametrize(
    ("result", "status", "sentence"),
    [
        (CallMissing(), 409, "No one is on the line: this call has ended or has not been answered yet"),
        (SoundInDashboardOnly(), 409, "This call can be heard only in Retell's dashboard, under Live Monitoring"),
        (replace(OFFER, url="wss://sound.example.com"), 409, "This call can be heard only in Retell's dashboard"),
        (replace(OFFER, url="wss://evil-livekit.cloud"), 409, "This call can be heard only in Retell's dashboard"),
        (ProviderUnavailable("HTTP 429", 429), 429, "Retell receives too many requests right now"),
        (ProviderUnavailable("HTTP 500: oops", 500), 503, "Retell has not allowed this: HTTP 500: oops"),
    ],
)
async def test_each_reason_not_to_hear_a_call_has_its_own_sentence(
    line: Line, connection: asyncpg.Connection, result: Any, status: int, sentence: str
) -> None:
    line.sound.offers = result
    client = await line.app.client_of(await create_member(connection, line.campaign.tenant.organization_id))
    response = await line.ask(client, "listen")
    assert (response.status_code, response.json()["message"][: len(sentence)]) == (status, sentence)
    assert (response.json().get("dashboard_url") is not None) == ("dashboard" in sentence)
    # A token that was given is in the log, also if this page cannot use it.
    assert bool(await audited(connection)) is isinstance(result, SoundOffered)


@pytest.mark.parametrize(
    ("result", "sentence", "action", "details"),
    [
        (CardDataSpoken(), "The contact is giving card data in a", "take_over_refused", {"refusal": "card_data"}),
        (CallMissing(), "No one is on the line", "take_over_refused", {"refusal": "not_on_the_line"}),
        (ProviderUnavailable("HTTP 429", 429), "Retell receives too", "take_over_refused", {"refusal": "rate_limited"}),
        (
            ProviderUnavailable("timeout"),
            "Retell has not confirmed that the agent has stopped: timeout",
            "take_over_unconfirmed",
            {},
        ),
    ],
)
async def test_a_takeover_that_retell_does_not_grant_is_audited_as_asked_for_with_what_came_of_it(
    line: Line, connection: asyncpg.Connection, result: Any, sentence: str, action: str, details: dict[str, str]
) -> None:
    line.sound.takes = result
    member = await create_member(connection, line.campaign.tenant.organization_id)
    client = await line.app.client_of(member)
    heard = (await line.ask(client, "listen")).json()
    response = await line.ask(client, "take-over", {"listening_id": heard["listening_id"]})
    assert response.status_code in (409, 429, 503)
    assert response.json()["message"].startswith(sentence)
    assert (await audited(connection))[1:] == [
        ("ask_to_take_over_call", str(member), str(line.call_id)),
        (action, "dialer", str(line.call_id)),
    ]
    assert json.loads(await connection.fetchval("select details from audit_log order by id desc limit 1")) == details


async def test_a_takeover_is_in_the_audit_log_before_retell_is_asked_also_if_the_dialer_ends_then(
    line: Line, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = await create_member(connection, line.campaign.tenant.organization_id)
    client = await line.app.client_of(member)
    heard = (await line.ask(client, "listen")).json()
    asked = ("ask_to_take_over_call", str(member), str(line.call_id))
    at_retell: list[list[tuple[str, str, str]]] = []

    async def end(*_: str) -> TakenOver:
        """Retell carries it out, and the dialer dies before it can store that."""
        at_retell.append(await audited(connection))
        raise ConnectionResetError

    monkeypatch.setattr(line.sound, "take_over", end)
    response = await line.ask(client, "take-over", {"listening_id": heard["listening_id"]})

    assert (response.status_code, response.json()["message"]) == (
        503,
        "Retell has not confirmed that the agent has stopped. Try again",
    )
    assert [entries[1:] for entries in at_retell] == [[asked]]
    assert (await audited(connection))[1:] == [asked]


async def test_calls_that_cannot_be_heard_are_refused_without_a_request_to_retell(
    line: Line, connection: asyncpg.Connection
) -> None:
    tenant = line.campaign.tenant
    client = await line.app.client_of(await create_member(connection, tenant.organization_id))
    _, ended = await create_calling(connection, line.campaign, status="ended")
    elsewhere = await create_campaign(connection, await create_tenant(connection, credential="acme"))
    _, foreign = await create_calling(connection, elsewhere, status="ongoing", retell_call_id="call_2")
    refused = [(await line.ask(client, "listen", call_id=each)) for each in (ended, foreign, uuid4())]
    assert [each.status_code for each in refused] == [409, 404, 404]

    account = {"organization_id": tenant.organization_id, "provider_account_id": tenant.provider_account_id}
    for days, workspace in ((30, "org_former"), (-1, "org_new")):
        await insert(
            connection,
            "provider_workspaces",
            **account,
            since=NOW - timedelta(days=days),
            key_mark=f"stored:{workspace}",
            workspace_id=workspace,
            workspace_name=workspace,
        )
    line.app.clock.advance(timedelta(days=2))
    former = await line.ask(await line.app.client_of(None), "listen")
    assert (former.status_code, former.json()["message"][:31]) == (409, "This call is in a Retell worksp")
    assert line.sound.asked == []

    # Viewers read what was said, and do not listen.
    viewer = await line.app.client_of(await create_member(connection, tenant.organization_id, "viewer"))
    for path, body in (("listen", None), ("take-over", {"listening_id": str(uuid4())})):
        assert (await line.ask(viewer, path, body)).status_code == 403
    assert await audited(connection) == []


async def test_a_request_that_no_dialer_takes_says_so_and_is_not_carried_out_later(
    line: Line, connection: asyncpg.Connection
) -> None:
    line.sound.credentials = ()
    client = await line.app.client_of(await create_member(connection, line.campaign.tenant.organization_id))
    response = await line.ask(client, "listen")
    assert (response.status_code, response.json()["message"][:35]) == (503, "No dialer with the Retell key of th")

    line.app.clock.advance(timedelta(seconds=1))
    line.sound.credentials = ("default",)
    assert await line.dialer.run_once() == 0
    assert line.sound.asked == []


def test_a_reply_opens_for_its_own_request_and_key_only() -> None:
    key, request_id = ReplyKey(), uuid4()
    sealed = seal_reply(key.public, request_id, b"secret")
    assert key.open(request_id, sealed) == b"secret"
    assert key.open(uuid4(), sealed) is None
    assert ReplyKey().open(request_id, sealed) is None
    assert key.open(request_id, sealed[:-1]) is None
    assert key.open(request_id, b"") is None
    assert seal_reply(key.public, request_id, b"secret") != sealed


async def test_only_pages_with_live_calls_may_reach_the_sound_and_the_microphone(
    line: Line, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(assets(), service.PLAYER, StaticAsset(b"", "text/javascript", '"1"'))
    home = f"/o/{line.campaign.tenant.organization_id}"
    _, ended = await create_calling(connection, line.campaign, status="ended")
    _, ringing = await create_calling(connection, line.campaign, status="placed", placed_at=NOW)
    live = [f"{home}/live-calls", f"{home}/campaigns/{line.campaign.id}/live-calls", f"{home}/calls/{line.call_id}"]
    operator = await line.app.browser_of(await create_member(connection, line.campaign.tenant.organization_id))
    viewer = await line.app.browser_of(await create_member(connection, line.campaign.tenant.organization_id, "viewer"))

    for path in live:
        page = await operator.get(path)
        assert page.headers["content-security-policy"].endswith(
            "; connect-src 'self' https://*.livekit.cloud wss://*.livekit.cloud"
        )
        assert page.headers["permissions-policy"] == "microphone=(self)"
        assert page.text.count("☎" if "live-calls" in path else f'data-listen="{line.call_id}"') == 1
        assert page.text.count('id="listening"') == 1
        # The player is loaded with the first press.
        assert f"/{service.PLAYER}" in page.text
        assert f'src="{service.PLAYER}"' not in page.text
        assert not [tag for tag in page.text.split("<script")[1:] if service.PLAYER in tag.partition(">")[0]]
    assert "You can listen once the call is answered" in (await operator.get(f"{home}/calls/{ringing}")).text
    for browser, path in [(viewer, each) for each in live] + [
        (operator, f"{home}/calls"),
        (operator, f"{home}/calls/{ended}"),
    ]:
        page = await browser.get(path)
        assert "livekit.cloud" not in page.headers["content-security-policy"]
        assert page.headers["permissions-policy"] == "microphone=()"
        assert "listening.js" not in page.text
        assert 'id="listening"' not in page.text

    # A live update takes the link away when the call ends.
    assert '<div id="sound" data-live hidden></div>' in (await operator.get(f"{home}/calls/{ended}")).text

    monkeypatch.delitem(assets(), service.PLAYER)
    for path in live:
        page = await operator.get(path)
        assert "This installation cannot play calls: install LiveKit's client with <code>npm ci</code>" in page.text
        assert "listening.js" not in page.text
        assert page.headers["permissions-policy"] == "microphone=()"


async def test_a_simulated_call_says_that_it_has_no_sound(line: Line, connection: asyncpg.Connection) -> None:
    line.app.app.state.studio = replace(
        line.app.studio, settings=replace(line.app.studio.settings, recordings="http://127.0.0.1:54330")
    )
    line.sound.offers = replace(OFFER, url="ws://127.0.0.1:7880")
    client = await line.app.client_of(await create_member(connection, line.campaign.tenant.organization_id))
    heard = await line.ask(client, "listen")
    assert (heard.status_code, heard.json()["is_simulated"]) == (200, True)
    assert json.loads(heard.text)["url"] == "ws://127.0.0.1:7880"
