"""Every command and every function of the README and the docs works on a real stack, as it is written."""

import asyncio
import json
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import asyncpg
import httpx
import pytest

from outdial.auth.keys import LOCAL_SECRET_KEY, local_service_role_jwt
from outdial.retell.simulator.agents import DEFAULT_AGENT
from outdial.stack.local import SIMULATOR_KEY
from tests.support.documented import ROOT, Example, Project, examples, installed_programs, running_stack
from tests.support.factories import Tenant, create_call, create_campaign, create_campaign_contact, create_contact
from tests.support.postgres import Scratch
from tests.support.processes import TIMEOUT_S

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]

SIMULATED = {"authorization": f"Bearer {SIMULATOR_KEY}"}
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))]
EXAMPLES = [example for page in PAGES for example in examples(page, "sh")]
# Programs that change the machine, or that a test machine does not have. Other tests cover what they do.
ELSEWHERE = {
    "make": "make starts these very tests, and the stack and the demo, which have tests of their own",
    "docker": "no containers here: tests/docs/test_dockerfile.py reads the file",
    "kubectl": "no cluster here: tests/host/test_manifests.py reads the objects",
    "systemctl": "no systemd here",
    "python3 -m (venv|pip)": "installs into the machine",
    "supabase": "tests/peers/test_stock_cli.py runs it with the profile of the page",
}


def programs_elsewhere(text: str) -> list[str]:
    return [program for program in ELSEWHERE if re.search(rf"^{program}\b", text, re.MULTILINE)]


HERE = [example for example in EXAMPLES if not programs_elsewhere(example.text)]


def python_example(page: str, number: int = 1) -> str:
    return list(examples(page, "python"))[number - 1].text


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """A project with the functions of the documentation, and a stack that runs in it."""
    functions = {
        "hello": python_example("docs/EDGE_FUNCTIONS.md"),
        "first": python_example("docs/EDGE_FUNCTIONS.md"),
        "second": python_example("docs/functions.md"),
    }
    with running_stack(functions, config=next(examples("docs/functions.md", "toml")).text) as running:
        (running.directory / "contacts.csv").write_text("phone,name\n+14155559901,Ada\n")
        shutil.copy(ROOT / "package.json", running.directory)
        (running.directory / "Makefile").write_text("setup:\n")
        with installed_programs(running, shutil.which("curl") or ""):
            token = running.run("outdial tokens create documentation").split()[-1]
            yield replace(running, env=running.env | {"OUTDIAL_PRODUCTION_ACCESS_TOKEN": token})


def tcp_url(database: Scratch) -> str:
    assert database.server.tcp_dsn is not None
    return f"{database.server.tcp_dsn.rpartition('/')[0]}/{database.name}"


def documented_settings(file: str) -> str:
    """The settings that docs/deploying.md shows for a file."""
    page = (ROOT / "docs" / "deploying.md").read_text()
    [text] = re.findall(rf"^`/etc/{re.escape(file)}`.*\n\n```ini\n([^`]*)```", page, re.MULTILINE)
    return str(text)


def write_settings(project: Project, owner: str) -> None:
    """Set up a database as docs/deploying.md says, and write the settings of the processes, filled in."""
    project.run("outdial db push", SUPABASE_DB_URL=owner)
    printed = project.run("outdial db credentials; outdial keys create", SUPABASE_DB_URL=owner)
    values = dict(line.split("=", 1) for line in printed.splitlines())
    values |= {name: secrets.token_hex(32) for name in ("OUTDIAL_ERASURE_KEY", "RETELL_ENCRYPTION_KEY")}
    (project.directory / "etc").mkdir(exist_ok=True)
    for file in ("outdial.env", "outdial-studio.env", "outdial-dialer.env", "outdial-jobs.env"):
        lines = []
        for line in documented_settings(file).splitlines():
            name, value = line.split("=", 1)
            login = re.fullmatch(r"<(\w+)>", value)
            lines.append(f"{name}={values[login[1]] if login else values.get(name, value)}")
        (project.directory / "etc" / file).write_text("\n".join(lines))


