"""Evidence packs from the command line."""

import asyncio
import json
import stat
from pathlib import Path

import asyncpg
import pytest

from tests.cli.conftest import Outdial
from tests.support.factories import create_calling, create_campaign, create_tenant


@pytest.fixture
async def ids(connection: asyncpg.Connection) -> dict[str, str]:
    """What each command takes for the same call."""
    campaign = await create_campaign(connection, await create_tenant(connection))
    entry, call_id = await create_calling(connection, campaign)
    return {"call": str(call_id), "phone": entry.contact.phone, "campaign": str(campaign.id)}


@pytest.mark.parametrize("kind", ["call", "phone", "campaign"])
async def test_a_pack_is_written_checked_and_audited(
    outdial: Outdial, connection: asyncpg.Connection, ids: dict[str, str], tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "pack.json"
    written = await asyncio.to_thread(outdial.json, "evidence", kind, ids[kind], "--out", str(out))

    assert written == {"file": str(out), "bytes": out.stat().st_size}
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    pack = json.loads(out.read_bytes())["pack"]
    assert [attempt["id"] for attempt in pack["contacts"][0]["attempts"]] == [ids["call"]]
    taken = await connection.fetch(
        "select actor, subject_type, subject_id from audit_log where action = 'take_evidence'"
    )
    assert [tuple(row) for row in taken] == [("service", kind, ids[kind])]
    assert "Unchanged" in await asyncio.to_thread(outdial, "verify", "evidence", str(out))

    out.write_bytes(out.read_bytes().replace(b'"attempt_number":1', b'"attempt_number":2'))
    changed = await asyncio.to_thread(outdial.run, "verify", "evidence", str(out))
    assert (changed.exit_code, "was changed" in changed.stderr) == (3, True)


def test_bad_arguments_say_what_to_do(outdial: Outdial, ids: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "pack.json"
    assert "is not an id" in outdial.error("evidence", "call", "17", "--out", str(out))
    assert "does not exist" in outdial.error("evidence", "call", ids["campaign"], "--out", str(out))
    assert "PHONE" in outdial.error("evidence", "phone", "hello", "--out", str(out))
    assert "unknown campaign" in outdial.error("evidence", "campaign", "Autumn", "--out", str(out))
    assert not out.exists()

    out.write_text("mine")
    assert "exists" in outdial.error("evidence", "call", ids["call"], "--out", str(out))
    assert out.read_text() == "mine"
    assert "not an evidence pack" in outdial.error("verify", "evidence", str(out))
    assert "No such file" in outdial.error("verify", "evidence", str(tmp_path / "none"))
