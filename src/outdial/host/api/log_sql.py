"""Translate the SQL that Supabase's tools send to the log endpoints into a LogQuery.

sqlglot parses the text; this module accepts what the stock CLI (`supabase logs`, 3.1), the dashboard and the MCP server
send: ClickHouse's dialect over the one table `logs`, BigQuery's over `function_edge_logs` and `function_logs`. No part
of the text reaches Postgres. Anything else raises BadQuery: ignoring a condition would return wrong rows.

Importing sqlglot takes 0.1 s, so only a request to these endpoints imports this module.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import SqlglotError

from outdial.host.api.log_query import (
    MOST_ROWS,
    BadQuery,
    LogCursor,
    LogQuery,
    read_moment,
    read_request_id,
)
from outdial.host.wire.frames import Level

_DIALECT: Final = "clickhouse"
# The CLI's longest query has 3,000 characters and takes 12 ms to parse.
_LONGEST_SQL: Final = 20_000
_INVOCATIONS: Final = "function_edge_logs"
_LINES: Final = "function_logs"
_ALL: Final = "logs"

_LEVELS: Final[dict[str, Level]] = {
    "debug": "debug",
    "log": "info",
    "info": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "fatal": "error",
}

_CLAUSE_ORDER: Final = (TokenType.SELECT, TokenType.FROM, TokenType.WHERE, TokenType.ORDER_BY, TokenType.LIMIT)
_CLAUSES: Final = {"expressions", "from_", "joins", "where", "order", "limit"}
# Expressions that keep one row per entry. Their values are not computed: rows always have the same columns.
_ROW_BY_ROW: tuple[type[exp.Expr], ...] = (
    exp.Alias,
    exp.And,
    exp.Binary,
    exp.Boolean,
    exp.Bracket,
    exp.Case,
    exp.Cast,
    exp.Column,
)
_ROW_BY_ROW += (exp.DataType, exp.Identifier, exp.If, exp.In, exp.Literal, exp.Lower, exp.Not, exp.Null, exp.Or)
_ROW_BY_ROW += (exp.Paren, exp.Star, exp.Upper)
_ROW_BY_ROW_FUNCTIONS: Final = {"tounixtimestamp64milli", "multiif", "toint32orzero", "datetime"}
# A block comment, unless it is part of a string.
_BLOCK_COMMENT: Final = re.compile(r"'(?:[^'\\]|''|\\.)*'|(?P<comment>/\*)")

# sqlglot warns about statements that it cannot parse; BadQuery reports those.
logging.getLogger("sqlglot").addHandler(logging.NullHandler())


def read_query(sql: str) -> LogQuery:
    """Translate a SELECT. Raises BadQuery, naming the part that is not supported."""
    try:
        select = _parse(sql)
        _check_selection(select.expressions)
        query = _read_tables(select)
        if where := select.args.get("where"):
            for condition in _conditions(where.this):
                query = _add_condition(query, condition)
        return _read_page(query, select.args.get("order"), select.args.get("limit"))
    except RecursionError:
        raise BadQuery("the query is nested too deeply") from None


def _parse(sql: str) -> exp.Select:
    if len(sql) > _LONGEST_SQL:
        raise BadQuery(f"the query has {len(sql)} characters, more than {_LONGEST_SQL}")
    if any(match["comment"] for match in _BLOCK_COMMENT.finditer(sql)):
        raise BadQuery("block comments are not supported")
    try:
        statements = sqlglot.parse(sql, dialect=_DIALECT)
        clauses = [token.token_type for token in sqlglot.tokenize(sql, _DIALECT) if token.token_type in _CLAUSE_ORDER]
    except SqlglotError as error:
        details = getattr(error, "errors", None)
        reason = str(details[0]["description"] if details else error).partition("\n")[0]
        raise BadQuery(f"the query cannot be parsed: {reason}") from error
    if len(statements) != 1 or not isinstance(select := statements[0], exp.Select):
        raise BadQuery("the query is not SELECT ... FROM ...")
    if not select.expressions or not select.args.get("from_"):
        raise BadQuery("the query is not SELECT ... FROM ...")
    if unsupported := _arguments(select) - _CLAUSES:
        raise BadQuery(f"{min(unsupported).upper()} is not supported")
    if clauses != sorted(clauses, key=_CLAUSE_ORDER.index):
        # The parser takes them in any order, ClickHouse does not.
        raise BadQuery("the clauses are not in the order SELECT, FROM, WHERE, ORDER BY, LIMIT")
    return select


def _arguments(node: exp.Expr) -> set[str]:
    """Return the names of the arguments that the query gave to a node."""
    return {name for name, value in node.args.items() if value}


def _check_selection(expressions: Iterable[exp.Expr]) -> None:
    for node in (node for expression in expressions for node in expression.walk()):
        if isinstance(node, exp.Anonymous) and node.name.lower() in _ROW_BY_ROW_FUNCTIONS:
            continue
        if isinstance(node, exp.Func) and not isinstance(node, _ROW_BY_ROW):
            name = node.name if isinstance(node, exp.Anonymous) else node.sql_name().lower()
            raise BadQuery(f"{name}(...) cannot be computed")
        if not isinstance(node, _ROW_BY_ROW):
            raise BadQuery(f"{node.sql(_DIALECT)[:200]!r} cannot be selected")


def _read_tables(select: exp.Select) -> LogQuery:
    table = select.args["from_"].this
    name = table.name if isinstance(table, exp.Table) else ""
    if name not in (_ALL, _INVOCATIONS, _LINES) or _arguments(table) - {"this", "db", "alias"}:
        raise BadQuery(f"there is no table {table.sql(_DIALECT)[:200]!r}")
    for join in select.args.get("joins") or ():
        # Fields that the documentation unnests are columns of every row here.
        if _arguments(join) != {"this", "kind"} or join.kind != "CROSS" or not isinstance(join.this, exp.Unnest):
            raise BadQuery(f"{join.sql(_DIALECT)[:200]!r} is not supported")
    if name == _ALL:
        return LogQuery(is_whole=True)
    return _narrow_to_sources(LogQuery(), {name})


def _conditions(node: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the conditions that AND joins."""
    node = node.unnest()
    if isinstance(node, exp.And):
        yield from _conditions(node.this)
        yield from _conditions(node.expression)
    else:
        yield node


