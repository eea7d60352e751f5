"""The guides to the function host cover every limit and error, and name only commands that exist."""

import inspect
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from outdial.cli.main import whole_command
from outdial.host.gateway.launcher import GatewayLauncher
from outdial.host.manifests import ClusterTarget, manifests
from outdial.host.wire.config import FunctionConfig, read_function_configs
from outdial.settings import DialerSettings
from outdial.stack.dev import JOBS_GRACE_S, STUDIO_GRACE_S

ROOT = Path(__file__).parents[2]
FUNCTIONS = (ROOT / "docs" / "functions.md").read_text()
DEPLOYING = (ROOT / "docs" / "deploying.md").read_text()
HOST = ROOT / "src" / "outdial" / "host"


def toml_value(default: object) -> str:
    """Return a default value as it would be written in config.toml."""
    match default:
        case bool():
            return str(default).lower()
        case str():
            return f'"{default}"'
        case tuple():
            return "[]"
        case _:
            return f"{default:.10g}"


def table_rows(text: str, heading: str) -> dict[str, list[str]]:
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:3] == "| `"]
    return {row[0].strip("`"): row for row in rows}


def test_every_limit_is_documented_with_its_default() -> None:
    rows = table_rows(FUNCTIONS, "Limits")

    assert {name: row[1] for name, row in rows.items()} == {
        field.name: f"`{toml_value(field.default)}`" for field in fields(FunctionConfig)
    }


def test_every_error_of_the_host_is_documented() -> None:
    section = FUNCTIONS.split("## Errors\n")[1].split("\n## ")[0]
    codes: set[str] = set()
    for name in ("wire/responses.py", "gateway/verify.py"):
        source = (HOST / name).read_text()
        codes |= set(re.findall(r'ErrorResponse\(\s*\d+, "([A-Z_]+)"', source))
        codes |= set(re.findall(r'^    \d{3}: "([A-Z_]+)"', source, re.MULTILINE))

    assert len(codes) > 15
    assert {code for code in codes if f"`{code}`" not in section} == set()


def commands_in(text: str) -> list[str]:
    found = re.findall(r"(?:^|=/opt/outdial/bin/|`)outdial ([a-z][^`#\n]*)", text, re.MULTILINE)
    return [command.strip() for command in found]


@pytest.mark.parametrize("page", [FUNCTIONS, DEPLOYING], ids=["functions", "deploying"])
def test_every_command_and_option_exists(page: str) -> None:
    commands = commands_in(page)
    assert len(commands) > 5
    wrong = []
    for line in commands:
        words, command, at = line.split(), whole_command(), 0
        while hasattr(command, "commands") and at < len(words):
            command, at = command.commands.get(words[at]), at + 1
        known = {name for parameter in getattr(command, "params", ()) for name in parameter.opts}
        if command is None or not {word for word in words[at:] if word.startswith("--")} <= known:
            wrong.append(line)
    assert wrong == []


def test_every_secret_that_a_manifest_refers_to_is_documented() -> None:
    functions = read_function_configs(tomllib.loads((ROOT / "supabase" / "config.toml").read_text()))
    verified = {"hello": FunctionConfig()}
    named: set[str] = set()
    for file in manifests(
        functions | verified, ClusterTarget(target="kubernetes", image="outdial:1", with_studio=True)
    ):
        for each in file.objects:
            named |= secret_names(each)
    section = DEPLOYING.split("## Cluster\n")[1].split("\n## ")[0]

    of_functions = {name for config in functions.values() for name in config.secrets}
    assert {name for name in named if f"`{name}`" not in section} <= of_functions


def secret_names(made: Any) -> set[str]:
    """Return the names and keys of all Secrets that an object refers to."""
    if isinstance(made, list):
        return {name for each in made for name in secret_names(each)}
    if not isinstance(made, dict):
        return set()
    own = [made[kind] for kind in ("secretKeyRef", "secretRef", "configMapRef") if kind in made]
    named = {reference[key] for reference in own for key in ("name", "key") if key in reference}
    return named | {name for value in made.values() for name in secret_names(value)}


def test_systemd_waits_long_enough_for_processes_to_stop() -> None:
    units = re.findall(
        r"^ExecStart=/opt/outdial/bin/outdial (\w+)(?:.*\n)*?TimeoutStopSec=(\d+)$", DEPLOYING, re.MULTILINE
    )
    seconds = {command: int(timeout) for command, timeout in units}

    assert seconds.keys() == {"serve", "studio", "jobs", "dialer"}
    assert seconds["serve"] > inspect.signature(GatewayLauncher.__init__).parameters["grace_s"].default
    assert seconds["dialer"] > DialerSettings().request_timeout.total_seconds()
    assert seconds["studio"] > STUDIO_GRACE_S
    assert seconds["jobs"] > JOBS_GRACE_S
