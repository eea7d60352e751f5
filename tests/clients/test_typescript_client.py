"""clients/typescript compiles in strict mode and passes the table of cases over both transports."""

import asyncio
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from outdial.auth.keys import LOCAL_SECRET_KEY
from outdial.domain.campaign import CampaignStatus
from tests.clients.broken_server import BrokenServer
from tests.clients.table import Observed, PreparedCase, differences, prepare_faults

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "clients" / "typescript"
SOURCE = PACKAGE / "campaign-triggers.ts"
DOCUMENT = ROOT / "docs" / "clients.md"
TSC = ROOT / "node_modules" / "typescript" / "bin" / "tsc"
HERE = Path(__file__).parent

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None or shutil.which("npm") is None, reason="Node is not installed"),
    pytest.mark.skipif(
        not (TSC.is_file() and (ROOT / "node_modules/@supabase/supabase-js").is_dir()), reason="npm ci has not been run"
    ),
]
transports = pytest.mark.parametrize("transport", ["fetch", "supabase"])


async def run(*command: str | Path, cwd: Path = ROOT, stdin: str = "", env: dict[str, str] | None = None) -> str:
    """Run a program that must succeed, and return its output."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe, env=os.environ | (env or {})
    )
    out, err = await process.communicate(stdin.encode())
    assert process.returncode == 0, (out + err).decode()
    return out.decode()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as built by `npm run build`, outside the repository."""
    directory = tmp_path_factory.mktemp("outdial")
    build = run("npm", "run", "build", "--silent", "--", "--outDir", directory / "dist", cwd=PACKAGE)
    asyncio.run(build)
    shutil.copy(PACKAGE / "package.json", directory)
    return directory


async def run_cases(built: Path, transport: str, cases: list[PreparedCase]) -> list[list[Observed]]:
    attempts = json.dumps([[attempt.as_json() for attempt in case.attempts] for case in cases])
    compiled = built / "dist" / "campaign-triggers.js"
    results: list[list[Observed]] = json.loads(
        await run("node", HERE / "run_cases.mjs", compiled, transport, stdin=attempts)
    )
    return results


@transports
async def test_every_case_passes(built: Path, cases: list[PreparedCase], transport: str) -> None:
    assert differences(cases, await run_cases(built, transport, cases)) == {}


@transports
async def test_every_fault_raises_its_error(built: Path, faults: BrokenServer, transport: str) -> None:
    cases = prepare_faults(faults.urls)
    assert differences(cases, await run_cases(built, transport, cases)) == {}


async def test_what_is_specific_to_javascript(built: Path) -> None:
    script = HERE / "campaign_triggers.test.mjs"
    report = await run("node", "--test", script, env={"CAMPAIGN_TRIGGERS": str(built / "dist/campaign-triggers.js")})
    assert re.search(r"pass (1[0-9])\b", report), report


async def test_redirects_are_not_followed_so_no_other_server_sees_the_token(built: Path, faults: BrokenServer) -> None:
    program = (
        "const { createCampaignTriggers } = await import(process.argv[1]);"
        "const triggers = createCampaignTriggers({ url: process.argv[2], token: 't' });"
        "console.log((await triggers.startCampaign('c').catch((error) => error)).code);"
    )
    compiled = (built / "dist/campaign-triggers.js").as_uri()
    said = await run("node", "--input-type=module", "--eval", program, compiled, faults.urls["moved"])
    assert (said.strip(), len(faults.heads)) == ("NETWORK_ERROR", 1)


async def test_the_package_exports_what_it_has_built(built: Path) -> None:
    program = "import('outdial').then((package_) => console.log(JSON.stringify(Object.keys(package_).sort())))"
    names = json.loads(await run("node", "--eval", program, cwd=built))

    assert names == [
        "CampaignTriggerError", "campaignTriggers", "configureCampaignTriggers", "createCampaignTriggers",
    ]  # fmt: skip
    manifest = json.loads((PACKAGE / "package.json").read_text())
    assert (built / manifest["exports"]["."]["types"]).is_file()
    assert "dependencies" not in manifest


async def test_the_examples_in_the_documentation_are_well_typed(tmp_path: Path) -> None:
    examples = re.findall(r"```ts\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(examples) == 4
    for number, example in enumerate(examples):
        (tmp_path / f"example_{number}.ts").write_text(example)
    shutil.copy(SOURCE, tmp_path)
    (tmp_path / "lib/config").mkdir(parents=True)
    shutil.copy(SOURCE, tmp_path / "lib/config/edge-functions.ts")
    options = json.loads((PACKAGE / "tsconfig.json").read_text())["compilerOptions"]
    # Resolve like a bundler, which finds the file by its bare name. The types of supabase-js are not ours to check.
    options |= {"module": "ESNext", "moduleResolution": "Bundler", "noEmit": True, "skipLibCheck": True}
    options["paths"] = {"@supabase/*": [f"{ROOT}/node_modules/@supabase/*"], "@/*": [f"{tmp_path}/*"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "include": ["*.ts"]}))

    await run("node", TSC, "--project", tmp_path)


async def test_the_two_lines_of_the_original_system_reach_campaign_trigger(project_url: str, tmp_path: Path) -> None:
    """A project copies the file; its environment has URL and key, as in `.env.local` of Next.js."""
    (tmp_path / "lib/config").mkdir(parents=True)
    shutil.copy(SOURCE, tmp_path / "lib/config/edge-functions.ts")
    (tmp_path / "page.ts").write_text(
        "import { campaignTriggers } from '@/lib/config/edge-functions';\n"
        "const { started } = await campaignTriggers.checkScheduledCampaigns();\n"
        "console.log(JSON.stringify(started));\n"
    )
    options = json.loads((PACKAGE / "tsconfig.json").read_text())["compilerOptions"]
    options |= {"module": "ESNext", "moduleResolution": "Bundler", "paths": {"@/*": [f"{tmp_path}/*"]}}
    options |= {"lib": ["ES2022", "DOM"], "declaration": False}
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["page.ts"]}))
    await run("node", TSC, "--project", tmp_path)
    # What a build tool does with the alias.
    page = (
        (tmp_path / "dist/page.js").read_text().replace("@/lib/config/edge-functions", "./lib/config/edge-functions.js")
    )
    (tmp_path / "dist/page.mjs").write_text(page)
    (tmp_path / "dist/package.json").write_text('{"type": "module"}')
    env = {"NEXT_PUBLIC_SUPABASE_URL": project_url, "SUPABASE_SERVICE_ROLE_KEY": LOCAL_SECRET_KEY}

    assert json.loads(await run("node", tmp_path / "dist/page.mjs", env=env)) == []


def test_the_states_are_those_of_the_domain() -> None:
    declared = re.search(r"type CampaignStatus =(.*?);", SOURCE.read_text(), re.DOTALL)
    assert declared is not None
    assert re.findall(r'"(\w+)"', declared[1]) == [status.value for status in CampaignStatus]
