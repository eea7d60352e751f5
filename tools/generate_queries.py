"""Write a typed module next to each SQL file of `outdial.db.queries`: one function per query, and its row classes.

`make queries` runs it on an embedded Postgres with all migrations. Postgres reports the type of every parameter and
column. The comments above a query state what Postgres cannot report (see `docs/decisions/0006-sql-in-files.md`):

    -- name: lock_account
    -- returns: LockedAccount
    -- null: backoff_until, :reason, :names[]
    -- Lock the account. Everything that counts against its limits is counted under this lock.

A line `-- include: selected_contacts` becomes the text of `parts/selected_contacts.sql`, without its comments. Parts
may include parts.
"""

import asyncio
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiosql
import asyncpg
from aiosql.adapters.asyncpg import AsyncPGAdapter

import outdial.db.queries
from outdial.db.embedded import EmbeddedPostgres
from outdial.db.migrate import push
from outdial.project import own_directory

QUERIES: Final = Path(outdial.db.queries.__file__).parent
PARTS: Final = "parts"

# The Python type that asyncpg reads or takes for a type of Postgres. JSON is always selected and sent as text.
PYTHON_TYPES: Final = {
    "bool": "bool",
    "bytea": "bytes",
    "date": "date",
    "float8": "float",
    "int2": "int",
    "int4": "int",
    "int8": "int",
    "interval": "timedelta",
    "numeric": "Decimal",
    "text": "str",
    "timestamptz": "datetime",
    "uuid": "UUID",
}
_RESULT: Final = re.compile(r"(?:(list|AsyncIterator)\[(\w+)\]|(\w+)( \| None)?)")
_LINE_LENGTH: Final = 120
_INCLUDE: Final = re.compile(r"^( *)-- include: (\w+)\n", re.MULTILINE)
_COMMENT: Final = re.compile(r"^--.*\n", re.MULTILINE)
_NAME: Final = re.compile(r"^-- name: (\w+)", re.MULTILINE)


