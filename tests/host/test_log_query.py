"""What of the SQL of Supabase's tools is understood; all else is refused."""

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
    read_query,
    read_request_id,
)

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


def test_the_first_page_of_the_cli_is_the_newest_of_both_sources() -> None:
    query = of_cli("(source = 'function_logs' or source = 'function_edge_logs')")

    assert query == LogQuery(LogFilter(), newest_first=True, limit=100, whole=True)


def test_sources_that_are_not_here_are_passed_over() -> None:
    assert of_cli("(source = 'edge_logs' or source = 'function_logs')").wanted == LogFilter(invocations=False)
    assert of_cli("(source = 'auth_logs')").wanted == LogFilter(invocations=False, lines=False)


def test_the_filters_of_the_cli_narrow_to_a_function_levels_and_a_text() -> None:
    query = of_cli(
        "(source = 'function_edge_logs') and log_attributes['function_id'] = 'hello' and "
        f"({LEVEL_OF_THE_CLI}) in ('error', 'warn') and "
        "positionCaseInsensitiveUTF8(event_message, 'it''s \\\\ 100%') > 0",
        "order by ts_ms desc, id desc limit 5",
    )

    levels = frozenset({"error", "warning"})
    assert query.wanted == LogFilter(slug="hello", levels=levels, search="it's \\ 100%", lines=False)  # type: ignore[arg-type]
    assert query.limit == 5


def test_a_refresh_of_the_cli_goes_on_after_the_entry_that_it_has() -> None:
    query = of_cli(
        "(source = 'function_logs') and (toUnixTimestamp64Milli(timestamp) > 1795000000123 or "
        "(toUnixTimestamp64Milli(timestamp) = 1795000000123 and id > '00000000000000ff'))",
        "order by ts_ms asc, id asc limit 1000",
    )

    moment = datetime.fromtimestamp(1_795_000_000, UTC) + timedelta(milliseconds=123)
    assert (query.after, query.newest_first, query.limit) == (LogCursor(moment, 255), False, 1000)


# Dashboard, MCP server and documentation.


def test_a_table_of_its_own_is_one_source() -> None:
    query = read_query("select id, timestamp, event_message from function_edge_logs order by timestamp desc limit 20;")
    assert query == LogQuery(LogFilter(lines=False), limit=20)
    assert read_query("SELECT * FROM function_logs").wanted == LogFilter(invocations=False)


def test_unnesting_changes_nothing_for_fields_are_at_the_top() -> None:
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
    assert query == LogQuery(LogFilter(slug="hello", since=since, lines=False), newest_first=False)


def test_bounds_of_time_keep_the_narrowest() -> None:
    wanted = read_query(
        "select * from logs where timestamp >= '2026-03-10' and timestamp >= '2026-03-11T00:00:00+01:00'"
        " and timestamp < '2026-03-13' and timestamp <= '2026-03-12T10:00:00'"
    ).wanted
    assert wanted.since == datetime(2026, 3, 10, 23, tzinfo=UTC)
    assert wanted.until == datetime(2026, 3, 12, 10, 0, 0, 1000, tzinfo=UTC)


def test_a_request_and_levels_may_be_named() -> None:
    id = UUID("0190a3f2-7d2c-7abc-8123-0123456789ab")
    start = "select * from logs where level in ('error','info') and level = 'INFO' and"
    wanted = read_query(f"{start} metadata.request_id = '{id}'").wanted
    assert wanted == LogFilter(requests=(id, id), levels=frozenset({"info"}))


@pytest.mark.parametrize(("limit", "rows"), [("", 100), ("limit 7", 7), ("limit 99999", MOST_ROWS)])
def test_rows_are_limited(limit: str, rows: int) -> None:
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
def test_what_is_not_understood_is_refused_and_never_passed_over(sql: str) -> None:
    with pytest.raises(BadQuery, match="The tables are logs, function_edge_logs and function_logs"):
        read_query(sql)


def test_a_refusal_names_what_was_not_understood() -> None:
    with pytest.raises(BadQuery, match="the condition 'status_code >= 500' is not understood"):
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
def test_a_request_id_may_be_given_by_its_beginning(text: str, last: str) -> None:
    first, found = read_request_id(text)
    assert str(found) == last
    assert str(first) == last.replace("f" * 12, "0" * 12).replace("ffff", "0000")


@pytest.mark.parametrize("text", ["", "0190a3f", "0190a3fg", "0" * 33, "' or 1=1"])
def test_what_is_no_request_id_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="is no request id"):
        read_request_id(text)


def test_a_time_without_a_zone_is_in_utc() -> None:
    assert read_moment("2026-03-10T17:00") == read_moment("2026-03-10T18:00+01:00")
    with pytest.raises(BadRequest, match="'yesterday' is no time in ISO 8601"):
        read_moment("yesterday")
