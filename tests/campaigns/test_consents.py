"""Consents are stored once, in any order, and one that was given before a revocation does not count."""

import json
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.permission.consents import record_consent, revoke_consent, store_consents
from outdial.db.session import Database
from outdial.domain.permission.consent import Basis, GivenConsent, InvalidConsent, Scope, check_consent
from tests.support.factories import NOW, Contact, create_contact, create_member, create_tenant

HOUR = timedelta(hours=1)


@pytest.fixture
async def contact(connection: asyncpg.Connection) -> Contact:
    return await create_contact(connection, (await create_tenant(connection)).organization_id)


def given(
    basis: str = "written", scope: str = "any", hours_ago: float = 1, source: str | None = "form"
) -> GivenConsent:
    """Return a consent that was given some hours ago."""
    return GivenConsent(
        basis=Basis(basis), scope=Scope(scope), source=source, text=None, url=None, given_at=NOW - hours_ago * HOUR
    )


async def store(api: Database, contact: Contact, *consents: GivenConsent) -> list[UUID]:
    """Store consents one after the other; return the ids of the new ones."""
    new = []
    for consent in consents:
        async with api.as_service() as connection:
            stored = await store_consents(connection, contact.organization_id, {contact.phone: consent}, NOW)
            new += [each.id for each in stored]
    return new


async def counting(connection: asyncpg.Connection) -> set[tuple[str, str]]:
    """Return the basis and scope of the consents that are not revoked."""
    rows = await connection.fetch("select basis, scope from consents where revoked_at is null and basis <> 'none'")
    return {tuple(row) for row in rows}


async def test_the_same_consent_is_stored_once(api: Database, contact: Contact, connection: asyncpg.Connection) -> None:
    assert len(await store(api, contact, given(), given(), given(source="phone"), given(hours_ago=2))) == 3


async def test_a_refusal_revokes_what_was_agreed_before_for_its_scope(
    api: Database, contact: Contact, connection: asyncpg.Connection
) -> None:
    agreed = [given(scope=scope, hours_ago=3) for scope in ("any", "sales", "survey")]
    await store(api, contact, *agreed, given(scope="sales", hours_ago=1), given("none", "sales", hours_ago=2))

    assert await counting(connection) == {("written", "any"), ("written", "survey"), ("written", "sales")}
    await store(api, contact, given("none", hours_ago=0.5))
    assert await counting(connection) == set()


@pytest.mark.parametrize(("scope", "counts"), [("any", False), ("sales", False), ("survey", True)])
async def test_a_consent_from_before_a_refusal_is_stored_as_revoked(
    api: Database, contact: Contact, connection: asyncpg.Connection, scope: str, counts: bool
) -> None:
    await store(api, contact, given("none", scope, hours_ago=2), given(scope="sales", hours_ago=3))

    assert await counting(connection) == ({("written", "sales")} if counts else set())
    assert await connection.fetchval("select count(*) from consents") == 2


@pytest.mark.parametrize(("hours_ago", "counts"), [(3, False), (1, True)])
async def test_a_consent_counts_only_if_it_is_newer_than_the_opt_out(
    api: Database, contact: Contact, connection: asyncpg.Connection, hours_ago: int, counts: bool
) -> None:
    await connection.execute(
        "insert into do_not_call (organization_id, phone, source, created_at) values ($1, $2, 'call', $3)",
        contact.organization_id,
        contact.phone,
        NOW - 2 * HOUR,
    )

    await store(api, contact, given(hours_ago=hours_ago))

    assert await counting(connection) == ({("written", "any")} if counts else set())


async def test_an_older_file_does_not_bring_back_a_revoked_consent(
    api: Database, contact: Contact, connection: asyncpg.Connection
) -> None:
    [consent_id] = await store(api, contact, given(hours_ago=2))
    async with api.as_service() as acting:
        assert await revoke_consent(
            acting,
            contact.organization_id,
            contact.id,
            consent_id,
            reason="asked by email",
            actor=Actor(),
            now=NOW - HOUR,
        )

    await store(api, contact, given(hours_ago=2), given(hours_ago=1.5, source="other"))

    assert await counting(connection) == set()
    await store(api, contact, given(hours_ago=0.5))
    assert await counting(connection) == {("written", "any")}


async def test_recording_and_revoking_are_audited_without_the_text(
    api: Database, contact: Contact, connection: asyncpg.Connection
) -> None:
    async with api.as_service() as acting:
        stored = await record_consent(
            acting,
            contact.organization_id,
            contact.id,
            contact.phone,
            consent=given(source="secret"),
            actor=Actor(),
            now=NOW,
        )
        assert stored is not None
        for expected in (True, False):
            assert expected == await revoke_consent(
                acting, contact.organization_id, contact.id, stored.id, reason="asked", actor=Actor(), now=NOW
            )

    entries = await connection.fetch("select action, subject_id, details::text from audit_log order by id")
    assert [(entry["action"], entry["subject_id"]) for entry in entries] == [
        ("record_consent", str(contact.id)),
        ("revoke_consent", str(contact.id)),
    ]
    assert "secret" not in entries[0]["details"]


