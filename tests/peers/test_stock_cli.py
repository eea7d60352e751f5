"""Supabase's command line from npm deploys functions to our host and sets its secrets."""

import asyncio
import hashlib
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from outdial.host.deployments.multipart import FormPart, write_form
from outdial.host.gateway.main import LOCAL_REF
from tests.support.deploying import BROKEN, make_token, saying, served
from tests.support.postgres import Scratch
from tests.support.processes import TIMEOUT_S, until

ROOT = Path(__file__).parents[2]
# The binary that the npm package `supabase` starts. Its packages for other machines cannot be had everywhere, and
# `npm ci` wants all that a lock file has to name: so this one is named itself.
SUPABASE = ROOT / "node_modules/@supabase/cli-linux-x64/bin/supabase"

pytestmark = pytest.mark.skipif(
    not SUPABASE.exists(), reason="npm ci has not been run, or this is another machine than x86-64 Linux"
)

# The profile that the documentation shows.
[PROFILE] = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "functions.md").read_text(), re.DOTALL | re.MULTILINE)
HELLO = """
[functions.hello]
verify_jwt = false
entrypoint = "./functions/hello/index.py"
static_files = ["./functions/hello/*.py", "./functions/shared/*.py", "./config.toml"]
secrets = ["GREETING"]
"""


@dataclass
class Project:
    """A directory with functions, a host, and the command line's settings for it."""

    directory: Path
    url: str
    token: str

    async def run(self, *arguments: str, status: int = 0) -> str:
        """Run a command for the host's project, and return its output."""
        return await self.supabase(*arguments, f"--remote={LOCAL_REF}", "--yes", status=status)

    async def supabase(self, *arguments: str, status: int = 0) -> str:
        """Run a command unchanged, and return its output."""
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "SUPABASE_PROFILE": str(self.directory / "profile.yaml"),
            "SUPABASE_ACCESS_TOKEN": self.token,
            "SUPABASE_TELEMETRY_DISABLED": "1",
            "DO_NOT_TRACK": "1",
            # Without Docker it uploads the files, as with --use-api.
            "DOCKER_HOST": "unix:///nowhere",
        }
        process = await asyncio.create_subprocess_exec(
            SUPABASE,
            *arguments,
            cwd=self.directory,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == status, out.decode()
        return out.decode()

    async def functions(self) -> dict[str, Any]:
        """Return the listed functions by slug."""
        out = await self.run("functions", "list", "-o", "json")
        return {one["slug"]: one for one in json.loads(out[out.index("[") :])}

    async def ask(self, slug: str, *, method: str = "POST") -> tuple[int, str]:
        """Return the response of a function through the gateway."""
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.url}/functions/v1/{slug}", data=b"{}") as response,
        ):
            return response.status, await response.text()

    def write(self, slug: str, source: str) -> None:
        """Write the index.py of a function."""
        path = self.directory / "supabase/functions" / slug / "index.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)


@pytest.fixture
async def project(database: Scratch, tmp_path: Path) -> AsyncIterator[Project]:
    """A copy of our functions plus a third one, and a host without deployments."""
    directory = tmp_path / "project"
    shutil.copytree(ROOT / "supabase", directory / "supabase", ignore=shutil.ignore_patterns("__pycache__", ".temp"))
    with (directory / "supabase/config.toml").open("a") as config:
        config.write(HELLO)
    # Like every host, this one has our functions: a deployment of retell-webhook may use its login.
    async with served(database, tmp_path / "home", ROOT / "supabase") as url:
        (directory / "profile.yaml").write_text(re.sub(r"https://(outdial|studio)\.example\.com", url, PROFILE))
        project = Project(directory, url, await make_token(database))
        project.write("hello", "from .beside import WORD\nfrom shared.error_codes import NOT_FOUND\n" + saying("hi"))
        (directory / "supabase/functions/hello/beside.py").write_text("WORD = 1\n")
        yield project