async def prepare_law(project: Project, example: Example, text: str) -> str:
    """Make the files, rows and secrets that the pages on the law and its proof expect."""
    # The organization of the stack, and the head of its audit log.
    if example.page == "docs/evidence.md":
        text = text.replace("--organization Acme", "--organization Demo")
    if "--expect-head" in text:
        printed = await asyncio.to_thread(project.run, "outdial verify audit")
        text = re.sub(r"(?<=--expect-head )\S+", re.findall("[0-9a-f]{64}", printed)[0], text)
    match example.page:
        case "docs/calling-rules.md":
            (project.directory / "spain.json").write_text(next(examples(example.page, "json")).text)
        case "docs/consent-and-screening.md":
            for name in ("national.txt", "texas.csv"):
                (project.directory / name).write_text("+12125550199\n")
        case "docs/evidence.md" if "outdial evidence" in text:
            [documented] = re.findall("outdial evidence call ([0-9a-f-]+)", text)
            await create_documented_call(project, UUID(documented))
        case "docs/pre-dial-hook.md":
            text = f"export OUTDIAL_HOOK_SECRET={secrets.token_hex(32)}\n{text}"
    return text


async def prepare(project: Project, example: Example, database: Scratch) -> str:
    """Make what a block expects to exist, and return its text with the values that only a run provides.

    `database` has all migrations unless the block applies them.
    """
    text = example.text.replace("postgresql://postgres:...@db.example.com/postgres", tcp_url(database))
    if re.search(r"^outdial (serve|studio|jobs|dialer)", text, re.MULTILINE):
        await asyncio.to_thread(write_settings, project, tcp_url(database))
    if "SUPABASE_DB_URL" not in text and re.search("^outdial organization create", text, re.MULTILINE):
        await asyncio.to_thread(project.run, "outdial db push", SUPABASE_DB_URL=tcp_url(database))
        text = f"export SUPABASE_DB_URL={tcp_url(database)} OUTDIAL_PASSWORD=correct-horse-battery\n{text}"
    text = name_organization(project, await prepare_law(project, example, text))
    match example.page:
        case "docs/importing.md":
            project.run("outdial campaign create --name Summer --agent agent_123 --from +14155550100")
        case "docs/budgets.md" | "docs/campaigns.md" | "docs/forecasts.md" | "docs/results.md" | "docs/studio.md":
            find_or_create_campaign(project, text)
            if "numbers import" in text or "agents sync" in text:
                # From here on, only agents and numbers of the workspace are accepted: it has those of the pages.
                body = {"from_number": "+14155550100", "to_number": "+14155559910", "override_agent_id": "agent_123"}
                async with httpx.AsyncClient(headers=SIMULATED, timeout=TIMEOUT_S) as retell:
                    await retell.post(f"{project.addresses['simulator_url']}/v2/create-phone-call", json=body)
        case "docs/functions.md" if "rollback" in text:
            # Something to roll back to.
            project.run("outdial functions deploy hello --env production")
        case "docs/EDGE_FUNCTIONS.md" if "start_campaign" in text:
            made = json.loads(project.run(
                "outdial campaign create --name Started --agent agent_123 --from +14155550100 --hours always --json"
            ))  # fmt: skip
            [documented] = re.findall(r'"campaign_id": "([0-9a-f-]+)"', text)
            connection = await asyncpg.connect(project.addresses["database_url"])
            try:
                await connection.execute("update campaigns set id = $1 where id = $2", documented, made["id"])
            finally:
                await connection.close()
            project.run(f"outdial campaign import {documented} contacts.csv --region US")
        case "docs/operating.md" if "AGENT_ID" in text:
            # Retell is the simulator here.
            text = text.replace("https://api.retellai.com", project.addresses["simulator_url"])
            text = f"export RETELL_API_KEY={SIMULATOR_KEY}\n{text.replace('AGENT_ID', DEFAULT_AGENT)}"
        case "docs/simulator.md" if "CALL_ID" in text:
            body = {"from_number": "+14155550100", "to_number": "+14155559910"}
            async with httpx.AsyncClient(headers=SIMULATED, timeout=TIMEOUT_S) as retell:
                call = await retell.post(f"{project.addresses['simulator_url']}/v2/create-phone-call", json=body)
            text = text.replace("CALL_ID", call.json()["call_id"])
    return text


def name_organization(project: Project, text: str) -> str:
    """Replace the organization that a block stops or gives a budget by the one that there is."""
    if not re.search('organization (stop|resume|budget) "?Acme', text):
        return text
    listed = json.loads(project.run("outdial organization list --json"))
    return re.sub('"?Acme"?', f'"{listed[0]["name"]}"', text)


