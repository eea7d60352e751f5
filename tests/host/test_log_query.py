"""The log endpoints translate the SQL of Supabase's tools and reject all other SQL."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from outdial.host.api.log_query import (
    MOST_ROWS,
    BadQuery,
    BadRequest,
    LogCursor,
    LogFilter,
    LogQuery,
    read_moment,
    read_request_id,
)
from outdial.host.api.log_sql import read_query

# As `supabase logs --remote --service ...` of 3.1.0 sends it.
LEVEL_OF_THE_CLI = """multiIf(
  source = 'postgres_logs', multiIf(upper(log_attributes['parsed.error_severity']) in ('ERROR','FATAL','PANIC'), \
'error', upper(log_attributes['parsed.error_severity']) = 'WARNING', 'warn', \
lower(log_attributes['parsed.error_severity'])),
  source in ('edge_logs','function_edge_logs'), multiIf(toInt32OrZero(log_attributes['response.status_code']) >= 500, \
'error', toInt32OrZero(log_attributes['response.status_code']) >= 400, 'warn', \
toInt32OrZero(log_attributes['response.status_code']) >= 100, 'info', ''),
  source = 'auth_logs', multiIf(lower(log_attributes['level']) in ('error','fatal') or \
toInt32OrZero(log_attributes['status']) >= 500, 'error', lower(log_attributes['level']) in ('warn','warning') or \
toInt32OrZero(log_attributes['status']) >= 400, 'warn', lower(log_attributes['level'])),
  source = 'function_logs', multiIf(lower(log_attributes['level']) in ('error','fatal'), 'error', \
lower(log_attributes['level']) in ('warn','warning'), 'warn', lower(log_attributes['level'])),
  log_attributes['subservice'] = 'worker_ingress_logs', multiIf(toInt32OrZero(log_attributes['status']) >= 500, \
'error', toInt32OrZero(log_attributes['status']) >= 400, 'warn', toInt32OrZero(log_attributes['status']) >= 100, \
'info', ''),
  log_attributes['subservice'] = 'worker_api_logs', if(log_attributes['event'] = 'build_failed', 'error', 'info'),
  '')"""
SELECTION_OF_THE_CLI = (
    f"select id, toUnixTimestamp64Milli(timestamp) as ts_ms, source, severity_text, {LEVEL_OF_THE_CLI} as level, "
    "event_message, log_attributes"
)


def of_cli(conditions: str, end: str = "order by ts_ms desc, id desc limit 100") -> LogQuery:
    return read_query(f"{SELECTION_OF_THE_CLI} from logs where {conditions} {end}")


# The stock CLI.


def test_the_first_page_of_the_cli_has_the_newest_entries_of_both_sources() -> None:
    query = of_cli("(source = 'function_logs' or source = 'function_edge_logs')")

    assert query == LogQuery(filter=LogFilter(), newest_first=True, limit=100, is_whole=True)


def test_ignores_sources_that_a_host_does_not_have() -> None:
    assert of_cli("(source = 'edge_logs' or source = 'function_logs')").filter == LogFilter(invocations=False)
    assert of_cli("(source = 'auth_logs')").filter == LogFilter(invocations=False, lines=False)


def test_the_filters_of_the_cli_narrow_to_a_function_levels_and_a_text() -> None:
    query = of_cli(
        "(source = 'function_edge_logs') and log_attributes['function_id'] = 'hello' and "
        f"({LEVEL_OF_THE_CLI}) in ('error', 'warn') and "
        "positionCaseInsensitiveUTF8(event_message, 'it''s \\\\ 100%') > 0",
        "order by ts_ms desc, id desc limit 5",
    )

    levels = frozenset({"error", "warning"})
    assert query.filter == LogFilter(slug="hello", levels=levels, search="it's \\ 100%", lines=False)  # type: ignore[arg-type]
    assert query.limit == 5


def test_a_refresh_of_the_cli_continues_after_its_last_entry() -> None:
    query = of_cli(
        "(source = 'function_logs') and (toUnixTimestamp64Milli(timestamp) > 1795000000123 or "
        "(toUnixTimestamp64Milli(timestamp) = 1795000000123 and id > '00000000000000ff'))",
        "order by ts_ms asc, id asc limit 1000",
    )

    moment = datetime.fromtimestamp(1_795_000_000, UTC) + timedelta(milliseconds=123)
    assert (query.after, query.newest_first, query.limit) == (LogCursor(moment, 255), False, 1000)


# Dashboard, MCP server and documentation.


def test_each_table_reads_one_source() -> None:
    query = read_query("select id, timestamp, event_message from function_edge_logs order by timestamp desc limit 20;")
    assert query == LogQuery(filter=LogFilter(lines=False), limit=20)
    assert read_query("SELECT * FROM function_logs").filter == LogFilter(invocations=False)


def test_unnesting_changes_nothing_because_fields_are_columns() -> None:
    query = read_query(
        """
        select id, fel.timestamp, event_message, response.status_code, m.function_id -- as the explorer writes it
        from function_edge_logs as fel
          cross join unnest(metadata) as m
          cross join unnest(m.response) as response
        where m.function_id = 'hello' and fel.timestamp > '2026-03-10T17:00:00Z'
        order by fel.timestamp
        """
    )
    since = datetime(2026, 3, 10, 17, 0, 0, 1000, tzinfo=UTC)
    assert query == LogQuery(filter=LogFilter(slug="hello", since=since, lines=False), newest_first=False)


def test_several_time_bounds_keep_the_narrowest() -> None:
    wanted = read_query(
        "select * from logs where timestamp >= '2026-03-10' and timestamp >= '2026-03-11T00:00:00+01:00'"
        " and timestamp < '2026-03-13' and timestamp <= '2026-03-12T10:00:00'"
    ).filter
    assert wanted.since == datetime(2026, 3, 10, 23, tzinfo=UTC)
    assert wanted.until == datetime(2026, 3, 12, 10, 0, 0, 1000, tzinfo=UTC)


def test_filters_by_request_and_levels() -> None:
    id = UUID("0190a3f2-7d2c-7abc-8123-0123456789ab")
    start = "select * from logs where level in ('error','info') and level = 'INFO' and"
    wanted = read_query(f"{start} metadata.request_id = '{id}'").filter
    assert wanted == LogFilter(requests=(id, id), levels=frozenset({"info"}))


@pytest.mark.parametrize(("limit", "rows"), [("", 100), ("limit 7", 7), ("limit 99999", MOST_ROWS)])
def test_limits_the_rows(limit: str, rows: int) -> None:
    assert read_query(" ".join(["select * from logs", limit])).limit == rows


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "select",
        "delete from logs",
        "select * from logs; drop table host.invocations",
        "select * from host.secrets",
        "select * from pg_catalog.pg_authid",
        "select * from logs, function_logs",
        "select * from (select * from logs)",
        "select * from logs as l join function_logs as f on true",
        "select * from function_logs cross join unnest(metadata) as m cross join logs",
        "select * from logs union select * from function_logs",
        "select count(*) from logs",
        "select * , avg(execution_time_ms) from function_edge_logs",
        "select level from logs group by level",
        "select distinct level from logs",
        "select * from logs where",
        "select * from logs where source",
        "select * from logs where source = function_logs",
        "select * from logs where source != 'function_logs'",
        "select * from logs where source = 'function_logs' and",
        "select * from logs where source = 'function_logs' or level = 'error'",
        "select * from logs where not source = 'function_logs'",
        "select * from logs where slug = 'a' and slug = 'b'",
        "select * from logs where slug in ('a', 'b')",
        "select * from logs where slug in ()",
        "select * from logs where slug like 'a%'",
        "select * from logs where status_code >= 500",
        "select * from logs where timestamp between '2026-01-01' and '2026-01-02'",
        "select * from logs where multiIf(1, 'a', 'b') in ('error')",
        "select * from logs where positionCaseInsensitiveUTF8(id, 'x') > 0",
        "select * from logs where positionCaseInsensitiveUTF8(event_message, 'x') = 0",
        "select * from logs where (toUnixTimestamp64Milli(timestamp) > 1 or (toUnixTimestamp64Milli(timestamp) = 2 and"
        " id > 'ff')) order by timestamp",
        "select * from logs where (toUnixTimestamp64Milli(timestamp) > 1 or (toUnixTimestamp64Milli(timestamp) = 1 and"
        " id > 'ff')) order by timestamp desc",
        "select * from logs order by level",
        "select * from logs order by timestamp desc, id asc",
        "select * from logs limit 10 offset 5",
        "select * from logs limit 0",
        "select * from logs limit",
        "select * from logs limit '5'",
        "select * from logs limit 5 where slug = 'a'",
        "select * from logs where slug = 'a' where slug = 'a'",
        "select * from logs where (slug = 'a'",
        "select * from logs where slug = 'a')",
        "select * from logs where slug = 'a",
        'select * from logs where slug = "a"',
        "select * from logs where slug = $1",
        "select * from logs /* hidden */",
    ],
)
def test_rejects_everything_else_and_ignores_no_condition(sql: str) -> None:
    with pytest.raises(BadQuery, match="The tables are logs, function_edge_logs and function_logs"):
        read_query(sql)


@pytest.mark.parametrize(
    "sql", [" ".join(["select * from logs where", "(" * 5_000]), " ".join(["select id", ", id" * 10_000, "from logs"])]
)
def test_rejects_queries_that_are_too_deep_or_too_long(sql: str) -> None:
    with pytest.raises(BadQuery):
        read_query(sql)


def test_the_error_names_the_unsupported_part() -> None:
    with pytest.raises(BadQuery, match="the condition 'status_code >= 500' is not supported"):
        read_query("select * from logs where status_code >= 500")
    with pytest.raises(BadQuery, match=r"count\(...\) cannot be computed"):
        read_query("select count(*) from logs")


# Values.


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("0190a3f2-7d2c-7abc-8123-0123456789ab", "0190a3f2-7d2c-7abc-8123-0123456789ab"),
        ("0190a3f2-7d2c", "0190a3f2-7d2c-ffff-ffff-ffffffffffff"),
        (" 0190A3F2 ", "0190a3f2-ffff-ffff-ffff-ffffffffffff"),
    ],
)
def test_accepts_the_start_of_a_request_id(text: str, last: str) -> None:
    first, found = read_request_id(text)
    assert str(found) == last
    assert str(first) == last.replace("f" * 12, "0" * 12).replace("ffff", "0000")


@pytest.mark.parametrize("text", ["", "0190a3f", "0190a3fg", "0" * 33, "' or 1=1"])
def test_rejects_other_request_ids(text: str) -> None:
    with pytest.raises(BadRequest, match="is neither a request id"):
        read_request_id(text)


def test_a_time_without_a_zone_is_utc() -> None:
    assert read_moment("2026-03-10T17:00") == read_moment("2026-03-10T18:00+01:00")
    with pytest.raises(BadRequest, match="'yesterday' is not a time in ISO 8601"):
        read_moment("yesterday")
