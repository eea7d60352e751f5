"""System users of functions: one each, even for names that were made to collide, and the same ones after a restart."""

import json
from pathlib import Path
from zlib import crc32

import pytest

from outdial.host.pool.users import WORKER_UIDS, WorkerUsers
from tests.support.logged import LogLines

# Both have the checksum of user 59506.
VICTIM, ATTACKER = "retell-webhook", "hello-5338"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "worker-users.json"


def test_names_with_the_same_checksum_get_different_users(file: Path) -> None:
    assert len({WORKER_UIDS[crc32(slug.encode()) % len(WORKER_UIDS)] for slug in (VICTIM, ATTACKER)}) == 1
    users = WorkerUsers(file)

    assert users.uid_of(VICTIM) != users.uid_of(ATTACKER)
    assert {users.uid_of(slug) for slug in (VICTIM, ATTACKER)} <= set(WORKER_UIDS)


def test_another_gateway_of_this_machine_agrees_in_whatever_order_it_asks(file: Path) -> None:
    first = WorkerUsers(file)
    before = {slug: first.uid_of(slug) for slug in (VICTIM, ATTACKER)}
    second = WorkerUsers(file)

    assert {slug: second.uid_of(slug) for slug in (ATTACKER, VICTIM)} == before
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_used_is_reported_and_users_stay_apart(file: Path, lines: LogLines) -> None:
    file.mkdir(parents=True)
    users = WorkerUsers(file)

    assert users.uid_of(VICTIM) != users.uid_of(ATTACKER)
    assert users.uid_of(VICTIM) == users.uid_of(VICTIM)
    assert {line["event"] for line in lines.lines} == {"host.users_not_kept"}


def test_a_file_that_was_cut_off_is_written_anew(file: Path) -> None:
    users = WorkerUsers(file)
    before = users.uid_of(VICTIM)
    file.write_text('{"retell-web')

    assert users.uid_of(ATTACKER) != before
    assert json.loads(file.read_text())[VICTIM] == before


def test_users_of_functions_that_are_gone_are_used_again(file: Path) -> None:
    for number in range(5):
        WorkerUsers(file, range(100, 105)).uid_of(f"gone-{number}")
    users = WorkerUsers(file, range(100, 105))

    assert users.uid_of("new") != users.uid_of("newer")
    assert set(json.loads(file.read_text())) == {"new", "newer"}
