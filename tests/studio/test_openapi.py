"""Every response conforms to the OpenAPI document, for every role, and none is a 5xx."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import httpx
import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation.case import Case
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from outdial.db.embedded import EmbeddedPostgres
from outdial.studio.web.context import RANKS
from tests.support.postgres import Scratch, scratch_for_module
from tests.support.studio import BASE, app_without_database, serve_studio, unchanged
from tests.support.studio_world import RouteRows, create_route_rows

APP = app_without_database()
DOCUMENT = APP.openapi()
OPERATIONS = {
    operation.label: operation
    for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
    if isinstance(found, Ok) and (operation := found.ok())
}
# No function host runs beside these tests, and the document says how that is answered.
WITHOUT_A_HOST: Final = "POST /api/v1/organizations/{organization_id}/functions/{slug}/rollback"
CHECKS: Final = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES: Final = 6


@dataclass(frozen=True)
class Stand:
    """The studio with its rows, and what runs coroutines beside the tests, which Hypothesis wants to be synchronous."""

    runner: asyncio.Runner
    route_rows: RouteRows
    clients: dict[str, httpx.AsyncClient]
    made_up: dict[str, list[Case[Any]]] = field(default_factory=dict)

    def cases_of(self, label: str) -> list[Case[Any]]:
        """Return what to send to an operation, made up once: that takes longer than to send it in each role."""
        if label not in self.made_up:
            self.made_up[label] = make_up(OPERATIONS[label], self.route_rows.own)
        return self.made_up[label]

    def send(self, case: Case[Any], role: str) -> httpx.Response:
        """Send what was made up, as somebody of a role."""
        made: Any = requests.Request(**case.as_transport_kwargs(base_url=BASE)).prepare()
        client = self.clients[role]
        # A header may have any character of Latin-1.
        headers = httpx.Headers(dict(made.headers), encoding="latin-1")
        request = client.build_request(made.method, made.url, headers=headers, content=made.body or b"")
        return self.runner.run(client.send(request))


@pytest.fixture(scope="module")
def stand(postgres_server: EmbeddedPostgres, _templates: set[str]) -> Iterator[Stand]:
    with scratch_for_module(postgres_server, _templates) as (runner, database):
        served = serving(database)
        route_rows, clients = runner.run(served.__aenter__())
        try:
            yield Stand(runner, route_rows, clients)
        finally:
            runner.run(served.__aexit__(None, None, None))


@asynccontextmanager
async def serving(database: Scratch) -> AsyncIterator[tuple[RouteRows, dict[str, httpx.AsyncClient]]]:
    """Serve the studio on two organizations, and give a client for each role."""
    connection = await asyncpg.connect(database.dsn)
    try:
        route_rows = await create_route_rows(database, connection)
    finally:
        await connection.close()
    async with serve_studio(database, unchanged, APP) as served:
        yield route_rows, {role: await served.client_of(route_rows.world.own.users[role]) for role in RANKS}


def make_up(operation: Any, own: Mapping[str, str]) -> list[Case[Any]]:
    """Make up requests about rows that exist, and invalid ones."""
    # Sessions are those of a user, not of an organization: none of these users has one at Auth.
    rows = {**own, "session_id": own["call_id"]}
    known = {parameter.name: rows[parameter.name] for parameter in operation.path_parameters}
    usable = operation.as_strategy(path_parameters=known)
    home = {name: known[name] for name in known if name == "organization_id"}
    unusable = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE, path_parameters=home)
    made_up: list[Case[Any]] = []

    @hypothesis.settings(
        max_examples=EXAMPLES, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(st.one_of(usable, unusable))
    def keep(case: Case[Any]) -> None:
        made_up.append(case)

    keep()
    return made_up


@pytest.mark.parametrize("role", RANKS)
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_response_conforms_to_the_document(label: str, role: str, stand: Stand) -> None:
    checks = CHECKS if label == WITHOUT_A_HOST else [*CHECKS, not_a_server_error]
    cases = stand.cases_of(label)
    assert cases
    for case in cases:
        case.validate_response(stand.send(case, role), checks=checks)


def test_the_document_covers_the_api_with_its_error_responses() -> None:
    assert {path.split("/")[1] for path in DOCUMENT["paths"]} == {"api"}
    assert len(OPERATIONS) == sum(map(len, DOCUMENT["paths"].values()))
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description") or operation.get("summary"), f"{method} {path}"
            assert {"400", "401", "403", "404", "503"} <= operation["responses"].keys(), f"{method} {path}"
