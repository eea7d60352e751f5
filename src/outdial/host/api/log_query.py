"""Reads the SQL that Supabase's tools send to the log endpoints: not as a database would, but what it asks for.

Two dialects are understood, as far as the stock CLI (`supabase logs`, 3.1), the dashboard and the MCP server need
them: ClickHouse's over the one table `logs`, and BigQuery's over `function_edge_logs` and `function_logs`. Nothing of
the text ever reaches Postgres. What is not understood is refused: a filter passed over would give a wrong answer.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from outdial.host.wire.errors import HostError
from outdial.host.wire.frames import Level

MOST_ROWS: Final = 1_000
_USUAL_ROWS: Final = 100

_INVOCATIONS, _LINES, _ALL = "function_edge_logs", "function_logs", "logs"
_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
    |(?P<string>'(?:[^'\\]|''|\\.)*')
    |log_attributes\s*\[\s*'(?P<attribute>[\w.]+)'\s*\]
    |(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    |(?P<number>\d+)
    |(?P<symbol><=|>=|<>|!=|[()\[\],=<>;*])""",
    re.VERBOSE,
)
# What may stand before a parenthesis in a selection: with these, a row stays a row.
_ROW_BY_ROW = {"tounixtimestamp64milli", "multiif", "if", "upper", "lower", "toint32orzero", "datetime", "cast"}
_ROW_BY_ROW |= {"in", "and", "or", "not"}
_CLAUSES = ("select", "from", "where", "order", "limit")
_NOT_ANSWERED = {"union", "group", "having", "offset", "with", "left", "right", "inner", "full", "distinct", ";"}
_FROM = re.compile(r"(\w+)(?: as)?(?: (?!cross\b)\w+)?((?: cross join unnest \( \w+ \)(?: as)?(?: (?!cross\b)\w+)?)*)")
_ORDER = re.compile(r"by (?:timestamp|ts_ms)( asc| desc)?(?: , id( asc| desc)?)?")
_LEVELS: dict[str, Level] = {
    "debug": "debug",
    "log": "info",
    "info": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "fatal": "error",
}

_UNDERSTOOD = (
    "The tables are logs, function_edge_logs and function_logs; WHERE may name source, function_id, slug, request_id "
    "and level (= or IN), bounds of timestamp and positionCaseInsensitiveUTF8(event_message, ...) > 0, joined by AND; "
    "then ORDER BY timestamp, LIMIT"
)

# A name in lower case without what it is qualified with, a number, a symbol; or `'` and the content of a string.
Token = str
Tree = list["Token | Tree"]


class BadRequest(HostError):
    """A parameter cannot be read."""


