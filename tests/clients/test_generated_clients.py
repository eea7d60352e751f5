"""Clients generated from the OpenAPI document, without a warning, drive the studio on a real socket.

They need `openapi-python-client` (`make generators`) and `openapi-typescript` (`npm ci`).
"""

import asyncio
import importlib
import io
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from outdial.uvicorn_server import serving
from tests.support.factories import CampaignContact, create_campaign, create_campaign_contact, create_member
from tests.support.factories import create_tenant as create_organization
from tests.support.postgres import Scratch
from tests.support.studio import app_without_database, serve_studio, unchanged

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
GENERATOR = ROOT / ".venv-generators" / "bin" / "openapi-python-client"
MODULES = ROOT / "node_modules"
TSC = MODULES / "typescript" / "bin" / "tsc"
TYPES = MODULES / "openapi-typescript" / "bin" / "cli.js"
SEEN = {
    "kind": "user",
    "opens": "09:00",
    "attempts": 2,
    "copy": "Copy of Spring",
    "uploaded": "ready",
    "good_rows": 1,
    "refused": [3],
    "decided": ["completed", "reached"],
    "removed": 204,
    "missing": "NOT_FOUND",
}


@dataclass(frozen=True, slots=True)
class Site:
    """A studio on a free port, with an operator and a contact in review."""

    url: str
    token: str
    entry: CampaignContact


@pytest.fixture
async def site(database: Scratch, connection: asyncpg.Connection) -> AsyncIterator[Site]:
    tenant = await create_organization(connection)
    operator = await create_member(connection, tenant.organization_id)
    entry = await create_campaign_contact(
        connection, await create_campaign(connection, tenant), status="review", call_count=1
    )
    async with serve_studio(database, unchanged) as served:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with serving(served.app, listener):
                url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                yield Site(url, served.token(operator), entry)


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """The OpenAPI document as a file."""
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(app_without_database().openapi()))
    return file


async def run(*command: str | Path, cwd: Path) -> tuple[str, str]:
    """Run a program that must succeed, and return its output and its errors."""
    pipe = asyncio.subprocess.PIPE
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=pipe, stderr=pipe, env=os.environ | {"PATH": path}
    )
    out, err = await process.communicate()
    assert process.returncode == 0, (out + err).decode()
    return out.decode(), err.decode()


async def test_openapi_python_client_generates_without_a_warning_and_drives_the_studio(
    site: Site, document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = GENERATOR if GENERATOR.is_file() else shutil.which("openapi-python-client")
    if generator is None:
        pytest.skip("openapi-python-client is not installed: make generators")
    options = ("--path", document, "--output-path", tmp_path / "studio_api", "--meta", "none", "--fail-on-warning")
    await run(generator, "generate", *options, cwd=tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    models = importlib.import_module("studio_api.models")
    types = importlib.import_module("studio_api.types")
    client = importlib.import_module("studio_api.client").AuthenticatedClient(base_url=site.url, token=site.token)

    async def call(operation: str, *ids: UUID, **arguments: Any) -> Any:
        module = importlib.import_module(f"studio_api.api.{operation}")
        response = await module.asyncio_detailed(*ids, client=client, **arguments)
        return response.status_code if response.parsed is None else response.parsed

    me = await call("me.get_me")
    own = me.organizations[0].id
    new = models.CampaignDraft(
        name="Spring",
        retell_agent_id="agent_1",
        from_number="+12125550100",
        calling_hours=models.WeeklyHours(weekdays=[["09:00", "17:00"]], excluded_dates=["2026-12-25"]),
        retry_policy=models.RetrySettings(busy=models.OutcomeRetries(delays=["10m"], max_attempts=2)),
    )
    campaign = await call("campaigns.create_campaign", own, body=new)
    copy = await call("campaigns.duplicate_campaign", own, campaign.id, body=models.DuplicateRequest())
    job = await call("imports.create_import", own, body=models.NewImport(campaign_id=copy.id, file_name="people.csv"))
    part = types.File(payload=io.BytesIO(b"phone\n+12127009901\nbad\n"), file_name="people.csv")
    form = models.FileUpload(file=part)
    uploaded = await call("imports.upload_import_file", own, job.id, body=form)
    preview = await call("imports.preview_import", own, job.id, body=models.ImportOptions())
    decided = await call(
        "campaign_contacts.decide_review",
        own,
        site.entry.campaign.id,
        site.entry.id,
        body=models.ReviewRequest(decision=models.ReviewDecision.COMPLETED, note="reached"),
    )
    removed = await call("campaigns.delete_campaign", own, copy.id)
    missing = await call("campaigns.get_campaign", own, copy.id)
    await client.get_async_httpx_client().aclose()

    assert {
        "kind": me.kind,
        "opens": campaign.calling_hours.weekdays[0][0],
        "attempts": campaign.retry_policy.busy.max_attempts,
        "copy": copy.name,
        "uploaded": uploaded.status,
        "good_rows": preview.good_rows,
        "refused": [row.line for row in preview.refused],
        "decided": [decided.contact.status, decided.decided.note],
        "removed": int(removed),
        "missing": missing.code,
    } == SEEN


async def test_openapi_typescript_generates_without_a_warning_and_drives_the_studio(
    site: Site, document: Path, tmp_path: Path
) -> None:
    if shutil.which("node") is None or not (TYPES.is_file() and TSC.is_file() and (MODULES / "openapi-fetch").is_dir()):
        pytest.skip("openapi-typescript is not installed: npm ci")
    # Where a property has a default, a request may leave it out.
    generated = await run("node", TYPES, document, "-o", "api.d.ts", "--default-non-nullable=false", cwd=tmp_path)
    assert "warn" not in "".join(generated).lower()
    (tmp_path / "node_modules").symlink_to(MODULES)
    shutil.copy(HERE / "generated_client.ts", tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    options = {"strict": True, "noUncheckedIndexedAccess": True, "target": "ES2022", "module": "NodeNext", "types": []}
    options |= {"lib": ["ES2022", "DOM", "DOM.Iterable"], "skipLibCheck": True}
    (tmp_path / "process.d.ts").write_text("declare const process: { argv: string[] };\n")
    (tmp_path / "tsconfig.json").write_text(
        json.dumps({"compilerOptions": options, "files": ["generated_client.ts", "process.d.ts"]})
    )
    await run("node", TSC, "--project", tmp_path, cwd=tmp_path)

    reviewed = f"{site.entry.campaign.id}/{site.entry.id}"
    out, _ = await run("node", "generated_client.js", site.url, site.token, reviewed, cwd=tmp_path)

    assert json.loads(out) == SEEN
