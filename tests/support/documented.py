"""Runs the commands of the documentation as they are written, against a stack on free ports.

Two programs stand first on the path. `curl` sends requests for Supabase's local ports to the ports of the stack, and
fails for an error response. `outdial` stops a command that runs until a signal once that command is ready. A process of
production gets the settings in `etc/outdial.env`, or `etc/outdial-<command>.env`, and no others of Outdial.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120.0

_CURL = """#!{python}
import os, sys
os.execv({curl!r}, ["curl", "-sS", "--fail-with-body", *{connect!r}, *sys.argv[1:]])
"""

_OUTDIAL = """#!{python}
import os, signal, subprocess, sys
from pathlib import Path
command = [sys.executable, "-m", "outdial.cli", *sys.argv[1:]]
words = [word for word in sys.argv[1:] if not word.startswith("-")]
if words[:2] == ["functions", "logs"] and "--follow" in sys.argv:
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout.readline(), "nothing was printed"
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    sys.exit(child.returncode)
serves = words[:1] in (["serve"], ["studio"]) or words[:2] == ["functions", "serve"]
if not serves and words[:1] not in (["dialer"], ["jobs"]):
    os.execv(sys.executable, command)
env = dict(os.environ)
etc = Path("etc", "outdial.env" if words[0] == "serve" else f"outdial-{{words[0]}}.env")
if etc.exists():
    ours = ("SUPABASE_", "RETELL_", "OUTDIAL_")
    env = {{name: value for name, value in env.items() if not name.startswith(ours)}}
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


def install_programs(directory: Path, curl: str, ports: Mapping[int, int]) -> None:
    """Write `curl` and `outdial` into `directory`; `ports` maps a documented port to the one of the stack."""
    connect = [word for told, real in ports.items() for word in ("--connect-to", f"127.0.0.1:{told}:127.0.0.1:{real}")]
    for name, text in (
        ("curl", _CURL.format(python=sys.executable, curl=curl, connect=connect)),
        ("outdial", _OUTDIAL.format(python=sys.executable)),
    ):
        program = directory / name
        program.write_text(text)
        program.chmod(0o755)


def run_block(text: str, directory: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a block of shell in `directory`; every question is confirmed, and the first failure ends it."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=directory,
        env=dict(env),
        input="y\n" * 20,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
