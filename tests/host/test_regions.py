"""Requests for another region are forwarded to a host there, in one hop that clients cannot forge."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from outdial.clock import VirtualClock
from outdial.functions import Response
from outdial.host.gateway.app import HostIdentity
from outdial.host.gateway.regions import PeerHost, RegionRouter
from outdial.http import serving
from outdial.http.listening import listen
from tests.support.gateway import GatewayHarness, answered, make_harness, request_head

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
KEY = b"a secret of all hosts"


class Host:
    """One host of the environment, with its own URL."""

    def __init__(self, region: str, clock: VirtualClock, key: bytes) -> None:
        self.regions = RegionRouter(region, clock, key)
        self.harness: GatewayHarness = make_harness(clock=clock, identity=HostIdentity(region), regions=self.regions)
        self.url = ""

    @property
    def peer(self) -> PeerHost:
        return PeerHost(f"host in {self.regions.region}", self.regions.region, self.url)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Host"]:
        listener = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with serving(self.harness.gateway, listener):
            yield self
        await self.regions.close()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
async def hosts(clock: VirtualClock) -> AsyncIterator[tuple[Host, Host]]:
    """A host in Ireland and one in Virginia that know each other."""
    async with Host("eu-west-1", clock, KEY).running() as here, Host("us-east-1", clock, KEY).running() as there:
        here.regions.set_peers([there.peer])
        there.regions.set_peers([here.peer])
        yield here, there


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@dataclass
class Told:
    status: int
    headers: Mapping[str, str]
    body: bytes


async def ask(session: aiohttp.ClientSession, host: Host, *, query: str = "", **headers: str) -> Told:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with session.post(f"{host.url}/functions/v1/hello{query}", data=b"the body", headers=named) as response:
        return Told(response.status, response.headers, await response.read())


async def test_a_header_or_a_parameter_chooses_the_region(
    session: aiohttp.ClientSession, hosts: tuple[Host, Host]
) -> None:
    here, there = hosts
    for asked in ({"x_region": "us-east-1"}, {"query": "?a=1&forceFunctionRegion=us-east-1"}):
        response = await ask(session, here, **asked)
        assert response.status == 200
        assert response.headers["x-sb-edge-region"] == "us-east-1"
        assert json.loads(response.body)["body"] == "the body"
    # Only the host that served the request records it.
    assert here.harness.sink.invocations == []
    assert [record.region for record in there.harness.sink.invocations] == ["us-east-1", "us-east-1"]


@pytest.mark.parametrize("region", ["any", "eu-west-1", "sa-east-1", ""])
async def test_serves_all_other_requests_locally(
    session: aiohttp.ClientSession, hosts: tuple[Host, Host], region: str
) -> None:
    here, there = hosts
    response = await ask(session, here, x_region=region)
    assert response.headers["x-sb-edge-region"] == "eu-west-1"
    assert there.harness.sink.invocations == []


async def test_forwarding_keeps_the_client_address_and_the_request_id(
    session: aiohttp.ClientSession, hosts: tuple[Host, Host]
) -> None:
    here, there = hosts
    pool = there.harness.catalogue.put("hello")
    head = request_head(x_region="us-east-1", client="203.0.113.9", apikey="sb_publishable_x")
    answer = await here.harness.gateway.respond(head, b"")

    [invocation] = pool.invocations
    told = dict(invocation.headers)
    assert told[b"x-forwarded-for"] == b"203.0.113.9"
    assert told[b"apikey"] == b"sb_publishable_x"
    assert b"x-outdial-hop" not in told
    assert (b"sb-request-id", invocation.request_id.encode()) in answer.headers


@pytest.mark.parametrize("mark", ["1", "unsigned", "1763899200000,0,10.0.0.1,{}".format("0" * 64), ",,,", "é"])
async def test_a_forged_hop_header_only_keeps_the_request_local(hosts: tuple[Host, Host], mark: str) -> None:
    here, there = hosts
    pool = here.harness.catalogue.put("hello", verify_jwt=True)
    refused = await here.harness.gateway.respond(request_head(x_region="us-east-1", x_outdial_hop=mark), b"")
    assert refused.status == 401

    pool = here.harness.catalogue.put("hello")
    await here.harness.gateway.respond(request_head(x_outdial_hop=mark, client="192.0.2.7"), b"")
    assert dict(pool.invocations[0].headers)[b"x-forwarded-for"] == b"192.0.2.7"
    assert there.harness.sink.invocations == []


async def test_a_hop_header_is_valid_for_a_minute(hosts: tuple[Host, Host], clock: VirtualClock) -> None:
    here, there = hosts
    content = f"{round(NOW.timestamp() * 1000)},id-1,203.0.113.9"
    mark = f"{content},{here.regions._sign(content)}"
    head = request_head(x_outdial_hop=mark)
    origin = there.regions.origin(head)
    assert origin is not None
    assert (origin.request_id, origin.client) == ("id-1", "203.0.113.9")

    clock.advance(timedelta(seconds=61))
    assert there.regions.origin(head) is None


async def test_hosts_without_a_shared_secret_still_forward(session: aiohttp.ClientSession, clock: VirtualClock) -> None:
    async with Host("eu-west-1", clock, b"one").running() as here, Host("us-east-1", clock, b"").running() as there:
        # Each host forwards to the other: without the hop header, this would loop.
        here.regions.set_peers([there.peer])
        there.regions.set_peers(
            [PeerHost("confused", "us-east-1-b", here.url), PeerHost("mirror", "us-east-1", here.url)]
        )
        response = await ask(session, here, x_region="us-east-1")
    assert (response.status, response.headers["x-sb-edge-region"]) == (200, "us-east-1")


async def test_tries_the_next_host_of_a_region(session: aiohttp.ClientSession, hosts: tuple[Host, Host]) -> None:
    here, there = hosts
    here.regions.set_peers([PeerHost("gone", "us-east-1", "http://127.0.0.1:1"), there.peer])
    for _ in range(4):
        assert (await ask(session, here, x_region="us-east-1")).status == 200


async def test_an_unreachable_region_is_a_502(session: aiohttp.ClientSession, hosts: tuple[Host, Host]) -> None:
    here, _ = hosts
    here.regions.set_peers([PeerHost("gone", "us-east-1", "http://127.0.0.1:1")])

    response = await ask(session, here, x_region="us-east-1")

    assert (response.status, response.headers["sb-error-code"]) == (502, "REGION_UNREACHABLE")
    assert response.headers["x-relay-error"] == "true"
    [record] = here.harness.sink.invocations
    assert (record.status, record.code, record.slug) == (502, "REGION_UNREACHABLE", "hello")


async def test_forwards_a_compressed_response_unchanged(
    session: aiohttp.ClientSession, hosts: tuple[Host, Host]
) -> None:
    here, there = hosts
    packed = Response(b"\x1f\x8b not really", headers={"content-encoding": "gzip", "set-cookie": "a=b"})
    there.harness.catalogue.put("hello", lambda _: answered(packed))
    answer = await here.harness.gateway.respond(request_head(x_region="us-east-1", accept_encoding="gzip"), b"")

    assert answer.body == b"\x1f\x8b not really"
    assert (b"content-encoding", b"gzip") in answer.headers
    assert b"content-length" not in {name.lower() for name, _ in answer.headers}
