"""`outdial functions logs` and `stats`: output for people and for programs."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from outdial.cli.errors import InvalidArgument
from outdial.cli.functions.logs import line_of, read_since
from outdial.clock import SystemClock
from outdial.db.queries.host.function_logs import LogEntryRow
from tests.cli.conftest import Outdial
from tests.support.factories import NOW
from tests.support.function_log import WORKER, as_uuid, invocation, line, request_id, write
from tests.support.postgres import Scratch
from tests.support.processes import inherited

REQUEST = request_id()
OTHER = request_id(NOW + timedelta(seconds=3))
LOGGED = '{"at": "2026-03-10", "level": "info", "event": "call.ended", "call_id": "call_1", "ms": 3}'


@pytest.fixture
async def written(database: Scratch) -> None:
    await write(
        database,
        invocations=[
            invocation(request_id=REQUEST, after_s=1, cold=True),
            invocation("bye", request_id=OTHER, status=503, code="WORKER_OVERLOADED", execution_id="", after_s=3),
        ],
        lines={"hello": [line(LOGGED, request_id=REQUEST), line("careful", level="warning", after_s=2)]},
    )


def entry(**fields: Any) -> LogEntryRow:
    usual: dict[str, Any] = dict.fromkeys(LogEntryRow.__dataclass_fields__)
    usual |= {"at": NOW, "id": 1, "slug": "hello", "version": 3, "level": "info", "kind": "log", "text": "hi"}
    return LogEntryRow(**{**usual, **fields})


@pytest.mark.usefixtures("written")
async def test_invocations_and_log_lines_are_shown_oldest_first(outdial: Outdial) -> None:
    output = await asyncio.to_thread(outdial, "functions", "logs")

    lines = [text.split(maxsplit=4) for text in output.splitlines()]
    short = REQUEST[:13]
    assert [tuple(words[2:]) for words in lines] == [
        ("info", "hello", f"{short}  call.ended call_id=call_1 ms=3"),
        ("info", "hello", f"{short}  POST /hello 200 in 2.5 ms, cold, 120 B in, 40 B out"),
        ("warning", "hello", "-              careful"),
        ("error", "bye", f"{OTHER[:13]}  POST /bye 503 in 2.5 ms, WORKER_OVERLOADED, 120 B in, 40 B out"),
    ]


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["bye"], ["/bye"]),
        (["--errors"], ["/bye"]),
        (["--level=warning"], ["careful", "/bye"]),
        (["hello", "--level", "error"], []),
        ([f"--request-id={REQUEST}"], [LOGGED, "/hello"]),
        (["hello", f"--request-id={REQUEST[:13]}", "--level=info"], [LOGGED, "/hello"]),
        (["--limit=2"], ["careful", "/bye"]),
        ([f"--since={(NOW + timedelta(seconds=2)).isoformat()}"], ["careful", "/bye"]),
        (["--since=1m"], []),
    ],
    ids=["slug", "errors", "warnings", "slug and level", "request", "part of a request", "limit", "since", "later"],
)
async def test_log_entries_are_filtered(outdial: Outdial, options: list[str], found: list[str]) -> None:
    output = await asyncio.to_thread(outdial, "functions", "logs", "--json", *options)

    entries = [json.loads(text) for text in output.splitlines()]
    assert [one.get("text") or one["path"] for one in entries] == found


@pytest.mark.usefixtures("written")
async def test_json_has_one_object_a_line_with_every_field(outdial: Outdial) -> None:
    output = await asyncio.to_thread(outdial, "functions", "logs", "hello", "--json", "--limit=2")

    first, second = (json.loads(text) for text in output.splitlines())
    assert (first["kind"], first["request_id"], first["execution_id"]) == ("invocation", REQUEST, WORKER)
    assert (first["status"], first["ms"], first["cold"], first["region"]) == (200, 2.5, True, "local")
    assert (second["kind"], second["text"], second["at"]) == ("log", "careful", "2026-03-10T17:00:02Z")
    assert "status" not in second


def test_an_empty_log_is_reported(outdial: Outdial) -> None:
    result = outdial.run("functions", "logs")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No matching log entries.\n")
    assert outdial("functions", "logs", "--json") == ""
    assert "No invocations" in outdial.run("functions", "stats").stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["logs", "--since=soon"], "--since: 'soon' is neither a duration such as 10m"),
        (["logs", "--request-id=xyz"], "--request-id: 'xyz' is neither a request id nor the start of one"),
        (["stats", "--since=2999-01-01"], "--since: 2999-01-01 is in the future"),
    ],
)
def test_invalid_options_are_reported(outdial: Outdial, options: list[str], reason: str) -> None:
    assert reason in outdial.error("functions", *options)


@pytest.mark.usefixtures("written")
async def test_statistics_have_one_row_for_each_function(outdial: Outdial) -> None:
    rows = await asyncio.to_thread(outdial.json, "functions", "stats", f"--since={NOW.isoformat()}")
    table = await asyncio.to_thread(outdial, "functions", "stats", "bye", f"--since={NOW.isoformat()}")

    assert [(row["slug"], row["invocations"], row["failed"], row["cold_starts"], row["lines"]) for row in rows] == [
        ("bye", 1, 1, 0, 0),
        ("hello", 1, 0, 1, 2),
    ]
    heading, only = table.splitlines()
    assert heading.split("  ")[0] == "FUNCTION"
    assert only.split()[:5] == ["bye", "1", "0", "1", "2.5"]


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("10m", NOW - timedelta(minutes=10)),
        ("1.5h", NOW - timedelta(minutes=90)),
        (" 2 D ", NOW - timedelta(days=2)),
        ("45s", NOW - timedelta(seconds=45)),
        ("1w", NOW - timedelta(days=7)),
        ("2026-03-10T18:00:00+02:00", datetime(2026, 3, 10, 16, tzinfo=UTC)),
        ("2026-03-10T16:00Z", datetime(2026, 3, 10, 16, tzinfo=UTC)),
    ],
)
def test_a_start_is_a_duration_or_a_time(text: str, since: datetime) -> None:
    assert read_since("--since", text, NOW) == since


@pytest.mark.parametrize("text", ["", "m", "10", "10y", "-5m", "99999999999w", "now"])
def test_an_invalid_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="--since"):
        read_since("--since", text, NOW)


# Lines.


def test_continuation_lines_are_indented() -> None:
    shown = line_of(entry(text="Traceback\n2026-03-10 17:00:00.000  info")).plain
    assert shown.endswith("Traceback\n    2026-03-10 17:00:00.000  info")


def test_control_characters_are_escaped() -> None:
    shown = line_of(entry(text="\x1b[2Jgone\x07\r\x9b31m")).plain
    assert shown.endswith(r"\x1b[2Jgone\x07\x0d\x9b31m")
    shown = line_of(entry(kind="invocation", text=None, method="GET", path="/\x1b[2J", status=200, ms=1.0)).plain
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"event": "failed", "level": "error", "traceback": "Traceback\\nboom"}', "failed\n    Traceback\n    boom"),
        ('{"event": "a", "found": {"b": [1]}}', 'a found={"b":[1]}'),
        ('{"no": "event"}', '{"no": "event"}'),
        ('{"event": 5}', '{"event": 5}'),
        ("{not json", "{not json"),
        ("[1]", "[1]"),
    ],
)
def test_log_lines_are_formatted_and_other_lines_are_unchanged(text: str, shown: str) -> None:
    assert line_of(entry(text=text)).plain.endswith(f"  {shown}")


def test_the_shown_request_id_can_be_searched_for() -> None:
    assert f"  {REQUEST[:13]}  " in line_of(entry(request_id=as_uuid(REQUEST))).plain


# Following.


@asynccontextmanager
async def following(outdial: Outdial, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `outdial functions logs --follow` in another process, killed at the end of the block."""
    command = (sys.executable, "-m", "outdial.cli", "functions", "logs", "--follow", "--json", *options)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**inherited(), **outdial.env}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def text_of_next(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        found = await process.stdout.readline()
    return str(json.loads(found)["text"])


@pytest.mark.usefixtures("written")
async def test_following_prints_new_entries_until_interrupted(outdial: Outdial, database: Scratch) -> None:
    async with following(outdial, "hello", "--level=warning", "--limit=1") as process:
        assert await text_of_next(process) == "careful"
        now = SystemClock().now()
        lines = [line("quiet"), line("loud", level="error")]
        await write(database, lines={"hello": lines, "other": [line("x", level="error")]}, now=now)
        assert await text_of_next(process) == "loud"
        await write(database, lines={"hello": [line("again", level="error")]}, now=now)
        assert await text_of_next(process) == "again"
        process.send_signal(signal.SIGINT)
        out, error = await asyncio.wait_for(process.communicate(), 30)

    assert (process.returncode, out, error) == (0, b"", b"")
