"""Checking from the command line that nothing was changed."""

import asyncio

import asyncpg
import pytest

from tests.cli.conftest import Outdial
from tests.support.factories import NOW, create_tenant

INSERT = """
insert into audit_log (organization_id, at, actor, action, subject_type, subject_id)
values ($1, $2, 'service', 'edit_campaign', 'campaign', $3)
"""


@pytest.fixture
async def entries(connection: asyncpg.Connection) -> None:
    for name, number in (("Acme", 3), ("Other", 1)):
        tenant = await create_tenant(connection, name=name, credential=name.lower())
        for subject in range(number):
            await connection.execute(INSERT, tenant.organization_id, NOW, str(subject))


@pytest.mark.usefixtures("entries")
def test_the_chains_of_all_organizations_are_verified_and_their_heads_printed(outdial: Outdial) -> None:
    acme, other = sorted(outdial.json("verify", "audit"), key=lambda row: row["organization"])
    assert (acme["organization"], acme["unchanged"], acme["entries"], acme["redacted"]) == ("Acme", True, 3, 0)
    assert acme["head"] != other["head"]
    assert acme["head"] in outdial("verify", "audit", "--organization=Acme", f"--expect-head={acme['head']}")
    outdial("verify", "audit", f"--expect-head={acme['head']}", f"--expect-head={other['head'].upper()}")


@pytest.mark.usefixtures("entries")
def test_a_head_that_no_entry_has_is_reported(outdial: Outdial) -> None:
    [other] = outdial.json("verify", "audit", "--organization=Other")
    result = outdial.run("verify", "audit", "--organization=Acme", f"--expect-head={other['head']}")
    assert result.exit_code == 3
    assert f"no entry has the expected head {other['head']}" in result.stderr
    assert "64 hexadecimal digits" in outdial.error("verify", "audit", "--expect-head=abc")
    assert "unknown organization" in outdial.error("verify", "audit", "--organization=Nobody")


@pytest.mark.usefixtures("entries")
async def test_a_problem_is_printed_and_sets_the_exit_status(outdial: Outdial, connection: asyncpg.Connection) -> None:
    await connection.execute("set session_replication_role = replica")
    await connection.execute("update audit_log set actor = 'someone else' where subject_id = '2'")

    result = await asyncio.to_thread(outdial.run, "verify", "audit")
    assert result.exit_code == 3
    assert "Acme: changed at position 3, entry" in result.stdout
    changed = await asyncio.to_thread(outdial.run, "verify", "audit", "--organization=Acme", "--json")
    assert changed.exit_code == 3
    assert '"fault": "changed"' in changed.stdout


def test_without_an_organization_there_is_nothing_to_check(outdial: Outdial) -> None:
    assert outdial.json("verify", "audit") == []
