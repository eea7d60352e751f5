"""Runs the commands of the documentation as they are written, against a stack on free ports.

Two programs stand first on the path. `curl` sends requests for Supabase's local ports to the ports of the stack, and
fails for an error response. `outdial` stops a command that runs until a signal once that command is ready; the others
run in forks of one process (`command_server.py`). A process of production gets the settings in `etc/outdial.env`, or
`etc/outdial-<command>.env`, and no others of Outdial.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from urllib.parse import urlsplit

from outdial.auth.keys import LOCAL_SECRET_KEY, local_service_role_jwt
from outdial.process import die_with_parent
from outdial.stack.local import LOCAL_WEBHOOK_SECRET
from tests.support.command_server import CLIENT
from tests.support.postgres import scratch_directory
from tests.support.processes import ANY_HOUR, CONFIGURING, Launcher, inherited

ROOT = Path(__file__).parents[2]
BLOCK_TIMEOUT_S = 120.0
_DOCUMENTED_PORTS = {54321: "api_url", 54323: "studio_url", 54330: "simulator_url"}

_CURL = """#!{python}
import os, sys
os.execv({curl!r}, ["curl", "-sS", "--fail-with-body", *{connect!r}, *sys.argv[1:]])
"""

# Without its site, the interpreter starts in a third of the time.
_OUTDIAL = """#!{python} -IS
import sys
words = [word for word in sys.argv[1:] if not word.startswith("-")]
serves = words[:1] in (["serve"], ["studio"]) or words[:2] == ["functions", "serve"]
follows = words[:2] == ["functions", "logs"] and "--follow" in sys.argv
if not follows and not serves and words[:1] not in (["dialer"], ["jobs"]):
{client}
import os, signal, subprocess
from pathlib import Path
command = [sys.executable, "-m", "outdial.cli", *sys.argv[1:]]
if follows:
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout.readline(), "nothing was printed"
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    sys.exit(child.returncode)
env = dict(os.environ)
etc = Path("etc", "outdial.env" if words[0] == "serve" else f"outdial-{{words[0]}}.env")
if etc.exists():
    env = {{name: value for name, value in env.items() if not name.startswith({configuring!r})}}
    env |= dict(line.split("=", 1) for line in etc.read_text().splitlines())
reading, writing = os.pipe()
child = subprocess.Popen(
    [*command, *(["--port=0"] if serves else [])],
    env=env | {{"OUTDIAL_READY_FD": str(writing)}},
    pass_fds=(writing,),
)
os.close(writing)
if os.read(reading, 64) != b"ready\\n":
    sys.exit(child.wait(60) or 1)
child.send_signal(signal.SIGTERM)
sys.exit(child.wait(60))
"""


@dataclass(frozen=True)
class Example:
    """A fenced block of a page."""

    page: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.page} {self.number}"


def examples(page: str, language: str) -> Iterator[Example]:
    """Yield the blocks of a page in this language, in order."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    for number, text in enumerate(blocks, start=1):
        yield Example(page, number, text)


@dataclass(frozen=True)
class Project:
    """A directory with a running stack, and the environment of a terminal in it."""

    directory: Path
    addresses: dict[str, str]
    env: dict[str, str]

    def run(self, text: str, **env: str) -> str:
        """Run a block of shell that must succeed, confirming every question, and return its output."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.directory,
            env=self.env | env,
            input="y\n" * 20,
            capture_output=True,
            text=True,
            timeout=BLOCK_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@contextmanager
def running_stack(functions: Mapping[str, str], *, config: str) -> Iterator[Project]:
    """Run `outdial dev` in a project with our functions and these, by slug; `config` is added to config.toml."""
    clean = inherited()
    with scratch_directory() as base:
        directory, home = base / "project", base / "home"
        shutil.copytree(ROOT / "supabase", directory / "supabase", ignore=shutil.ignore_patterns("__pycache__"))
        for slug, source in functions.items():
            (directory / "supabase" / "functions" / slug).mkdir()
            (directory / "supabase" / "functions" / slug / "index.py").write_text(source)
        with (directory / "supabase" / "config.toml").open("a") as file:
            file.write("\n" + config)
        launcher = Launcher(base, clean, cwd=directory)
        options = ("--ports=auto", "--speed=50", "--calls-per-second=50")
        started = launcher.start("dev", "dev", *options, OUTDIAL_HOME=str(home), **ANY_HOUR)
        try:
            asyncio.run(started.ready())
            addresses = dict(json.loads((home / "stack.json").read_text()))
            programs = directory / ".venv" / "bin"
            env = {
                **clean,
                "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
                "OUTDIAL_HOME": str(home),
                "SUPABASE_SERVICE_ROLE_KEY": local_service_role_jwt(),
            }
            for name in ("STAGING", "PRODUCTION"):
                env[f"OUTDIAL_{name}_URL"] = addresses["api_url"]
                env[f"OUTDIAL_{name}_SECRET_KEY"] = LOCAL_SECRET_KEY
                env[f"OUTDIAL_{name}_WEBHOOK_SECRET"] = LOCAL_WEBHOOK_SECRET
            yield Project(directory, addresses, env)
        finally:
            for process in launcher.started:
                process.kill_session()


@contextmanager
def installed_programs(project: Project, curl: str) -> Iterator[None]:
    """Write `curl` and `outdial` where the project's terminal finds them first, and serve the commands of `outdial`."""
    connect = []
    for documented, name in _DOCUMENTED_PORTS.items():
        connect += ["--connect-to", f"127.0.0.1:{documented}:127.0.0.1:{urlsplit(project.addresses[name]).port}"]
    directory = project.directory / ".venv" / "bin"
    directory.mkdir(parents=True)
    client = indent(CLIENT.format(path=str(directory / "commands")), "    ")
    for name, text in (
        ("curl", _CURL.format(python=sys.executable, curl=curl, connect=connect)),
        ("outdial", _OUTDIAL.format(python=sys.executable, client=client, configuring=CONFIGURING)),
    ):
        (directory / name).write_text(text)
        (directory / name).chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.command_server", str(directory / "commands")],
        cwd=ROOT,
        env=inherited(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - one system call
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield
    finally:
        server.kill()
        server.communicate()
