"""Rights: every route, for every role, for outsiders, without credentials, and with foreign ids."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from outdial.db.embedded import EmbeddedPostgres
from outdial.studio.web.assets import version
from outdial.studio.web.context import RANKS
from tests.studio.rights import ELSEWHERE, RULES, Rule
from tests.support.factories import add_factor
from tests.support.postgres import Scratch, scratch, scratch_for_module
from tests.support.studio import StudioServer, app_without_database, serve_studio, unchanged
from tests.support.studio_routes import StudioRoute, routes_of
from tests.support.studio_world import RouteRows, create_route_rows

PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")
APP = app_without_database()
OF_AN_ORGANIZATION = [
    route
    for route in routes_of(APP)
    if "{organization_id}" in route.path and "/invitations/{organization_id}" not in route.path
]
OTHERS = [route for route in routes_of(APP) if route not in OF_AN_ORGANIZATION]


@pytest.fixture(scope="module")
def route_rows(postgres_server: EmbeddedPostgres, _templates: set[str]) -> Iterator[RouteRows]:
    """Two organizations with everything that an address may name, to be cloned: nobody stays connected."""
    with scratch_for_module(postgres_server, _templates) as (runner, database):
        yield runner.run(_create_rooms(database))


async def _create_rooms(database: Scratch) -> RouteRows:
    connection = await asyncpg.connect(database.dsn)
    try:
        return await create_route_rows(database, connection)
    finally:
        await connection.close()


@asynccontextmanager
async def serving(database: Scratch) -> AsyncIterator[StudioServer]:
    """Serve the studio on `database`."""
    async with serve_studio(database, unchanged, APP) as served:
        yield served


@asynccontextmanager
async def serving_a_copy(route_rows: RouteRows) -> AsyncIterator[StudioServer]:
    """Serve the studio on route_rows that nobody has touched: what one has done must not be in the way of the next."""
    origin = route_rows.world.database
    async with scratch(origin.server, template=origin.name) as database, serving(database) as served:
        yield served


def test_every_route_has_its_rule() -> None:
    assert {str(route) for route in OF_AN_ORGANIZATION} == RULES.keys()
    assert {str(route) for route in OTHERS} == ELSEWHERE.keys()


@pytest.mark.parametrize("route", OF_AN_ORGANIZATION, ids=str)
async def test_each_role_has_exactly_the_rights_in_the_table(route: StudioRoute, route_rows: RouteRows) -> None:
    rule, people = RULES[str(route)], route_rows.world.own.users
    address = Address(route, rule, route_rows.own)
    allowed = [role for role in RANKS if RANKS[role] >= RANKS[rule.needs]]
    seen = {}
    async with serving(route_rows.world.database) as served:
        for who in ("nobody", "outsider", *(role for role in RANKS if role not in allowed)):
            seen[who] = await address.ask(served, people.get(who))
        if route.method == "GET":
            seen |= {role: await address.ask(served, people[role]) for role in allowed}
    for role in () if route.method == "GET" else allowed:
        async with serving_a_copy(route_rows) as served:
            seen[role] = await address.ask(served, people[role])

    expected = {"nobody": 401 if route.is_api else 303, "outsider": 404}
    expected |= {role: rule.answers if role in allowed else 403 for role in RANKS}
    check(seen, expected)
    if not route.is_api:
        assert seen["nobody"].headers["location"].startswith("/sign-in?next=/")


@pytest.mark.parametrize("route", OF_AN_ORGANIZATION, ids=str)
async def test_resources_of_another_organization_are_not_found(route: StudioRoute, route_rows: RouteRows) -> None:
    rule, people = RULES[str(route)], route_rows.world.own.users
    theirs = Address(route, rule, route_rows.other)
    their_row = Address(route, rule, {**route_rows.other, "organization_id": route_rows.own["organization_id"]})
    seen, expected = {}, {}
    async with serving(route_rows.world.database) as served:
        for role in RANKS:
            seen[role] = await theirs.ask(served, people[role])
            expected[role] = 404
            if their_row.names_a_row:
                seen[f"{role}, at home"] = await their_row.ask(served, people[role])
                # Whose role is too low is told so before anything is looked for.
                expected[f"{role}, at home"] = 404 if RANKS[role] >= RANKS[rule.needs] else 403

    check(seen, expected)


@pytest.mark.parametrize("route", OTHERS, ids=str)
async def test_routes_outside_organizations(route: StudioRoute, route_rows: RouteRows) -> None:
    async with serving(route_rows.world.database) as served:
        seen = {}
        for who in ELSEWHERE[str(route)]:
            browser = await served.browser_of(route_rows.world.own.users.get(who))
            named = {"name": "studio.css", "organization_id": route_rows.own["organization_id"]}
            # No link has this token, and no user this session.
            named |= {"token": "unknown", "provider": "unknown", "session_id": str(UUID(int=1))}
            url = route.path.format(requested_version=version(), **named)
            asking = browser.client
            if route.is_api and browser.session is not None:
                asking = await served.client_of(UUID(browser.session.user_id))
            seen[who] = await asking.request(route.method, url)
    check(seen, ELSEWHERE[str(route)])


async def test_a_user_who_has_not_given_their_second_factor_gets_nothing(route_rows: RouteRows) -> None:
    owner = route_rows.world.own.users["owner"]
    rows = {**route_rows.own, "token": "unknown", "session_id": str(UUID(int=1))}
    changed = "select count(*) from audit_log"
    async with serving_a_copy(route_rows) as served:
        connection = await asyncpg.connect(served.database.dsn)
        await add_factor(connection, owner)
        before, seen = await connection.fetchval(changed), {}
        browser, client = await served.browser_of(owner), await served.client_of(owner)
        for route in (*OF_AN_ORGANIZATION, *OTHERS):
            anyone = ELSEWHERE.get(str(route), {"nobody": 401})["nobody"]
            if anyone not in (401, 303) or route.path.startswith("/sign-"):
                continue
            asking = client if route.is_api else browser.client
            got = await asking.request(route.method, PARAMETER.sub(lambda found: rows[found[1]], route.path))
            seen[str(route)] = got.json()["code"] if route.is_api else got.headers.get("location", "").split("?")[0]
        after = await connection.fetchval(changed)
        await connection.close()
    assert len(seen) > 250
    wrong = {name for name, got in seen.items() if got not in ("SECOND_FACTOR_MISSING", "/sign-in/code")}
    assert (wrong, after) == (set(), before)


def check(seen: Mapping[str, httpx.Response], expected: Mapping[str, int]) -> None:
    """Compare what everybody was answered with what they should be."""
    statuses = {who: answer.status_code for who, answer in seen.items()}
    assert statuses == expected, {who: seen[who].text[-500:] for who in seen if statuses[who] != expected[who]}


class Address:
    """A route with what its rule sends, about the rows of one organization."""

    def __init__(self, route: StudioRoute, rule: Rule, rows: Mapping[str, str]) -> None:
        self._route, self._rule = route, rule
        self._rows = {**rows, **{name: rows[row] for name, row in rule.uses.items()}}
        self._url = PARAMETER.sub(lambda found: self._rows[found[1]], route.path)
        named = set(PARAMETER.findall(route.path + str(rule.sends or "")))
        # Functions belong to no organization.
        self.names_a_row = bool(named - {"organization_id", "slug"})

    async def ask(self, served: StudioServer, user_id: UUID | None) -> httpx.Response:
        """Send the request as a user; None is nobody."""
        # A stream of changes ends at once, as when the studio stops.
        served.studio.hub.end_streams()
        if self._route.is_api:
            client = await (served.client() if user_id is None else served.client_of(user_id))
            return await client.request(self._route.method, self._url, **self._body("json", {}))
        browser = await served.browser_of(user_id)
        token = "" if browser.session is None else browser.session.csrf
        carried = {} if self._route.method == "GET" else {"csrf_token": token}
        return await browser.client.request(self._route.method, self._url, **self._body("data", carried))

    def _body(self, kind: str, carried: Mapping[str, str]) -> dict[str, Any]:
        if self._rule.content is not None:
            return {"content": self._rule.content} | ({"params": self._rule.query} if self._rule.query else {})
        sent = {**carried, **{name: self._filled(value) for name, value in (self._rule.sends or {}).items()}}
        body: dict[str, Any] = {kind: sent} if sent or self._rule.sends is not None else {}
        return body | ({"files": self._rule.files} if self._rule.files else {})

    def _filled(self, value: object) -> object:
        return PARAMETER.sub(lambda found: self._rows[found[1]], value) if isinstance(value, str) else value
