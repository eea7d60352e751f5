"""Rows that a member has written past the studio, with JSON of any shape, do not break a list or a page."""

import json
import re

import asyncpg
import httpx
import pytest

from tests.studio.rights import RULES
from tests.support.studio import StudioServer, app_without_database
from tests.support.studio_routes import routes_of
from tests.support.studio_world import create_route_rows

PARAMETER = re.compile(r"{(\w+)}")
ROUTES = [
    route for route in routes_of(app_without_database()) if route.method == "GET" and "{organization_id}" in route.path
]
# A stream of changes, and a function host that does not run beside these tests.
LEFT_OUT = ("/live", "/functions")
# A report on hours that cannot be read says so, and the list of rules reports a rule that cannot be read.
REPORTED = {"/launch-report": 400, "/launch-check": 400, "/rules/{rule_id}": 404}
WRITABLE = """
    select distinct p.table_name, p.column_name
    from information_schema.column_privileges p
    join information_schema.columns c using (table_schema, table_name, column_name)
    where p.table_schema = 'public' and p.grantee = 'authenticated' and p.privilege_type in ('INSERT', 'UPDATE')
      and c.data_type = 'jsonb'
"""
ODD = [
    {"a": 1},
    {"a": None, "b": [[]]},
    {"monday": 5, "weekdays": [["09:00"]], "excluded_dates": "never", "phone": {"a": 1}, "busy": {"delays": None}},
    {"kind": ["calls"], "campaign_id": 5, "since": "yesterday", "offer": {"deep": [1, None]}},
    {"": ""},
    [],
    ["x", 1, None, {}],
    "text",
    5,
    None,
]


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
async def test_json_of_an_unexpected_shape_breaks_no_list_and_no_page(
    studio_app: StudioServer, connection: asyncpg.Connection, odd: object
) -> None:
    rows = await create_route_rows(studio_app.database, connection)
    written = await write_everywhere(connection, odd)
    assert written or not isinstance(odd, dict)
    studio_app.studio.hub.end_streams()
    client = await studio_app.client_of(rows.world.own.users["owner"])
    browser = await studio_app.browser_of(rows.world.own.users["owner"])

    failed = {}
    for route in ROUTES:
        if any(part in route.path for part in LEFT_OUT):
            continue
        rule = RULES[str(route)]
        known = {**rows.own, **{name: rows.own[row] for name, row in rule.uses.items()}}
        url = PARAMETER.sub(lambda found, known=known: known[found[1]], route.path)
        response: httpx.Response = await (client if route.is_api else browser.client).get(url)
        reported = [status for ending, status in REPORTED.items() if route.path.endswith(ending)]
        if response.status_code not in (rule.answers, *reported):
            failed[str(route)] = (response.status_code, response.text[-300:])
    assert failed == {}, written


async def write_everywhere(connection: asyncpg.Connection, odd: object) -> list[str]:
    """Write the value into every JSON column that members may write and whose constraints accept it."""
    written = []
    for table, column in await connection.fetch(WRITABLE):
        try:
            async with connection.transaction():
                # Past the triggers that keep rows as they are; constraints still hold.
                await connection.execute("set local session_replication_role = replica")
                await connection.execute(
                    f"update public.{table} set {column} = $1::text::jsonb",  # noqa: S608
                    json.dumps(odd),
                )
        except (asyncpg.CheckViolationError, asyncpg.NotNullViolationError):
            continue
        written.append(f"{table}.{column}")
    return written
