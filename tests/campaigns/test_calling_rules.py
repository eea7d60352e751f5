"""An organization switches rules off with a reason, and adds its own; both are audited and reach the rule book."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from outdial.campaigns.calling_rules import (
    RuleSwitchChange,
    add_rule,
    missing_country,
    switch_rule,
)
from outdial.campaigns.errors import InvalidSwitch, RuleIdTaken
from outdial.campaigns.lifecycle import Actor
from outdial.db.session import Connection, Database
from outdial.dialer.organization_rules import organization_rules
from outdial.domain.calling_hours import ALWAYS_OPEN, parse_calling_hours
from outdial.domain.errors import InvalidRule
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from outdial.domain.rules import EffectiveWindow, NoRules
from outdial.rules.pack import shipped_rules
from tests.support.factories import Tenant, create_campaign, create_member, create_tenant
from tests.support.postgres import Scratch

NOW = datetime(2026, 11, 30, 16, tzinfo=UTC)
SPAIN = {
    "jurisdiction": "ES",
    "purpose": "any",
    "hours": {"weekdays": [["09:00", "21:00"]]},
    "source": "Counsel, 2026-11-01",
    "confidence": "s",
}


@pytest.fixture
async def api(database: Scratch) -> AsyncIterator[Database]:
    """Connections as the studio and the commands have them."""
    async with await Database.connect(database.dsn_for("outdial_api"), application_name="tests:api") as opened:
        yield opened


@pytest.fixture
async def tenant(connection: asyncpg.Connection) -> Tenant:
    """An organization without contacts."""
    return await create_tenant(connection)


async def window(service: Connection, tenant: Tenant, place: Place) -> EffectiveWindow:
    """Return when a sales campaign of the organization may call a place, around the clock as far as it goes."""
    book = await organization_rules(service, tenant.organization_id, shipped_rules())
    return book.window(parse_calling_hours(ALWAYS_OPEN), place, Purpose.SALES)


async def switch(service: Connection, tenant: Tenant, rule_id: str, *, is_off: bool, reason: str = "Advice") -> bool:
    """Switch a rule as the service."""
    change = RuleSwitchChange(rule_id=rule_id, is_off=is_off, reason=reason)
    return await switch_rule(
        service,
        organization_id=tenant.organization_id,
        change=change,
        shipped=shipped_rules(),
        actor=Actor(),
        now=NOW,
    )


async def test_a_rule_switched_off_no_longer_counts_until_it_is_switched_on_again(
    api: Database, connection: asyncpg.Connection, tenant: Tenant
) -> None:
    place = Place("America/New_York", "US-FL")
    evening = datetime(2026, 12, 1, 1, 30, tzinfo=UTC)
    async with api.as_service() as service:
        opens = [(await window(service, tenant, place)).is_open(evening)]
        changed = [await switch(service, tenant, "US-FL-HOURS", is_off=True) for _ in range(2)]
        opens.append((await window(service, tenant, place)).is_open(evening))
        await switch(service, tenant, "US-FL-HOURS", is_off=False, reason="Advice withdrawn")
        opens.append((await window(service, tenant, place)).is_open(evening))

    audit = await connection.fetch(
        "select action, subject_id, details::text from audit_log where subject_type = 'calling_rule' order by id"
    )
    assert opens == [False, True, False]
    assert changed == [True, False]
    assert [tuple(row) for row in audit] == [
        ("switch_off_calling_rule", "US-FL-HOURS", '{"reason": "Advice"}'),
        ("switch_on_calling_rule", "US-FL-HOURS", '{"reason": "Advice withdrawn"}'),
    ]


async def test_a_country_without_a_rule_opens_with_an_own_rule_and_closes_without_it(
    api: Database, connection: asyncpg.Connection, tenant: Tenant
) -> None:
    spain = Place("Europe/Madrid", "ES")
    async with api.as_service() as service:
        before = (await window(service, tenant, spain)).blocked_at(NOW)
        rules = [
            await add_rule(service, organization_id=tenant.organization_id, document=SPAIN, actor=Actor(), now=NOW)
            for _ in range(2)
        ]
        opened = await window(service, tenant, spain)
        for rule in rules:
            await switch(service, tenant, rule.id, is_off=True, reason="Replaced")
        after = (await window(service, tenant, spain)).blocked_at(NOW)
        await switch(service, tenant, "ES-NO-RULE", is_off=True, reason="Existing customers only")
        without = (await window(service, tenant, spain)).blocked_at(NOW)

    assert before == after == NoRules(("ES",))
    assert [rule.id for rule in rules] == ["OWN-ES-1", "OWN-ES-2"]
    assert rules[0].checked_on == NOW.date()
    assert opened.blocked_at(NOW) is None
    assert [opened.is_open(NOW + timedelta(hours=hours)) for hours in (0, 6)] == [True, False]
    assert without is None
    details = await connection.fetchval("select details::text from audit_log where subject_id = 'OWN-ES-1'")
    assert msgspec.json.decode(details)["rule"]["source"] == "Counsel, 2026-11-01"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"jurisdiction": "Spain"}, "jurisdiction"),
        ({"source": " "}, "source"),
        ({"hours": {"weekdays": [["21:00", "09:00"]]}}, "hours"),
        ({"holidays": ["XX"]}, "holidays"),
        ({"id": "ES-HOURS"}, "id"),
        ({"checked_on": "2026-12-24"}, "checked_on"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_an_own_rule_that_cannot_be_read_names_its_field(
    api: Database, connection: asyncpg.Connection, tenant: Tenant, changes: dict[str, Any], field: str
) -> None:
    async with api.as_service() as service:
        with pytest.raises(InvalidRule) as raised:
            await add_rule(
                service, organization_id=tenant.organization_id, document=SPAIN | changes, actor=Actor(), now=NOW
            )

    assert raised.value.field == field
    assert await connection.fetchval("select count(*) from calling_rules") == 0


async def test_rules_never_change_so_an_id_is_used_once(api: Database, tenant: Tenant) -> None:
    named = SPAIN | {"id": "OWN-ES-HOURS"}
    organization_id = tenant.organization_id
    async with api.as_service() as service:
        await add_rule(service, organization_id=organization_id, document=named, actor=Actor(), now=NOW)
        with pytest.raises(RuleIdTaken, match="OWN-ES-HOURS exists already"):
            await add_rule(service, organization_id=organization_id, document=named, actor=Actor(), now=NOW)


@pytest.mark.parametrize(
    ("rule_id", "reason", "said"),
    [
        ("US-FL-HOURS", "  ", "reason: must have 1 to 1000 characters"),
        ("US-FL-HOURS", "x" * 1001, "reason: must have 1 to 1000 characters"),
        ("US-FL-HOURS", "a\0b", "reason: must not contain a null character"),
        ("US-FL-MADE-UP", "Advice", "rule_id: unknown rule 'US-FL-MADE-UP'"),
        ("OWN-ES-1", "Advice", "rule_id: unknown rule 'OWN-ES-1'"),
    ],
)
async def test_a_switch_needs_a_known_rule_and_a_reason(
    api: Database, connection: asyncpg.Connection, tenant: Tenant, rule_id: str, reason: str, said: str
) -> None:
    async with api.as_service() as service:
        with pytest.raises(InvalidSwitch, match=said):
            await switch(service, tenant, rule_id, is_off=True, reason=reason)

    assert await connection.fetchval("select count(*) from rule_switches") == 0


async def test_a_change_of_rules_wakes_the_active_campaigns_of_the_organization(
    api: Database, connection: asyncpg.Connection, tenant: Tenant
) -> None:
    later = NOW + timedelta(days=3)
    own = await create_campaign(connection, tenant, next_batch_at=later)
    other = await create_campaign(connection, await create_tenant(connection, credential="other"), next_batch_at=later)
    async with api.as_service() as service:
        await switch(service, tenant, "US-FL-HOURS", is_off=True)

    rows = dict(await connection.fetch("select id, next_batch_at from campaigns"))
    assert rows == {own.id: NOW, other.id: later}


@pytest.mark.parametrize(("role", "may"), [("owner", True), ("admin", True), ("operator", False), ("viewer", False)])
async def test_only_admins_change_rules(
    api: Database, connection: asyncpg.Connection, tenant: Tenant, role: str, may: bool
) -> None:
    user = await create_member(connection, tenant.organization_id, role=role)
    claims = {"sub": str(user), "role": "authenticated"}
    change = RuleSwitchChange(rule_id="US-FL-HOURS", is_off=True, reason="Advice")

    async def change_rules() -> None:
        async with api.as_caller("authenticated", claims) as caller:
            await switch_rule(
                caller,
                organization_id=tenant.organization_id,
                change=change,
                shipped=shipped_rules(),
                actor=Actor(user),
                now=NOW,
            )
            await add_rule(caller, organization_id=tenant.organization_id, document=SPAIN, actor=Actor(user), now=NOW)

    if may:
        await change_rules()
    else:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await change_rules()
    actors = await connection.fetch("select distinct actor from audit_log where subject_type = 'calling_rule'")
    assert [row["actor"] for row in actors] == ([str(user)] if may else [])
    actions = await connection.fetchval("select count(*) from audit_log where action like '%directly'")
    assert actions == 0


async def test_a_switch_typed_in_sql_is_recorded_with_the_time_of_the_database_and_what_it_did(
    api: Database, connection: asyncpg.Connection, tenant: Tenant
) -> None:
    admin = await create_member(connection, tenant.organization_id, role="admin")
    typed = "insert into rule_switches (organization_id, rule_id, is_off, reason, actor, at{}) values ({}"
    values = "$1, 'US-FL-HOURS', true, 'Advice', $2, '2001-01-01Z'"
    async with api.as_caller("authenticated", {"sub": str(admin), "role": "authenticated"}) as caller:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with caller.transaction():
                await caller.execute(
                    typed.format(", recorded_at", f"{values}, '2001-01-01Z')"), tenant.organization_id, str(admin)
                )
        await caller.execute(typed.format("", f"{values})"), tenant.organization_id, str(admin))

    assert await connection.fetchval("select now() - recorded_at < interval '1 hour' from rule_switches")
    entry = await connection.fetchrow("select action, details::text from audit_log")
    assert entry is not None
    assert entry["action"] == "change_calling_rule_directly"
    details = json.loads(entry["details"])
    assert (details["is_off"], details["reason"]) == (True, "Advice")
    assert details["stated_at"].startswith("2001-01-01")


def test_a_country_without_a_rule_has_a_pseudo_rule() -> None:
    assert missing_country("ES-NO-RULE") == "ES"
    assert [missing_country(text) for text in ("ES", "US-TX-NO-RULE", "es-NO-RULE", "-NO-RULE", "EÑ-NO-RULE")] == [
        None
    ] * 5