async def test_it_deploys_lists_downloads_and_deletes_functions(project: Project) -> None:
    out = await project.run("functions", "deploy", "--use-api")
    assert "Deployed Functions on project outdiallocalprojects: campaign-trigger, hello, retell-webhook" in out
    # For each function: its modules and the shared ones.
    for path in ("hello/index.py", "hello/beside.py", "shared/error_codes.py", "retell-webhook/index.py"):
        assert f"supabase/functions/{path}" in out

    assert {
        slug: (one["version"], one["status"], one["verify_jwt"]) for slug, one in (await project.functions()).items()
    } == {slug: (1, "ACTIVE", False) for slug in ("campaign-trigger", "hello", "retell-webhook")}
    assert await project.ask("hello") == (200, "hi")
    status, body = await project.ask("retell-webhook")
    assert (status, json.loads(body)["code"]) == (401, "INVALID_SIGNATURE")
    status, body = await project.ask("campaign-trigger")
    assert (status, json.loads(body)["code"]) == (401, "MISSING_CREDENTIALS")

    project.write("hello", saying("hi again"))
    # Without Docker, it falls back to uploading files.
    assert "Deployed Functions" in await project.run("functions", "deploy", "hello")
    assert await project.ask("hello") == (200, "hi again")
    assert (await project.functions())["hello"]["version"] == 2

    (project.directory / "supabase/functions/hello/index.py").unlink()
    config = (project.directory / "supabase/config.toml").read_text()
    assert "Downloaded Function hello" in await project.run("functions", "download", "hello", "--use-api")
    assert (project.directory / "supabase/functions/hello/index.py").read_text() == saying("hi again")
    assert (project.directory / "supabase/config.toml").read_text() == config

    assert "Deleted Function hello" in await project.run("functions", "delete", "hello")
    assert (await project.functions()).keys() == {"campaign-trigger", "retell-webhook"}
    assert (await project.ask("hello"))[0] == 404


async def test_it_sets_lists_and_unsets_secrets_without_a_deployment(project: Project) -> None:
    await project.run("functions", "deploy", "hello", "--use-api")
    out = await project.run("secrets", "set", "GREETING=, Ada", "OTHER=x")
    assert "Finished supabase secrets set." in out

    out = await project.run("secrets", "list")
    assert hashlib.sha256(b", Ada").hexdigest() in out
    assert "OTHER" in out

    async def it_knows_ada() -> bool:
        return await project.ask("hello") == (200, "hi, Ada")

    await until(it_knows_ada, "the function has the secret")

    assert "Finished supabase secrets unset." in await project.run("secrets", "unset", "OTHER")
    out = await project.run("secrets", "list", "-o", "json")
    assert [one["name"] for one in json.loads(out[out.index("[") :])] == ["GREETING"]


async def test_it_shows_why_a_deployment_was_refused(project: Project) -> None:
    await project.run("functions", "deploy", "hello", "--use-api")
    project.write("hello", BROKEN)
    out = await project.run("functions", "deploy", "--use-api", status=1)
    assert "RuntimeError: out of order" in out
    assert await project.ask("hello") == (200, "hi")
    assert (await project.functions()).keys() == {"hello"}

    config = project.directory / "supabase/config.toml"
    config.write_text(config.read_text().replace("verify_jwt = false", "verify_jwt = true"))
    out = await project.run("functions", "deploy", "retell-webhook", "--use-api", status=1)
    assert "retell-webhook would respond 401 to every event" in out
    out = await project.run("functions", "deploy", "no-such-function", "--use-api", status=1)
    assert "no-such-function" in out

    project.token = "sbp_" + "0" * 40
    assert "Unauthorized" in await project.run("functions", "list", status=1)


async def test_it_links_to_the_host(project: Project) -> None:
    assert "Finished supabase link." in await project.supabase("link", LOCAL_REF)
    assert (project.directory / "supabase/.temp/project-ref").read_text() == LOCAL_REF


async def test_a_deployment_of_version_2_of_the_client_is_accepted(project: Project) -> None:
    # supabase/cli, apps/cli-go/pkg/function/deploy.go: metadata first, and the entrypoint twice.
    path = "supabase/functions/hello/index.py"
    entrypoint = FormPart(
        name="file",
        content=saying("hi").encode(),
        filename=path,
        headers={"Content-Type": "application/octet-stream"},
    )
    metadata = {"name": "hello", "entrypoint_path": path, "import_map_path": "", "static_patterns": [path]}
    content_type, body = write_form(
        [
            FormPart(name="metadata", content=json.dumps({**metadata, "verify_jwt": False}).encode() + b"\n"),
            entrypoint,
            entrypoint,
        ]
    )
    base = f"{project.url}/v1/projects/{LOCAL_REF}/functions"
    headers = {"authorization": f"Bearer {project.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        query = {"slug": "hello", "bundleOnly": "true"}
        typed = {"content-type": content_type}
        async with session.post(f"{base}/deploy", params=query, data=body, headers=typed) as response:
            assert response.status == 201, await response.text()
            kept = await response.json()
        wanted = {name: kept[name] for name in ("id", "name", "slug", "version", "status", "verify_jwt", "created_at")}
        async with session.put(base, json=[wanted]) as response:
            assert response.status == 200, await response.text()

    assert await project.ask("hello") == (200, "hi")
