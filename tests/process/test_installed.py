"""The wheel in an environment of its own: what a user has who installed the package and nothing else."""

import json
import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import aiohttp
import pytest

from outdial.auth.keys import LOCAL_SECRET_KEY
from tests.support.postgres import MIGRATIONS, Scratch
from tests.support.processes import launcher

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(300)


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh virtual environment with the wheel. Dependencies come from that of the tests."""
    directory = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", directory / "dist", ROOT, cwd=directory)
    [wheel] = (directory / "dist").glob("*.whl")
    venv.create(directory / "venv", symlinks=True)
    installed = directory / "venv/bin/python"
    packages = Path(run(installed, "-c", "import site; print(site.getsitepackages()[0])", cwd=directory).strip())
    # A directory that a .pth file adds is searched last, and its own .pth files are not read.
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    options = ["--no-deps", "--no-index", "--ignore-installed"]
    run(*pip, "--python", installed, "install", *options, wheel, cwd=directory)
    return installed


async def test_a_project_begins_in_an_empty_directory(
    python: Path, tmp_path: Path, port: int, empty_database: Scratch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    env = {
        "PATH": os.environ["PATH"],
        "OUTDIAL_HOME": str(tmp_path / "home"),
        "SUPABASE_DB_URL": empty_database.dsn,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }

    def outdial(*arguments: str) -> str:
        return run(python, "-m", "outdial.cli", *arguments, cwd=project, env=env)

    found = run(python, "-c", "import outdial.project as p; print(p.own_directory())", cwd=project)
    assert found.strip().endswith("outdial/_supabase")
    ours = {row["slug"] for row in json.loads(outdial("functions", "list", "--json"))}
    assert ours == {"campaign-trigger", "retell-webhook"}

    outdial("init")
    outdial("functions", "new", "second")
    assert {row["slug"] for row in json.loads(outdial("functions", "list", "--json"))} == {*ours, "hello", "second"}
    run(python, "-m", "pytest", "tests", cwd=project, env=env)

    migration = project / "supabase/migrations/20200101000000_notes.sql"
    migration.parent.mkdir()
    migration.write_text("create table notes (like contacts)")
    assert outdial("db", "push").count("Applying migration") == len(list(MIGRATIONS.glob("*.sql"))) + 1

    with launcher(tmp_path, empty_database, port=port) as launch:
        launch.python, launch.cwd = python, project
        host = await launch.functions(port).ready()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}/functions/v1/") as session:
            headers = {"apikey": LOCAL_SECRET_KEY}
            async with session.post("hello", json={"name": "Ada"}, headers=headers) as response:
                assert (response.status, await response.json()) == (200, {"message": "Hello Ada!"})
            async with session.post("retell-webhook", json={}) as response:
                assert response.status == 401
        assert await host.terminate() == 0
