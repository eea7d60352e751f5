"""`outdial functions deploy`, `secrets` and `tokens` against a running host."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from outdial.cli.functions.secrets import read_env_file
from outdial.host.api.client import ManagementClient
from outdial.host.api.log_query import LogFilter
from outdial.stack.config import management_target
from outdial.stack.errors import InvalidConfig
from tests.cli.conftest import Outdial
from tests.support.deploying import BROKEN, make_token, saying, served
from tests.support.function_log import invocation, line, request_id, write
from tests.support.postgres import Scratch

REQUEST = request_id()
CONFIG = """
[functions.hello]
verify_jwt = false
secrets = ["GREETING"]
[functions.other]
verify_jwt = false
[environments.staging]
"""


class Staging:
    """The command line in a project directory, with one host as the environment `staging`."""

    def __init__(self, outdial: Outdial, directory: Path, url: str) -> None:
        self.outdial, self.directory, self.url = outdial, directory, url

    async def __call__(self, *arguments: str) -> str:
        return await asyncio.to_thread(self.outdial, *arguments, "--env=staging")

    async def json(self, *arguments: str) -> Any:
        return await asyncio.to_thread(self.outdial.json, *arguments, "--env=staging")

    async def fails(self, *arguments: str) -> str:
        """Run a command that must exit with status 1; return its error."""
        result = await asyncio.to_thread(self.outdial.run, *arguments, "--env=staging")
        assert result.exit_code == 1, result.output
        return result.stderr.partition("Error: ")[2]

    def write(self, path: str, text: str) -> None:
        target = self.directory / "supabase/functions" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    async def ask(self, slug: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/functions/v1/{slug}", data=b"{}") as response,
        ):
            return response.status, await response.text()


@pytest.fixture
async def staging(
    outdial: Outdial, database: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Staging]:
    directory = tmp_path / "project"
    (directory / "supabase").mkdir(parents=True)
    (directory / "supabase/config.toml").write_text(CONFIG)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(directory)
    async with served(database, tmp_path / "home", tmp_path / "empty") as url:
        named = {"OUTDIAL_STAGING_URL": url, "OUTDIAL_STAGING_ACCESS_TOKEN": await make_token(database)}
        staging = Staging(Outdial({**outdial.env, **named}), directory, url)
        staging.write("hello/index.py", "from .beside import WORD\nfrom shared.words import WORDS\n" + saying("hi"))
        staging.write("hello/beside.py", "WORD = 1")
        staging.write("hello/.env", "SECRET=never sent")
        staging.write("hello/__pycache__/index.cpython-311.pyc", "")
        staging.write("shared/words.py", "WORDS = 1")
        staging.write("other/index.py", saying("other"))
        yield staging


async def test_functions_are_deployed_together_listed_and_served(staging: Staging) -> None:
    result = await asyncio.to_thread(staging.outdial.run, "functions", "deploy", "--env=staging")

    assert result.stdout == "Deployed Functions on staging: hello, other\n"
    assert result.stderr.splitlines() == [
        f"Target: staging, {staging.url}",
        "Deploying Function: hello",
        "Uploading asset (hello): supabase/functions/hello/beside.py",
        "Uploading asset (hello): supabase/functions/hello/index.py",
        "Uploading asset (hello): supabase/functions/shared/words.py",
        "Deploying Function: other",
        "Uploading asset (other): supabase/functions/other/index.py",
        "Uploading asset (other): supabase/functions/shared/words.py",
    ]
    rows = await staging.json("functions", "list")
    assert [(row["slug"], row["version"], row["verify_jwt"]) for row in rows] == [
        ("hello", 1, False),
        ("other", 1, False),
    ]
    assert (await staging.ask("hello"), await staging.ask("other")) == ((200, "hi"), (200, "other"))


async def test_a_function_that_does_not_start_prevents_the_whole_deployment(staging: Staging) -> None:
    await staging("functions", "deploy", "other")
    staging.write("other/index.py", BROKEN)

    told = await staging.fails("functions", "deploy")
    assert "RuntimeError: out of order" in told
    assert 'File "supabase/functions/other/index.py"' in told
    assert (await staging.ask("hello"))[0] == 404
    assert await staging.ask("other") == (200, "other")
    rows = await staging.json("functions", "versions", "other")
    assert [(row["version"], row["status"], row["created_by"]) for row in rows] == [
        (2, "refused", "tests"),
        (1, "active", "tests"),
    ]
    assert "RuntimeError: out of order" in await staging("functions", "versions", "other")


async def test_a_deployment_names_what_it_drops(staging: Staging) -> None:
    await staging("functions", "deploy", "hello")
    (staging.directory / "supabase/config.toml").write_text(CONFIG.replace("secrets =", "secret ="))

    result = await asyncio.to_thread(staging.outdial.run, "functions", "deploy", "hello", "--env=staging")

    warnings = [line for line in result.stderr.splitlines() if line.startswith("Warning: ")]
    assert warnings[0] == "Warning: functions.hello: unknown key secret: did you mean secrets?"
    assert 'drops settings of version 1: secrets = ["GREETING"]' in warnings[1]
    listed = await asyncio.to_thread(staging.outdial.run, "functions", "list")
    assert "did you mean secrets?" in listed.stderr


async def test_logs_and_statistics_of_an_environment_come_over_its_api(staging: Staging, database: Scratch) -> None:
    await write(
        database,
        invocations=[invocation(request_id=REQUEST, cold=True), invocation("bye", status=503, after_s=3)],
        lines={"hello": [line("careful", level="warning", after_s=2, request_id=REQUEST)]},
    )
    for options in (
        [],
        ["hello", "--level=warning"],
        ["--errors"],
        [f"--request-id={REQUEST[:13]}"],
        ["--limit=1"],
        ["--since=2026-03-10T12:00:02Z"],
    ):
        here = await asyncio.to_thread(staging.outdial, "functions", "logs", "--json", *options)
        assert await staging("functions", "logs", "--json", *options) == here
    assert "careful" in await staging("functions", "logs")
    since = "--since=2026-01-01"
    rows = await staging.json("functions", "stats", since)
    assert {row["slug"]: row["invocations"] for row in rows} == {"hello": 1, "bye": 1}
    assert rows == await asyncio.to_thread(staging.outdial.json, "functions", "stats", since)


async def test_the_log_of_an_environment_is_followed_over_its_api(staging: Staging, database: Scratch) -> None:
    token = await make_token(database)
    async with (
        ManagementClient.connected(staging.url, token) as client,
        aclosing(client.follow(LogFilter(slug="hello"), await client.last_id())) as arriving,
    ):
        waiting = asyncio.ensure_future(anext(arriving))
        await write(database, lines={"hello": [line("one"), line("two", after_s=1)], "bye": [line("other")]})
        entries = await waiting
        while len(entries) < 2:
            entries += await anext(arriving)

    assert [entry.text for entry in entries] == ["one", "two"]


async def test_a_token_without_the_scope_logs_reads_no_log(staging: Staging, outdial: Outdial) -> None:
    token = (await asyncio.to_thread(outdial, "tokens", "create", "ci", "--scope=deploy")).strip()
    staging.outdial = Outdial({**staging.outdial.env, "OUTDIAL_STAGING_ACCESS_TOKEN": token})

    assert "does not have the scope logs, only deploy" in await staging.fails("functions", "logs")


async def test_a_rollback_serves_an_earlier_version(staging: Staging) -> None:
    for text in ("one", "two", "three"):
        staging.write("other/index.py", saying(text))
        await staging("functions", "deploy", "other")

    assert await staging("functions", "rollback", "other") == "Rolled back Function other on staging to version 2.\n"
    assert await staging.ask("other") == (200, "two")
    await staging("functions", "rollback", "other", "--to=1")
    assert await staging.ask("other") == (200, "one")
    assert "never served a version before 1" in await staging.fails("functions", "rollback", "other")


async def test_a_download_overwrites_no_file_without_confirmation(staging: Staging) -> None:
    await staging("functions", "deploy", "hello")
    index = staging.directory / "supabase/functions/hello/index.py"
    deployed = index.read_text()
    index.write_text("changed")

    await staging.fails("functions", "download", "hello")
    assert index.read_text() == "changed"
    (staging.directory / "supabase/functions/hello/beside.py").unlink()
    await staging("functions", "download", "hello", "--yes")
    assert index.read_text() == deployed
    assert (staging.directory / "supabase/functions/hello/beside.py").read_text() == "WORD = 1"


async def test_deleting_and_pruning_remove_functions(staging: Staging) -> None:
    await staging("functions", "deploy")
    assert await staging("functions", "delete", "hello", "--yes") == "Deleted Function hello from staging.\n"
    assert (await staging.ask("hello"))[0] == 404

    await staging("functions", "deploy")
    (staging.directory / "supabase/functions/other/index.py").unlink()
    assert "Deleted Functions from staging: other" in await staging("functions", "deploy", "--prune", "--yes")
    assert [row["slug"] for row in await staging.json("functions", "list")] == ["hello"]


async def test_nothing_is_deleted_without_confirmation(staging: Staging) -> None:
    await staging("functions", "deploy", "hello")

    await staging.fails("functions", "delete", "hello")
    assert await staging.ask("hello") == (200, "hi")


async def test_secrets_are_set_from_arguments_and_files_and_listed_by_digest(staging: Staging, tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    file.write_text("# what functions need\nexport GREETING=', Ada'\n\nPLAIN=a=b # a note\nSUPABASE_URL=x\n")
    result = await asyncio.to_thread(
        staging.outdial.run, "secrets", "set", "OTHER=1", f"--env-file={file}", "--env=staging"
    )
    assert "Env name cannot start with SUPABASE_, skipping: SUPABASE_URL" in result.stderr
    assert result.stdout == "Finished outdial secrets set.\n"

    rows = await staging.json("secrets", "list")
    assert {row["name"]: row["digest"] for row in rows} == {
        name: hashlib.sha256(value.encode()).hexdigest()
        for name, value in {"GREETING": ", Ada", "OTHER": "1", "PLAIN": "a=b"}.items()
    }
    await staging("functions", "deploy", "hello")
    assert await staging.ask("hello") == (200, "hi, Ada")
    await staging("secrets", "unset", "OTHER", "PLAIN", "--yes")
    assert [row["name"] for row in await staging.json("secrets", "list")] == ["GREETING"]
    assert await staging("secrets", "reseal") == "Encrypted 0 secrets.\n"


async def test_an_invalid_secret_is_reported_without_its_value(staging: Staging, tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    file.write_text("GOOD=1\ns3cret\n")

    for arguments in (["s3cret"], [f"--env-file={file}"], ["1BAD=s3cret"]):
        told = await staging.fails("secrets", "set", *arguments)
        assert "s3cret" not in told
    assert f"{file}, line 2 is not NAME=VALUE" in await staging.fails("secrets", "set", f"--env-file={file}")
    assert "no secret to set" in await staging.fails("secrets", "set")
    assert await staging.json("secrets", "list") == []


async def test_a_bad_token_and_an_unreachable_host_are_reported_in_one_line(staging: Staging, outdial: Outdial) -> None:
    named = {"OUTDIAL_STAGING_URL": staging.url, "OUTDIAL_STAGING_ACCESS_TOKEN": "sbp_" + "0" * 40}
    told = await asyncio.to_thread(outdial.error, "functions", "list", "--env=staging", env=named)
    assert told.startswith("Unauthorized: send an access token of this host")

    nowhere = {**named, "OUTDIAL_STAGING_URL": "http://127.0.0.1:1"}
    told = await asyncio.to_thread(outdial.error, "functions", "list", "--env=staging", env=nowhere)
    assert told.startswith("no response from http://127.0.0.1:1")


async def test_an_unknown_function_is_reported_with_the_known_ones(staging: Staging) -> None:
    assert "there is no function 'nope'" in await staging.fails("functions", "deploy", "nope")
    assert "hello, other" in await staging.fails("functions", "deploy", "nope")


def test_a_token_is_never_sent_unencrypted_to_another_machine() -> None:
    env = {"OUTDIAL_STAGING_URL": "http://staging.example.com", "OUTDIAL_STAGING_ACCESS_TOKEN": "sbp_token"}
    with pytest.raises(InvalidConfig, match="not an https URL"):
        management_target({"environments": {"staging": {}}}, "staging", env)
    host = management_target(
        {"environments": {"staging": {}}}, "staging", {**env, "OUTDIAL_STAGING_URL": "https://x.example"}
    )
    assert "sbp_token" not in repr(host)


def test_without_a_local_stack_the_error_says_how_to_start_one(outdial: Outdial) -> None:
    assert "outdial dev" in outdial.error("functions", "list", "--env=local")
    assert "outdial dev" in outdial.error("secrets", "list")


def test_tokens_are_created_listed_and_revoked(outdial: Outdial) -> None:
    token = outdial("tokens", "create", "ci").strip()
    outdial("tokens", "create", "laptop")

    assert len(token) == 44
    rows = {row["name"]: row for row in outdial.json("tokens", "list")}
    assert rows.keys() == {"ci", "laptop"}
    assert token not in str(rows)
    assert outdial("tokens", "revoke", "ci") == f"Revoked ci ({rows['ci']['id']}).\n"
    assert outdial.error("tokens", "revoke", "ci").startswith("unknown access token 'ci'")
    assert "revoked" in outdial("tokens", "list")


def test_a_token_has_scopes_and_expires(outdial: Outdial) -> None:
    result = outdial.run("tokens", "create", "grafana", "--scope=logs", "--days=30")
    assert "It allows reading logs and metrics, for 30 days." in result.stderr
    outdial("tokens", "create", "ci", "--scope=secrets", "--scope=deploy", "--days=0")
    outdial("tokens", "create", "laptop")

    rows = {row["name"]: row for row in outdial.json("tokens", "list")}
    assert {name: row["scopes"] for name, row in rows.items()} == {
        "grafana": ["logs"], "ci": ["deploy", "secrets"], "laptop": ["deploy", "secrets", "logs"],
    }  # fmt: skip
    lifetimes = {
        name: row["expires_at"]
        and (datetime.fromisoformat(row["expires_at"]) - datetime.fromisoformat(row["created_at"])).days
        for name, row in rows.items()
    }
    assert lifetimes == {"grafana": 30, "ci": None, "laptop": 365}
    assert outdial("tokens", "list").count("never") == 1


@pytest.mark.parametrize(
    ("line", "value"),
    [("A=1", "1"), ("A = 1 ", "1"), ("A='a # b'", "a # b"), ('A="x"', "x"), ("A=", ""), ("A=a'b", "a'b"), ("A='", "'")],
)
def test_lines_of_an_env_file_are_parsed(line: str, value: str) -> None:
    assert read_env_file(f"\n# note\n  {line}\n", "file") == {"A": value}
