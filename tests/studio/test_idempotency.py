"""A request repeated with its idempotency key creates nothing again, also concurrently."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import BaseModel

from outdial.db.session import Connection
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import ResourceConflict
from outdial.studio.web.preconditions import IdempotencyKey, idempotent_response
from tests.support.studio import ClientFor, StudioServer, new_app
from tests.support.two_organizations import TwoOrganizations


class NewThing(BaseModel):
    name: str


class Thing(BaseModel):
    id: UUID
    name: str


class Things:
    """What has been created, and the moment at which the next creation may go on."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.failure: Exception | None = None


@pytest.fixture
def application() -> FastAPI:
    """An application of the test's own, to which it adds a route."""
    return new_app()


@pytest.fixture
def things(studio_app: StudioServer) -> Things:
    things, router = Things(), APIRouter()

    @router.post("/api/v1/organizations/{organization_id}/things", status_code=201)
    async def create(at: CurrentOrganization, request: Request, new: NewThing, key: IdempotencyKey = None) -> Response:
        async def make(connection: Connection) -> Thing:
            things.begun.set()
            await things.may_end.wait()
            if things.failure is not None:
                raise things.failure
            things.made.append(new.name)
            return Thing(id=uuid4(), name=new.name)

        return await idempotent_response(at, request, key, make)

    studio_app.app.include_router(router)
    return things


@pytest.fixture
def url(two_organizations: TwoOrganizations) -> str:
    return f"/api/v1/organizations/{two_organizations.own.tenant.organization_id}/things"


@pytest.fixture
def operator(two_organizations: TwoOrganizations) -> UUID:
    return two_organizations.own.users["operator"]


async def test_a_repeat_returns_the_first_response_and_creates_nothing(
    client_for: ClientFor, things: Things, url: str, operator: UUID
) -> None:
    client = await client_for(operator)
    first = await client.post(url, json={"name": "a"}, headers={"idempotency-key": "k"})
    again = await client.post(url, json={"name": "a"}, headers={"idempotency-key": "k"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert things.made == ["a"]


async def test_without_a_key_each_request_creates(
    client_for: ClientFor, things: Things, url: str, operator: UUID
) -> None:
    client = await client_for(operator)
    for _ in range(2):
        assert (await client.post(url, json={"name": "a"})).status_code == 201
    assert things.made == ["a", "a"]


async def test_a_key_with_another_body_is_rejected(
    client_for: ClientFor, things: Things, url: str, operator: UUID
) -> None:
    client = await client_for(operator)
    await client.post(url, json={"name": "a"}, headers={"idempotency-key": "k"})
    other = await client.post(url, json={"name": "b"}, headers={"idempotency-key": "k"})
    assert (other.status_code, other.json()["code"]) == (409, "CONFLICT")
    assert things.made == ["a"]


async def test_concurrent_requests_with_one_key_create_once(
    client_for: ClientFor, things: Things, url: str, operator: UUID
) -> None:
    client = await client_for(operator)
    things.may_end.clear()
    headers = {"idempotency-key": "k"}
    requests = [asyncio.create_task(client.post(url, json={"name": "a"}, headers=headers)) for _ in range(4)]
    await things.begun.wait()
    # The others wait inside the database, for the key that the first has taken.
    things.may_end.set()
    answers = await asyncio.gather(*requests)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert things.made == ["a"]


async def test_a_failed_creation_leaves_the_key_free(
    client_for: ClientFor, things: Things, url: str, operator: UUID
) -> None:
    client = await client_for(operator)
    things.failure = ResourceConflict("Not now")
    assert (await client.post(url, json={"name": "a"}, headers={"idempotency-key": "k"})).status_code == 409
    things.failure = None
    assert (await client.post(url, json={"name": "a"}, headers={"idempotency-key": "k"})).status_code == 201


async def test_a_key_belongs_to_its_caller_and_its_organization(
    client_for: ClientFor, things: Things, url: str, two_organizations: TwoOrganizations
) -> None:
    own, other = two_organizations.own, two_organizations.other
    callers = [
        (own.users["operator"], url),
        (own.users["admin"], url),
        (None, url),
        (other.users["operator"], url.replace(str(own.tenant.organization_id), str(other.tenant.organization_id))),
    ]
    for user_id, address in callers:
        client = await client_for(user_id)
        answer = await client.post(address, json={"name": "a"}, headers={"idempotency-key": "k"})
        assert answer.status_code == 201
        assert "idempotency-replayed" not in answer.headers
    assert len(things.made) == 4


async def test_a_key_expires_after_a_day(
    client_for: ClientFor, studio_app: StudioServer, things: Things, url: str, operator: UUID
) -> None:
    client = await client_for(operator)
    await client.post(url, json={"name": "a"}, headers={"idempotency-key": "k"})
    studio_app.clock.advance(timedelta(hours=24, seconds=1))
    client = await client_for(operator)
    assert (
        "idempotency-replayed"
        not in (await client.post(url, json={"name": "b"}, headers={"idempotency-key": "k"})).headers
    )
    assert things.made == ["a", "b"]
