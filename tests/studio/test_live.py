"""Live updates: events of one organization only, across lost connections, until the stream must end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from starlette.types import Message

from outdial.studio.web import live
from outdial.studio.web.live import HEARTBEAT
from tests.support.factories import create_calling, create_campaign
from tests.support.studio import StudioServer
from tests.support.two_organizations import FilledOrganization, TwoOrganizations

PATIENCE_S = 30.0


class Stream:
    """A stream as a browser reads it: one event at a time."""

    def __init__(self) -> None:
        self.status = 0
        self.chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.gone = asyncio.Event()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        if message.get("body"):
            await self.chunks.put(message["body"])
        if not message.get("more_body"):
            await self.chunks.put(None)

    async def next(self) -> tuple[str, dict[str, object]] | None:
        """Return the name of the next event and its data; None at the end of the stream. Beats are passed over."""
        while True:
            name, data = await self.event()
            if name != "beat":
                return None if not name else (name, data)

    async def event(self) -> tuple[str, dict[str, object]]:
        """Return the next event or beat; the name is empty at the end of the stream."""
        while True:
            chunk = await asyncio.wait_for(self.chunks.get(), PATIENCE_S)
            if chunk is None:
                return "", {}
            if chunk.startswith(b"event: "):
                name, _, data = chunk.decode().strip().partition("\ndata: ")
                return name.removeprefix("event: "), msgspec.json.decode(data) or {}


@asynccontextmanager
async def listening(served: StudioServer, house: FilledOrganization, user_id: UUID) -> AsyncIterator[Stream]:
    """Read the stream of an organization as a user, from its first event on."""
    async with asked_for(served, house, user_id) as stream:
        assert await stream.next() == ("hello", {})
        yield stream


@asynccontextmanager
async def asked_for(served: StudioServer, house: FilledOrganization, user_id: UUID) -> AsyncIterator[Stream]:
    """Ask for the stream of an organization as a user."""
    stream = Stream()
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": f"/o/{house.tenant.organization_id}/live",
        "raw_path": b"", "query_string": b"", "scheme": "http", "root_path": "", "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 1),
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {served.token(user_id)}".encode())],
    }  # fmt: skip
    task = asyncio.create_task(served.app(scope, stream.receive, stream.send))
    try:
        yield stream
    finally:
        stream.gone.set()
        await asyncio.wait_for(task, PATIENCE_S)


@pytest.fixture
async def live_app(studio_app: StudioServer) -> AsyncIterator[StudioServer]:
    await studio_app.studio.hub.start()
    yield studio_app
    await studio_app.studio.hub.stop()


async def test_a_stream_reports_changes_of_its_organization_only(
    live_app: StudioServer, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    own, other = two_organizations.own, two_organizations.other
    async with listening(live_app, own, own.users["viewer"]) as stream:
        foreign = await create_campaign(connection, other.tenant)
        await create_calling(connection, foreign)
        # The older channel names campaigns of everybody, without their organization.
        await connection.execute("select pg_notify('outdial_campaigns', $1)", str(foreign.id))
        await connection.execute(
            "update calls set status = 'ongoing' where campaign_id = $1 and status = 'placing'",
            own.spare_entry.campaign.id,
        )
        assert await stream.next() == (
            "changed",
            {
                "campaigns": [str(own.spare_entry.campaign.id)],
                "transcripts": [],
                "jobs": False,
                "everything": False,
            },
        )


async def test_streams_of_one_user_are_limited(
    live_app: StudioServer, two_organizations: TwoOrganizations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_STREAMS", 2)
    own = two_organizations.own
    async with (
        listening(live_app, own, own.users["viewer"]),
        listening(live_app, own, own.users["operator"]),
    ):
        async with (
            listening(live_app, own, own.users["viewer"]),
            asked_for(live_app, own, own.users["viewer"]) as third,
        ):
            assert await third.chunks.get() is not None
            assert third.status == 429
        async with listening(live_app, own, own.users["viewer"]) as again:
            assert again.status == 200, "a closed stream no longer counts"


async def test_a_subscription_stays_bounded(live_app: StudioServer, two_organizations: TwoOrganizations) -> None:
    own = two_organizations.own
    async with listening(live_app, own, own.users["viewer"]) as stream:
        for number in range(300):
            live_app.studio.hub.publish(f"{own.tenant.organization_id} {UUID(int=number)}")
        name, data = await stream.next() or ("", {})
        assert (name, data["everything"], data["campaigns"]) == ("changed", True, [])


async def test_a_lost_connection_is_reopened_and_everything_refreshed(
    live_app: StudioServer, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own
    async with listening(live_app, own, own.users["viewer"]) as stream:
        killed = await connection.fetchval(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity"
            " where application_name = 'outdial-listener' and datname = current_database()"
        )
        assert killed == 1
        assert await stream.next() == (
            "changed",
            {"campaigns": [], "transcripts": [], "jobs": False, "everything": True},
        )
        await connection.execute("update campaigns set batch_size = 11 where id = $1", own.fresh.id)
        assert await stream.next() == (
            "changed",
            {"campaigns": [str(own.fresh.id)], "transcripts": [], "jobs": False, "everything": False},
        )


async def test_an_import_is_reported_as_a_job_and_not_as_a_change_of_everything(
    live_app: StudioServer, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    own, other = two_organizations.own, two_organizations.other
    async with listening(live_app, own, own.users["viewer"]) as stream:
        for house in (other, own):
            await connection.execute("select pg_notify('outdial_jobs', $1)", str(house.tenant.organization_id))
        assert await stream.next() == (
            "changed",
            {"campaigns": [], "transcripts": [], "jobs": True, "everything": False},
        )


async def test_words_in_a_live_call_are_reported_to_its_organization_and_change_nothing_else(
    live_app: StudioServer, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    own, other = two_organizations.own, two_organizations.other
    async with listening(live_app, own, own.users["viewer"]) as stream:
        calls = [uuid4(), uuid4()]
        for house, call_id in ((other, uuid4()), (own, calls[0]), (own, calls[1]), (own, calls[0])):
            await connection.execute(
                "select pg_notify('outdial_transcripts', $1)", f"{house.tenant.organization_id} {call_id}"
            )
        reported: set[str] = set()
        while len(reported) < 2:
            name, data = await stream.next() or ("", {})
            assert (name, data["campaigns"], data["jobs"], data["everything"]) == ("changed", [], False, False)
            reported |= set(data["transcripts"])
        assert reported == {str(call_id) for call_id in calls}
    with live_app.studio.hub.subscribe(own.tenant.organization_id) as subscription:
        for number in range(2_000):
            live_app.studio.hub.publish_transcript(f"{own.tenant.organization_id} {UUID(int=number)}")
        assert len(subscription.transcripts) <= 1_000
        assert subscription.take().everything


async def test_a_stream_beats_only_while_the_studio_hears_from_the_database(
    studio_app: StudioServer, two_organizations: TwoOrganizations
) -> None:
    own, hub = two_organizations.own, studio_app.studio.hub
    async with listening(studio_app, own, own.users["viewer"]) as stream:
        # Wakes the stream without a change of this organization; nothing listens yet, so the page hears nothing.
        hub.publish_campaign(str(UUID(int=1)))
        hub.publish_jobs(str(own.tenant.organization_id))
        assert (await stream.event())[0] == "changed"
        await hub.start()
        assert (await stream.event())[0] == "changed"
        hub.publish_campaign(str(UUID(int=1)))
        assert await stream.event() == ("beat", {})
        await hub.stop()


async def test_a_stream_ends_when_the_token_expires(
    live_app: StudioServer, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    async with listening(live_app, own, own.users["viewer"]) as stream:
        live_app.clock.advance(timedelta(hours=2))
        live_app.studio.hub.publish(str(own.tenant.organization_id))
        assert await stream.next() == ("renew", {})
        assert await stream.next() is None


async def test_a_stream_ends_for_a_removed_member(
    live_app: StudioServer, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own
    async with listening(live_app, own, own.users["viewer"]) as stream:
        await connection.execute("delete from organization_members where user_id = $1", own.users["viewer"])
        live_app.clock.advance(HEARTBEAT)
        live_app.studio.hub.publish(f"{own.tenant.organization_id} {own.fresh.id}")
        assert await stream.next() == ("gone", {})
        assert await stream.next() is None


async def test_streams_end_on_shutdown(live_app: StudioServer, two_organizations: TwoOrganizations) -> None:
    own = two_organizations.own
    async with listening(live_app, own, own.users["viewer"]) as stream:
        live_app.studio.hub.end_streams()
        while await stream.next() is not None:
            pass


async def test_an_outsider_gets_no_stream(live_app: StudioServer, two_organizations: TwoOrganizations) -> None:
    client = await live_app.client_of(two_organizations.own.users["outsider"])
    response = await client.get(f"/o/{two_organizations.own.tenant.organization_id}/live")
    assert response.status_code == 404