def _add_condition(query: LogQuery, condition: exp.Expr) -> LogQuery:
    match condition:
        case exp.EQ(this=left, expression=exp.Literal(is_string=True) as value) if name := _column(left):
            return _narrow(query, name, [value.name])
        case exp.In(this=left, expressions=values) if (
            _arguments(condition) == {"this", "expressions"}
            and all(map(_is_string, values))
            and (name := _column(left) or _level(left))
        ):
            return _narrow(query, name, [value.name for value in values])
        case exp.GT(this=exp.Anonymous(expressions=[searched, text]) as call, expression=exp.Literal(name="0")) if (
            call.name.lower() == "positioncaseinsensitiveutf8"
            and _column(searched) == "event_message"
            and _is_string(text)
        ):
            return replace(query, filter=replace(query.filter, search=text.name))
        case exp.GT() | exp.GTE() | exp.LT() | exp.LTE() if _column(condition.this) == "timestamp" and _is_string(
            condition.expression
        ):
            moment = read_moment(condition.expression.name)
            if isinstance(condition, exp.GT | exp.LTE):
                moment += timedelta(milliseconds=1)  # times in the log are in whole milliseconds
            wanted = query.filter
            if isinstance(condition, exp.GT | exp.GTE):
                return replace(query, filter=replace(wanted, since=max(moment, wanted.since or moment)))
            return replace(query, filter=replace(wanted, until=min(moment, wanted.until or moment)))
        case exp.Or() if sources := _sources(condition):
            return _narrow_to_sources(query, sources)
        case exp.Or(this=exp.GT() as later, expression=exp.Paren(this=exp.And() as same)):
            return replace(query, after=_read_cursor(later, same))
    raise _unsupported(condition)


def _unsupported(condition: exp.Expr) -> BadQuery:
    return BadQuery(f"the condition {condition.sql(_DIALECT)[:200]!r} is not supported")


def _column(node: exp.Expr) -> str:
    """Return the unqualified name of a column or of `log_attributes['name']`, or an empty string for anything else."""
    match node:
        case exp.Column():
            return node.name.lower()
        case exp.Bracket(this=exp.Column(name="log_attributes"), expressions=[exp.Literal(is_string=True) as key]):
            return key.name.lower().rpartition(".")[2]
    return ""