def find_or_create_campaign(project: Project, text: str) -> None:
    """Make the campaign that a block names, unless a page before this one has made it; forecasts need a contact."""
    commands = "edit|check|forecast|results|test-call|bulk start|call-back|skip"
    for name in re.findall(rf'campaign (?:{commands}) "?([A-Z][a-z]+)', text)[:1]:
        create = f"outdial campaign create --name {name} --agent agent_123 --from +14155550100"
        project.run(f"outdial campaign show {name} || {create}")
        if "campaign forecast" in text:
            project.run(f"outdial campaign import {name} contacts.csv --region US")
        elif "campaign bulk" in text:
            project.run(f"outdial campaign add-contact {name} +14155550150")
        for phone in re.findall(rf"campaign (?:call-back|skip) {name} (\+\d+)", text):
            project.run(f"outdial campaign add-contact {name} {phone}")


async def create_documented_call(project: Project, call_id: UUID) -> None:
    """Make the campaign, the contact and the call that docs/evidence.md names."""
    connection = await asyncpg.connect(project.addresses["database_url"])
    try:
        account = await connection.fetchrow("select id, organization_id, credential from provider_accounts limit 1")
        tenant = Tenant(account["organization_id"], account["id"], account["credential"])
        campaign = await create_campaign(connection, tenant, name="Spring renewals", status="draft", next_batch_at=None)
        contact = await create_contact(connection, tenant.organization_id, phone="+12125550123")
        entry = await create_campaign_contact(connection, campaign, contact)
        await create_call(connection, entry, id=call_id, status="ended")
    finally:
        await connection.close()


@pytest.mark.parametrize("slug", ["hello", "first", "second"])
async def test_every_example_function_serves_a_caller_with_a_secret_key(project: Project, slug: str) -> None:
    url = f"{project.addresses['api_url']}/functions/v1/{slug}"
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
        for headers in ({"apikey": LOCAL_SECRET_KEY}, {"authorization": f"Bearer {local_service_role_jwt()}"}):
            response = await client.post(url, json={"name": "Ada"}, headers=headers)
            assert response.status_code == 200, response.text
            assert isinstance(response.json()["campaigns"], int)
        assert (await client.post(url, json={"name": "Ada"})).status_code == 401


def test_each_program_that_only_runs_elsewhere_is_documented() -> None:
    assert {program for example in EXAMPLES for program in programs_elsewhere(example.text)} == ELSEWHERE.keys()


@pytest.mark.parametrize("example", HERE, ids=str)
async def test_every_command_works_as_it_is_written(
    project: Project, example: Example, empty_database: Scratch, database: Scratch
) -> None:
    text = await prepare(project, example, empty_database if "outdial db push" in example.text else database)
    await asyncio.to_thread(project.run, text)


def test_a_command_that_fails_fails_its_block(project: Project) -> None:
    for command, status in (("outdial campaign show Nowhere", 1), ("outdial campaign nothing", 2)):
        with pytest.raises(AssertionError):
            project.run(f"{command}\ntrue")
        assert project.run(f"{command} || echo $?").split()[-1] == str(status)


SCRIPTS = {
    "functions:dev": "Serving functions on",
    "functions:test": "schedule_check",
    "functions:test:staging": "schedule_check",
    "functions:test:prod": "schedule_check",
    "functions:deploy": "Deployed Functions on local: campaign-trigger, first, hello, retell-webhook, second",
    "functions:deploy:prod": "Deployed Functions on production: campaign-trigger, first, hello, retell-webhook, second",
    "functions:deploy:retell": "Deployed Functions on local: retell-webhook",
}


@pytest.mark.parametrize("manager", ["npm run", "pnpm"])
@pytest.mark.parametrize("script", SCRIPTS)
async def test_the_commands_of_the_original_system_work_as_they_are_typed(
    project: Project, manager: str, script: str
) -> None:
    program = manager.split()[0]
    path = f"{project.env['PATH']}:{ROOT}/node_modules/.bin"
    if shutil.which(program, path=path) is None:
        pytest.skip(f"{program} is not installed")

    printed = await asyncio.to_thread(project.run, f"{manager} {script}", PATH=path)

    assert SCRIPTS[script] in printed


def test_package_json_has_every_command_of_the_original_system() -> None:
    assert json.loads((ROOT / "package.json").read_text())["scripts"].keys() == SCRIPTS.keys()
