"""The fences hold whoever starts the host: an ordinary user, or root under a Python that all may read."""

import os
import site
import subprocess

import pytest

from tests.support import ordinary_user

NOBODY = 65534
WORKERS = 61_999

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else; the other tests run as this user"),
    pytest.mark.skipif(ordinary_user.readable_python() is None, reason="no Python here that an ordinary user can read"),
]


@pytest.fixture(
    scope="module", params=["an ordinary user's host", "an ordinary user's host on an older kernel", "root's host"]
)
def answers(request: pytest.FixtureRequest) -> dict[str, dict[str, object]]:
    python = ordinary_user.readable_python()
    assert python is not None
    if request.param == "root's host":
        return ordinary_user.responses_as(None, python, workers_uid=WORKERS)
    return ordinary_user.responses_as(NOBODY, python, landlock=1 if "older" in request.param else None)


def test_no_sandbox_layer_is_missing(answers: dict[str, dict[str, object]]) -> None:
    assert {slug: answer["missing"] for slug, answer in answers.items()} == {slug: [] for slug in answers}


def test_a_worker_has_no_privilege_and_gains_none(answers: dict[str, dict[str, object]]) -> None:
    got = answers["gains-privileges"]
    status = got["status"]
    assert isinstance(status, dict)
    assert set(status["Uid"].split()) in ({str(NOBODY)}, {str(WORKERS)})
    assert (status["CapEff"], status["CapPrm"]) == ("0" * 16, "0" * 16)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    outcomes = got["outcomes"]
    assert isinstance(outcomes, dict)
    # In its own namespace there is no root at all.
    assert outcomes.pop("root") in ("PermissionError", "OSError")
    assert set(outcomes.values()) == {"PermissionError"}


def test_a_worker_reads_nothing_of_other_processes(answers: dict[str, dict[str, object]]) -> None:
    files = answers["reads-secrets"]["files"]
    assert isinstance(files, dict)
    assert len(files) == 18
    assert set(files.values()) == {"PermissionError"}


def test_a_worker_does_nothing_to_other_processes(answers: dict[str, dict[str, object]]) -> None:
    got = {name: outcome for name, outcome in answers["meddles"].items() if name != "missing"}
    assert got == {way: ["PermissionError"] for way in got}


def test_a_worker_reaches_the_network_and_no_socket_of_this_machine(answers: dict[str, dict[str, object]]) -> None:
    got = answers["opens-sockets"]
    assert (got["tcp"], got["names"]) == ("done", "done")
    refused = {kind for kind, outcome in got.items() if outcome == "PermissionError"}
    listening = {"listening", "listening anywhere", "listening on IPv6"}
    assert refused == {"unix", "unix by a pair", "packet", "raw", "MPTCP", "SCTP"} | listening


def test_threads_are_limited(answers: dict[str, dict[str, object]]) -> None:
    started = answers["starts-threads"]["started"]
    assert isinstance(started, int)
    # In a container that allows no user namespace, only the gateway limits those of an ordinary user.
    assert started < 128 or not namespaces_are_allowed()


def namespaces_are_allowed() -> bool:
    """Return whether an ordinary user may create a user namespace, and the kernel counts threads in it."""
    probe = (
        "from outdial.host.worker.sandbox import privileges; raise SystemExit(not privileges.enter_user_namespace())"
    )
    done = subprocess.run(
        [ordinary_user.readable_python() or "", "-c", probe],
        env={"PYTHONPATH": os.pathsep.join([str(ordinary_user.ROOT / "src"), *site.getsitepackages()])},
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        check=False,
    )
    return done.returncode == 0


def test_a_worker_starts_threads_and_no_process(answers: dict[str, dict[str, object]]) -> None:
    got = {name: outcome for name, outcome in answers["forks"].items() if name != "missing"}
    assert got.pop("thread") == "ran"
    assert got.pop("shell") == "127"
    assert set(got.values()) == {"PermissionError"}