@pytest.mark.parametrize(
    ("consent", "field"),
    [
        (given(hours_ago=-1), "given_at"),
        (given(source=None), "source"),
        (given(source="x" * 201), "source"),
        (given("none", source=None), None),
    ],
)
def test_a_consent_without_evidence_or_from_the_future_is_refused(consent: GivenConsent, field: str | None) -> None:
    found = check_consent(consent, NOW)
    assert (found.field if isinstance(found, InvalidConsent) else found) == field


@pytest.mark.parametrize("url", ["javascript:alert(1)", "see file", ""])
async def test_the_database_keeps_only_urls_that_a_page_may_link_to(
    contact: Contact, connection: asyncpg.Connection, url: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(
            "insert into consents (id, organization_id, phone, basis, url, given_at, created_at)"
            " values (gen_random_uuid(), $1, $2, 'written', $3, $4, $4)",
            contact.organization_id,
            contact.phone,
            url,
            NOW,
        )


@pytest.mark.parametrize(
    "change",
    [
        "revoked_at = null",
        "revoked_at = null, revocation = null",
        "revoked_at = revoked_at + interval '1 day'",
        "revocation = 'never'",
    ],
)
async def test_no_one_brings_a_revoked_consent_back(
    api: Database, contact: Contact, connection: asyncpg.Connection, change: str
) -> None:
    operator = await create_member(connection, contact.organization_id, "operator")
    await store(api, contact, given(hours_ago=2), given("none", hours_ago=1))
    before = await connection.fetch("select * from consents order by id")

    async with api.as_caller("authenticated", {"sub": str(operator), "role": "authenticated"}) as acting:
        with pytest.raises(asyncpg.CheckViolationError, match="a consent can be revoked once"):
            async with acting.transaction():
                await acting.execute(f"update consents set {change} where basis = 'written'")  # noqa: S608
    with pytest.raises(asyncpg.CheckViolationError, match="a consent can be revoked once"):
        await connection.execute("update consents set text = 'I agree' where basis = 'none'")

    assert await connection.fetch("select * from consents order by id") == before


async def test_consents_that_are_changed_past_the_studio_leave_an_audit_entry_each(
    api: Database, contact: Contact, connection: asyncpg.Connection
) -> None:
    operator = await create_member(connection, contact.organization_id, "operator")
    claims = {"sub": str(operator), "role": "authenticated"}
    consent_ids = await store(api, contact, given(scope="sales"), given(scope="survey"))

    async with api.as_caller("authenticated", claims) as acting:
        await acting.execute("update consents set revoked_at = $1", NOW)
    async with api.as_caller("authenticated", claims) as acting:
        await acting.execute(
            "insert into consents (id, organization_id, phone, basis, source, given_at, created_at)"
            " values (gen_random_uuid(), $1, $2, 'express', 'typed', $3, $3)",
            contact.organization_id,
            contact.phone,
            NOW,
        )

    entries = await connection.fetch("select actor, action, subject_id, details::text from audit_log order by id")
    assert {tuple(entry)[:3] for entry in entries} == {(str(operator), "change_consent_directly", str(contact.id))}
    changes = [json.loads(entry["details"]) for entry in entries]
    assert {change["consent_id"] for change in changes[:2]} == {str(each) for each in consent_ids}
    assert [(change["operation"], change["basis"]) for change in changes] == [
        ("update", "written"),
        ("update", "written"),
        ("insert", "express"),
    ]


async def test_what_the_studio_or_an_opt_out_does_with_consents_is_not_audited_again(
    api: Database, contact: Contact, connection: asyncpg.Connection
) -> None:
    operator = await create_member(connection, contact.organization_id, "operator")
    claims = {"sub": str(operator), "role": "authenticated"}
    organization_id, phone = contact.organization_id, contact.phone

    async with api.as_caller("authenticated", claims) as acting:
        for consent in (given(scope="sales", hours_ago=3), given("none", "sales", hours_ago=2)):
            await record_consent(
                acting, organization_id, contact.id, phone, consent=consent, actor=Actor(operator), now=NOW
            )
    [consent_id] = await store(api, contact, given())
    async with api.as_caller("authenticated", claims) as acting:
        await revoke_consent(
            acting, organization_id, contact.id, consent_id, reason="asked", actor=Actor(operator), now=NOW
        )
    await store(api, contact, given(hours_ago=-1))
    async with api.as_caller("authenticated", claims) as acting:
        await acting.execute(
            "insert into do_not_call (organization_id, phone, source, created_at) values ($1, $2, 'manual', $3)",
            organization_id,
            phone,
            NOW,
        )

    assert await counting(connection) == set()
    actions = [row["action"] for row in await connection.fetch("select action from audit_log order by id")]
    assert actions == ["record_consent", "record_consent", "revoke_consent"]