class QueryError(Exception):
    """The comments of a query contradict what Postgres reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A parameter or a column, with its Python type."""

    name: str
    type: str
    nullable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One named block of a SQL file."""

    name: str
    sql: str
    doc: str
    notes: dict[str, list[str]]
    parameters: tuple[Value, ...]
    columns: tuple[Value, ...]

    @property
    def returns(self) -> str:
        """The return type of the function. A query without rows returns the number of rows it touched."""
        return " ".join(self.notes.get("returns", ["int"]))

    @property
    def row(self) -> str:
        """The type of one row: a class, or the type of the only column."""
        match = _RESULT.fullmatch(self.returns)
        if match is None:
            raise QueryError(f"{self.name} returns {self.returns}, which is not a valid result")
        return match[2] or match[3]


@dataclass(slots=True)
class Module:
    """A SQL file and its queries."""

    path: Path
    doc: str
    queries: list[Query] = field(default_factory=list)


async def read_modules(connection: asyncpg.Connection) -> list[Module]:
    """Prepare every query in every SQL file."""
    files = sorted(path for path in QUERIES.rglob("*.sql") if path.parent != QUERIES / PARTS)
    return [await _read_module(connection, path) for path in files]


async def _read_module(connection: asyncpg.Connection, path: Path) -> Module:
    text = _INCLUDE.sub(_included, path.read_text())
    header = text.partition("-- name:")[0]
    module = Module(path, " ".join(line.removeprefix("-- ") for line in header.split("\n")).strip())
    adapter = AsyncPGAdapter()  # type: ignore[no-untyped-call]
    blocks = aiosql.from_str(text, lambda: adapter, mandatory_parameters=False)
    for name in _NAME.findall(text):
        block = getattr(blocks, name)
        notes, doc = _read_comments(block.__doc__ or "")
        if not doc:
            raise QueryError(f"{name} has no description")
        prepared = await connection.prepare(block.sql)
        nullable = notes.pop("null", [])
        parameters = tuple(
            _value(f":{parameter}", type_.name, nullable)
            for parameter, type_ in zip(adapter.var_sorted[name], prepared.get_parameters(), strict=True)
        )
        columns = tuple(
            _value(column.name, column.type.name, nullable)
            for column in prepared.get_attributes()
            if column.type.name != "void"
        )
        if nullable:
            raise QueryError(f"{name} has no column or parameter {', '.join(nullable)}")
        query = Query(name=name, sql=block.sql, doc=doc, notes=notes, parameters=parameters, columns=columns)
        _check_result(query)
        module.queries.append(query)
    return module


def _included(include: re.Match[str]) -> str:
    """Return the text of a part in place of the line that includes it, indented as that line."""
    path = QUERIES / PARTS / f"{include[2]}.sql"
    if not path.exists():
        raise QueryError(f"there is no {PARTS}/{path.name} to include")
    return textwrap.indent(_COMMENT.sub("", _INCLUDE.sub(_included, path.read_text())), include[1])


def _read_comments(comments: str) -> tuple[dict[str, list[str]], str]:
    """Split the comments of a query into its notes and its description."""
    notes: dict[str, list[str]] = {}
    description = []
    for line in comments.split("\n"):
        if match := re.fullmatch(r"(returns|plan|row): (.+)", line):
            notes.setdefault(match[1], []).append(match[2])
        elif match := re.fullmatch(r"(null|secret): (.+?),?", line):
            notes.setdefault(match[1], []).extend(match[2].split(", "))
        else:
            description.append(line)
    return notes, "\n".join(description).strip()


def _value(name: str, postgres: str, nullable: list[str]) -> Value:
    """Return a column or a parameter, whose name starts with a colon, and remove it from the list of nullable names."""
    is_array = postgres.endswith("[]")
    element = PYTHON_TYPES.get(postgres.removesuffix("[]"))
    if element is None:
        raise QueryError(f"{name} has the type {postgres}: cast it to one of {', '.join(PYTHON_TYPES)}")
    if is_array:
        if f"{name}[]" in nullable:
            nullable.remove(f"{name}[]")
            element = f"{element} | None"
        element = f"{'Sequence' if name.startswith(':') else 'list'}[{element}]"
    may_be_null = name in nullable
    if may_be_null:
        nullable.remove(name)
    return Value(name=name.removeprefix(":"), type=element, nullable=may_be_null)


def _check_result(query: Query) -> None:
    if query.row == "None" or "returns" not in query.notes:
        if query.columns:
            raise QueryError(f"{query.name} selects columns but has no `returns`")
    elif query.row in PYTHON_TYPES.values():
        if [column.type for column in query.columns] != [query.row]:
            raise QueryError(f"{query.name} returns {query.row} and selects {query.columns}")
    elif not query.columns:
        raise QueryError(f"{query.name} returns {query.row} and selects nothing")


def render(module: Module) -> str:
    """Return the Python module for a SQL file."""
    body = "\n\n".join([*_render_classes(module), *(_render_function(query) for query in module.queries)])
    head = f'"""Generated by `make queries` from {module.path.name}: do not edit.\n\n{module.doc}\n"""\n\n'
    return _format(head + "\n".join(_imports(body)) + "\n\n" + body)


def _imports(body: str) -> Iterator[str]:
    for source, names in (
        ("collections.abc", ("AsyncIterator", "Sequence")),
        ("dataclasses", ("dataclass", "field")),
        ("datetime", ("date", "datetime", "timedelta")),
        ("decimal", ("Decimal",)),
        ("uuid", ("UUID",)),
    ):
        if used := [name for name in names if re.search(rf"\b{name}\b(?!:)", body)]:
            yield f"from {source} import {', '.join(used)}"
    yield ""
    helpers = ("CUSTOM_PLAN", "PREFETCH", "required", "row_builder", "rows_touched")
    if used := [name for name in helpers if re.search(rf"\b{name}\b", body)]:
        yield f"from outdial.db.rows import {', '.join(used)}"
    yield "from outdial.db.session import Connection"


def _render_classes(module: Module) -> Iterator[str]:
    by_class: dict[str, list[Query]] = {}
    for query in module.queries:
        if "returns" in query.notes and query.row not in {"None", *PYTHON_TYPES.values()}:
            by_class.setdefault(query.row, []).append(query)
    for name, queries in by_class.items():
        if any(query.columns != queries[0].columns for query in queries):
            raise QueryError(f"{', '.join(query.name for query in queries)} return {name} with different columns")
        described = [text for query in queries for text in query.notes.get("row", [])]
        described = described or [f"A row of {', '.join(f'`{query.name}`' for query in queries)}."]
        secrets = {secret for query in queries for secret in query.notes.get("secret", [])}
        yield "\n".join(
            [
                "@dataclass(frozen=True, slots=True, kw_only=True)",
                f"class {name}:",
                _docstring(" ".join(described)),
                "",
                *(_render_field(column, secret=column.name in secrets) for column in queries[0].columns),
                "",
                "",
                f"{_builder(name)} = row_builder({name})",
            ]
        )


def _render_field(column: Value, *, secret: bool) -> str:
    return f"    {column.name}: {_annotation(column)}{' = field(repr=False)' if secret else ''}"


def _render_function(query: Query) -> str:
    constant = f"_{query.name.upper()}"
    parameters = "".join(f", {value.name}: {_annotation(value)}" for value in query.parameters)
    arguments = "".join(f", {value.name}" for value in query.parameters)
    lines = [
        f'{constant} = """\\\n{query.sql}\n"""',
        "",
        "",
        f"async def {query.name}(connection: Connection{', *' if parameters else ''}{parameters}) -> {query.returns}:",
        _docstring(query.doc),
    ]
    if query.notes.get("plan") == ["custom"]:
        lines.append("    await connection.execute(CUSTOM_PLAN)")
    lines.extend(f"    {line}" for line in _render_call(query, f"{constant}{arguments}"))
    return "\n".join(lines)


def _render_call(query: Query, arguments: str) -> list[str]:
    row, returns = query.row, query.returns
    if "returns" not in query.notes:
        return [f"return rows_touched(await connection.execute({arguments}))"]
    if returns == "None":
        return [f"await connection.execute({arguments})"]
    scalar = row in PYTHON_TYPES.values()
    build = "record[0]" if scalar else f"{_builder(row)}(record)"
    if returns.startswith("AsyncIterator"):
        return [f"async for record in connection.cursor({arguments}, prefetch=PREFETCH):", f"    yield {build}"]
    if returns.startswith("list"):
        return [f"return [{build} for record in await connection.fetch({arguments})]"]
    if scalar and returns.endswith("None"):
        return [f"value: {returns} = await connection.fetchval({arguments})", "return value"]
    if scalar:
        found = f"required(await connection.fetchval({arguments}), {query.name!r})"
        return [f"value: {returns} = {found}", "return value"]
    if returns.endswith("None"):
        return [
            f"record = await connection.fetchrow({arguments})",
            f"return None if record is None else {build}",
        ]
    return [f"return {_builder(row)}(required(await connection.fetchrow({arguments}), {query.name!r}))"]


def _annotation(value: Value) -> str:
    return f"{value.type} | None" if value.nullable else value.type


def _builder(row: str) -> str:
    return "_" + re.sub(r"(?<!^)(?=[A-Z])", "_", row).lower()


def _docstring(text: str, indent: str = "    ") -> str:
    """Return `text` as a docstring: its first sentence, and the rest in lines of the usual length."""
    text = " ".join(text.split())
    if len(text) <= _LINE_LENGTH - len(indent) - 6:
        return f'{indent}"""{text}"""'
    first, stop, rest = text.partition(". ")
    lines = textwrap.wrap(f'"""{first}{stop.strip()}', _LINE_LENGTH - len(indent) - 3)
    if rest:
        lines += ["", *textwrap.wrap(rest, _LINE_LENGTH - len(indent))]
    return "\n".join(f"{indent}{line}".rstrip() for line in [*lines, '"""'])


def _format(source: str) -> str:
    ruff = str(Path(sys.executable).parent / "ruff")
    command = [ruff, "format", "--stdin-filename", "queries.py", "-"]
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, input=source, capture_output=True, text=True, check=True
    )
    return done.stdout


async def generate(connection: asyncpg.Connection) -> dict[Path, str]:
    """Return the text of every generated module by its path, from a migrated database."""
    return {module.path.with_suffix(".py"): render(module) for module in await read_modules(connection)}


async def _generate_from_migrations(dsn: str) -> dict[Path, str]:
    await push(dsn, own_directory() / "migrations")
    connection = await asyncpg.connect(dsn)
    try:
        return await generate(connection)
    finally:
        await connection.close()


def main() -> None:
    """Write every module, from a fresh embedded Postgres with all migrations."""
    with tempfile.TemporaryDirectory(prefix="outdial-queries-") as directory:
        # As root the server runs as another user, who has to pass through.
        Path(directory).chmod(0o711)
        with EmbeddedPostgres(Path(directory) / "home", durable=False) as server:
            modules = asyncio.run(_generate_from_migrations(server.dsn))
    for path, text in modules.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