class BadQuery(BadRequest):
    """The query asks for what these endpoints do not answer."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}. {_UNDERSTOOD}")


class LogCursor(NamedTuple):
    """Where a page of the log ends."""

    at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which entries of the log: those that fit all that is given. `since` is included, `until` is not.

    A status of 500 or more makes an invocation an error, one of 400 or more a warning. `requests` are the first and
    the last request id. `search` is looked for in the text of lines and the path of invocations, in either case.
    """

    slug: str | None = None
    levels: frozenset[Level] | None = None
    since: datetime | None = None
    until: datetime | None = None
    requests: tuple[UUID, UUID] | None = None
    search: str | None = None
    invocations: bool = True
    lines: bool = True


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What a query asks for; `whole` tells that it reads the table `logs`."""

    wanted: LogFilter
    newest_first: bool = True
    after: LogCursor | None = None
    limit: int = _USUAL_ROWS
    whole: bool = False


def read_query(sql: str) -> LogQuery:
    """Return what `sql` asks for; raise BadQuery, which says what is not understood."""
    clauses = _clauses_of(_tree_of(sql))
    _check_selection(clauses["select"])
    query = _read_from(LogQuery(LogFilter()), " ".join(_words(clauses["from"])))
    for condition in _conditions_of(clauses["where"]) if "where" in clauses else ():
        query = _narrow(query, condition)
    return _read_end(query, " ".join(_words(clauses.get("order", []))), clauses.get("limit", []))


# Text to clauses.


def _tokens(sql: str) -> Iterator[Token]:
    at = 0
    while at < len(sql):
        match = _TOKEN.match(sql, at)
        if match is None:
            raise BadQuery(f"{sql[at : at + 20]!r} cannot be read")
        at = match.end()
        if match["string"]:
            yield "'" + re.sub(r"''|\\(.)", lambda found: found[1] or "'", match["string"][1:-1])
        elif match["attribute"]:
            yield match["attribute"].lower().rpartition(".")[2]
        elif match["name"]:
            yield match["name"].lower().rpartition(".")[2]
        elif not match["space"]:
            yield match[0]


def _tree_of(sql: str) -> Tree:
    stack: list[Tree] = [[]]
    for token in _tokens(sql):
        if token == "(":
            stack.append([])
        elif token == ")":
            if len(stack) == 1:
                raise BadQuery("a parenthesis is closed that was not opened")
            inner = stack.pop()
            stack[-1].append(inner)
        else:
            stack[-1].append(token)
    if len(stack) > 1:
        raise BadQuery("a parenthesis is not closed")
    tree = stack[0]
    return tree[:-1] if tree[-1:] == [";"] else tree


def _clauses_of(tree: Tree) -> dict[str, Tree]:
    clauses: dict[str, Tree] = {}
    for token in tree:
        if isinstance(token, str) and token in _CLAUSES:
            if any(_CLAUSES.index(token) <= _CLAUSES.index(earlier) for earlier in clauses):
                raise BadQuery(f"{token.upper()} is not where it belongs")
            clauses[token] = []
        elif isinstance(token, str) and token in _NOT_ANSWERED:
            raise BadQuery(f"{token.upper()} is not answered")
        elif not clauses:
            break
        else:
            clauses[next(reversed(clauses))].append(token)
    if not {"select", "from"} <= clauses.keys():
        raise BadQuery("the query is not SELECT ... FROM ...")
    if empty := [name for name, content in clauses.items() if not content]:
        raise BadQuery(f"nothing follows {empty[0].upper()}")
    return clauses


def _words(tree: Tree) -> Iterator[str]:
    for item in tree:
        if isinstance(item, str):
            yield item
        else:
            yield from ("(", *_words(item), ")")


# Clauses to what is wanted.


def _check_selection(tree: Tree) -> None:
    for before, item in zip(["", *tree], tree, strict=False):
        if isinstance(item, list):
            if isinstance(before, str) and re.fullmatch(r"\w+", before) and before not in _ROW_BY_ROW:
                raise BadQuery(f"{before}(...) cannot be computed")
            _check_selection(item)


def _read_from(query: LogQuery, text: str) -> LogQuery:
    match = _FROM.fullmatch(text)
    table = match[1] if match is not None else ""
    if table == _ALL:
        return replace(query, whole=True)
    if table not in (_INVOCATIONS, _LINES):
        raise BadQuery(f"there is no table {text!r}")
    return _narrow_sources(query, {table})


def _read_end(query: LogQuery, order: str, limit: Tree) -> LogQuery:
    if order:
        match = _ORDER.fullmatch(order)
        if match is None or (match[2] is not None and match[2] != (match[1] or " asc")):
            raise BadQuery(f"ORDER {order.upper()} is not answered")
        query = replace(query, newest_first=match[1] == " desc")
    if query.after is not None and query.newest_first:
        raise BadQuery("a page that begins after an entry needs the order ASC")
    match limit:
        case []:
            return query
        case [str(number)] if number.isdecimal() and int(number) > 0:
            return replace(query, limit=min(int(number), MOST_ROWS))
        case _:
            raise BadQuery("LIMIT takes a number above 0")


def _conditions_of(tree: Tree) -> Iterator[Tree]:
    for part in _split(tree, "and"):
        if len(part) == 1 and isinstance(part[0], list):
            yield from _conditions_of(part[0])
        elif part:
            yield part
        else:
            raise BadQuery("a condition is missing")


def _split(tree: Tree, word: str) -> list[Tree]:
    parts: list[Tree] = [[]]
    for item in tree:
        if item == word:
            parts.append([])
        else:
            parts[-1].append(item)
    return parts


def _narrow(query: LogQuery, condition: Tree) -> LogQuery:
    match condition:
        case [str(name), "=", str(value)] if _is_text(value):
            return _narrow_to(query, name, [value[1:]])
        case [str(name), "in", list(values)]:
            return _narrow_to(query, name, _texts(values))
        case ["multiif", list(cases), "in", list(values)] | [["multiif", list(cases)], "in", list(values)] if (
            # The stock CLI's way to ask for a level in all tables at once.
            {"level", "status_code"} <= set(_words(cases))
        ):
            return _narrow_to(query, "level", _texts(values))
        case ["positioncaseinsensitiveutf8", ["event_message", ",", str(text)], ">", "0"] if _is_text(text):
            return replace(query, wanted=replace(query.wanted, search=text[1:]))
        case ["timestamp", ">" | ">=" | "<" | "<=" as sign, str(value)] if _is_text(value):
            return _bound(query, sign, value[1:])
        case ["tounixtimestamp64milli", ["timestamp"], ">", str(ms), "or", list(same)]:
            return replace(query, after=_place_of(ms, same))
    alternatives = _split(condition, "or")
    if len(alternatives) > 1 and all(len(one) == 3 and one[:2] == ["source", "="] for one in alternatives):
        return _narrow_to(query, "source", _texts([one[2] for one in alternatives]))
    raise BadQuery(f"the condition {' '.join(_words(condition))[:200]!r} is not understood")


def _is_text(token: Token) -> bool:
    return token.startswith("'")


def _texts(tree: Sequence["Token | Tree"]) -> list[str]:
    texts = [item for item in tree if item != ","]
    if not texts or not all(isinstance(item, str) and _is_text(item) for item in texts):
        raise BadQuery("IN takes a list of texts")
    return [str(item)[1:] for item in texts]


def _narrow_to(query: LogQuery, name: str, values: list[str]) -> LogQuery:
    if name == "source":
        return _narrow_sources(query, set(values))
    wanted = query.wanted
    if name == "level":
        levels = frozenset(_LEVELS[value.lower()] for value in values if value.lower() in _LEVELS)
        return replace(
            query, wanted=replace(wanted, levels=levels if wanted.levels is None else levels & wanted.levels)
        )
    if len(values) > 1:
        raise BadQuery(f"{name} can be one text only")
    match name:
        # The management API gives every function its slug for an id.
        case "function_id" | "slug" if wanted.slug in (None, values[0]):
            return replace(query, wanted=replace(wanted, slug=values[0]))
        case "request_id" if wanted.requests is None:
            return replace(query, wanted=replace(wanted, requests=read_request_id(values[0])))
        case _:
            raise BadQuery(f"a condition on {name} is not understood")


def _narrow_sources(query: LogQuery, sources: set[str]) -> LogQuery:
    wanted = query.wanted
    return replace(
        query,
        wanted=replace(
            wanted,
            invocations=wanted.invocations and _INVOCATIONS in sources,
            lines=wanted.lines and _LINES in sources,
        ),
    )


def _bound(query: LogQuery, sign: str, text: str) -> LogQuery:
    moment = read_moment(text)
    if sign in (">", "<="):
        moment += timedelta(milliseconds=1)  # no time in the log is finer
    wanted = query.wanted
    if sign in (">", ">="):
        return replace(query, wanted=replace(wanted, since=max(moment, wanted.since or moment)))
    return replace(query, wanted=replace(wanted, until=min(moment, wanted.until or moment)))


def _place_of(ms: str, same: Tree) -> LogCursor:
    match same:
        case ["tounixtimestamp64milli", ["timestamp"], "=", str(again), "and", "id", ">", str(entry)]:
            if ms.isdecimal() and again == ms and re.fullmatch(r"'[0-9a-f]{1,16}", entry):
                return LogCursor(datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(ms)), int(entry[1:], 16))
    raise BadQuery("the place that a page begins after is not understood")


def read_moment(text: str) -> datetime:
    """Return an ISO 8601 time, in UTC when it names no zone; raise BadRequest."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{text!r} is no time in ISO 8601") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def read_request_id(text: str) -> tuple[UUID, UUID]:
    """Return the first and the last request id that begin like `text`, which is a whole one or its first 8 digits or
    more; raise BadRequest. The ids are UUIDs of version 7, so that what begins alike came at nearly the same time.
    """
    digits = text.strip().replace("-", "").lower()
    if not re.fullmatch(r"[0-9a-f]{8,32}", digits):
        raise BadRequest(f"{text!r} is no request id, and not its beginning")
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
