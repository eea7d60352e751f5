"""Erasures, the export of what is known, and retention from the command line."""

import asyncio
import json

import asyncpg
import pytest

from tests.cli.conftest import Outdial
from tests.support.factories import ERASURE_SECRETS
from tests.support.person import NAME, PHONE, SPELLINGS, create_person

KEY = {"OUTDIAL_ERASURE_KEY": ERASURE_SECRETS[0]}


@pytest.fixture
async def with_person(connection: asyncpg.Connection) -> None:
    await create_person(connection)


async def run(outdial: Outdial, *arguments: str, **options: object) -> str:
    """Run a command off the event loop of the test, because it starts one itself."""
    return await asyncio.to_thread(outdial, *arguments, **options)  # type: ignore[arg-type]


@pytest.mark.usefixtures("with_person")
async def test_a_person_is_exported_and_erased_by_number(outdial: Outdial, connection: asyncpg.Connection) -> None:
    known = await run(outdial, "contacts", "export-subject", PHONE, env=KEY)
    assert NAME in known

    done = await run(outdial, "contacts", "erase", "(415) 555-0123", "--region=US", "--yes", env=KEY)

    assert done.startswith("Erased.")
    (erasure,) = await asyncio.to_thread(outdial.json, "contacts", "erasures")
    assert (erasure["requested_by"], erasure["calls"], erasure["finished_at"]) == ("service", 2, None)
    assert erasure["id"] in done
    listed = await run(outdial, "contacts", "erasures")
    assert "0 of 2 calls" in listed
    assert not any(spelling in listed for spelling in SPELLINGS)
    await connection.execute("update erasure_calls set out_of_reach_at = now(), workspace_name = 'Sales EU'")
    listed = await run(outdial, "contacts", "erasures")
    assert "0 of 2 calls, 2 out of reach" in listed
    assert "Outdial has no key that reaches 2 calls at Retell" in " ".join(listed.split())
    (unreached,) = await asyncio.to_thread(outdial.json, "contacts", "erasures")
    assert [call["workspace_name"] for call in unreached["out_of_reach"]] == ["Sales EU", "Sales EU"]
    confirm = ("contacts", "confirm-erasure", erasure["id"])
    assert (await asyncio.to_thread(outdial.run, *confirm, stdin="n\n")).exit_code == 1
    assert "no call" in await asyncio.to_thread(outdial.error, *confirm, "--yes", "--until=2026-01-01T00:00:00Z")
    until = f"--until={unreached['out_of_reach_until']}"
    assert await run(outdial, *confirm, "--yes", until) == "Confirmed: 2 calls.\n"
    assert "is out of reach" in await asyncio.to_thread(outdial.error, *confirm, "--yes")
    left = json.loads(await run(outdial, "contacts", "export-subject", PHONE, env=KEY))
    assert (left["contacts"], left["calls"], left["erasure_id"]) == ([], [], erasure["id"])


@pytest.mark.usefixtures("with_person")
async def test_without_a_key_or_a_confirmation_nothing_is_erased(
    outdial: Outdial, connection: asyncpg.Connection
) -> None:
    assert "OUTDIAL_ERASURE_KEY is not set" in await asyncio.to_thread(
        outdial.error, "contacts", "erase", PHONE, "--yes"
    )
    short = {"OUTDIAL_ERASURE_KEY": "short"}
    assert "at least 32 characters" in await asyncio.to_thread(
        outdial.error, "contacts", "erase", PHONE, "--yes", env=short
    )
    declined = await asyncio.to_thread(outdial.run, "contacts", "erase", PHONE, env=KEY, stdin="n\n")
    assert declined.exit_code == 1
    assert "has no country code" in await asyncio.to_thread(
        outdial.error, "contacts", "erase", "5550123", "--yes", env=KEY
    )
    assert await connection.fetchval("select count(*) from contacts where phone = $1", PHONE) == 1


def test_retention_is_shown_changed_and_refused(acme: Outdial) -> None:
    assert "kept" in acme("organization", "retention", "Acme")

    changed = acme.json("organization", "retention", "Acme", "--transcripts=90", "--events=30")
    assert (changed["transcript_days"], changed["event_days"], changed["call_days"]) == (90, 30, None)
    held = acme("organization", "retention", "Acme", "--hold=Smith v. Acme")
    assert "Smith v. Acme" in held
    released = acme.json("organization", "retention", "Acme", "--release", "--transcripts=keep")
    assert (released["legal_hold"], released["transcript_days"], released["event_days"]) == (False, None, 30)

    assert "--calls: must be from 31 to 3650" in acme.error("organization", "retention", "Acme", "--calls=7")
    assert "--events: event bodies contain" in acme.error("organization", "retention", "Acme", "--recordings=7")
    assert "'soon' is neither" in acme.error("organization", "retention", "Acme", "--events=soon")
    assert "not both" in acme.error("organization", "retention", "Acme", "--hold=x", "--release")


def test_an_erased_number_is_not_listed_again(acme: Outdial) -> None:
    acme("contacts", "erase", "+12125550123", "--yes", env=KEY)

    added = acme("contacts", "dnc", "add", "+12125550123", "+12125550124", env=KEY)

    assert "Added 1" in added
    assert [row["phone"] for row in acme.json("contacts", "dnc", "list")] == ["+12125550124"]