def _level(node: exp.Expr) -> str:
    """Return "level" for the CLI's multiIf(...), which computes the level of an entry of any table."""
    call = node.unnest()
    if not isinstance(call, exp.Anonymous) or call.name.lower() != "multiif":
        return ""
    columns = {_column(found) for found in call.find_all(exp.Column, exp.Bracket)}
    return "level" if {"level", "status_code"} <= columns else ""


def _is_string(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and node.is_string


def _sources(condition: exp.Or) -> set[str]:
    """Return the sources of `source = 'a' or source = 'b'`, or an empty set for any other alternatives."""
    sources: set[str] = set()
    for alternative in condition.flatten():
        match alternative:
            case exp.EQ(this=exp.Column() as left, expression=value) if _column(left) == "source" and _is_string(value):
                sources.add(value.name)
            case _:
                return set()
    return sources


def _narrow(query: LogQuery, name: str, values: list[str]) -> LogQuery:
    if name == "source":
        return _narrow_to_sources(query, set(values))
    wanted = query.filter
    if name == "level":
        levels = frozenset(_LEVELS[value.lower()] for value in values if value.lower() in _LEVELS)
        return replace(
            query, filter=replace(wanted, levels=levels if wanted.levels is None else levels & wanted.levels)
        )
    if len(values) > 1:
        raise BadQuery(f"{name} takes one value")
    match name:
        # The management API uses a function's slug as its id.
        case "function_id" | "slug" if wanted.slug in (None, values[0]):
            return replace(query, filter=replace(wanted, slug=values[0]))
        case "request_id" if wanted.requests is None:
            return replace(query, filter=replace(wanted, requests=read_request_id(values[0])))
        case _:
            raise BadQuery(f"this condition on {name} is not supported")


def _narrow_to_sources(query: LogQuery, sources: set[str]) -> LogQuery:
    wanted = query.filter
    narrowed = replace(
        wanted, invocations=wanted.invocations and _INVOCATIONS in sources, lines=wanted.lines and _LINES in sources
    )
    return replace(query, filter=narrowed)


def _read_cursor(later: exp.GT, same: exp.And) -> LogCursor:
    """Read `ms > N or (ms = N and id > 'hex')`, with which the CLI continues after the last entry that it has."""
    match same:
        case exp.And(
            this=exp.EQ(this=moment, expression=exp.Literal() as ms),
            expression=exp.GT(this=exp.Column(name="id"), expression=exp.Literal(is_string=True) as entry),
        ) if _is_milliseconds(moment) and _is_milliseconds(later.this) and later.expression == ms:
            if ms.name.isdecimal() and re.fullmatch(r"[0-9a-f]{1,16}", entry.name):
                at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(ms.name))
                return LogCursor(at, int(entry.name, 16))
    raise _unsupported(same)


def _is_milliseconds(node: exp.Expr) -> bool:
    return (
        isinstance(node, exp.Anonymous)
        and node.name.lower() == "tounixtimestamp64milli"
        and [_column(argument) for argument in node.expressions] == ["timestamp"]
    )


def _read_page(query: LogQuery, order: exp.Order | None, limit: exp.Expr | None) -> LogQuery:
    """Add ORDER BY and LIMIT to a query."""
    if order is not None:
        columns = [_column(ordered.this) for ordered in order.expressions]
        directions = {bool(ordered.args.get("desc")) for ordered in order.expressions}
        extra = _arguments(order).union(*map(_arguments, order.expressions)) - {"expressions", "this", "desc"}
        is_by_time = columns[0] in ("timestamp", "ts_ms") and columns[1:] in ([], ["id"])
        if not is_by_time or len(directions) > 1 or extra:
            raise BadQuery(f"{order.sql(_DIALECT).strip()[:200]} is not supported")
        query = replace(query, newest_first=directions == {True})
    if query.after is not None and query.newest_first:
        raise BadQuery("a page that starts after an entry needs the order ASC")
    match limit:
        case None:
            return query
        case exp.Limit(expression=exp.Literal(is_string=False) as number) if _arguments(limit) == {"expression"}:
            if number.name.isdecimal() and int(number.name) > 0:
                return replace(query, limit=min(int(number.name), MOST_ROWS))
    raise BadQuery("LIMIT takes a number above 0")
