"""The claim, the rescue and each request keep to the calling rules of the contact's place."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest

from outdial.db.queries import batches, due_contacts
from outdial.dialer.admission import WaitReason
from outdial.dialer.claim import _WAITING_FOR, Claimed
from outdial.domain.contact import FORBIDDEN_BY
from outdial.domain.rule_parsing import parse_rule, rule_document
from outdial.domain.rules import RuleBook
from tests.support.dialing import Stage
from tests.support.factories import (
    NOW,
    Campaign,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_tenant,
    insert,
)
from tests.support.postgres import until_one_waits
from tests.support.rules import BOOK, FEDERAL, FLORIDA, FRANCE, book, rule

NEW_YORK: Final = {"zone_key": "America/New_York", "jurisdiction_key": "US-NY"}
FLORIDA_KEYS: Final = {"zone_key": "America/New_York", "jurisdiction_key": "US-FL"}
PARIS: Final = {"zone_key": "Europe/Paris", "jurisdiction_key": "FR"}
MADRID: Final = {"zone_key": "Europe/Madrid", "jurisdiction_key": "ES"}
SEATTLE: Final = {"zone_key": "America/Los_Angeles", "jurisdiction_key": "US-WA"}
HOUR: Final = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _under_rules(stage: Stage) -> None:
    stage.rules = BOOK


async def claim(stage: Stage, campaign: Campaign) -> Claimed:
    """Claim once for the campaign."""
    claimed = await stage.claimer().claim(campaign.tenant.organization_id, campaign.id)
    assert isinstance(claimed, Claimed)
    return claimed


async def create_sales(stage: Stage, **columns: Any) -> Campaign:
    """Create an active campaign for sales that calls at any hour."""
    return await create_campaign(stage.look, await create_tenant(stage.look), **columns)


async def switch_off(
    stage: Stage, campaign: Campaign, rule_id: str, connection: asyncpg.Connection | None = None
) -> None:
    """Switch a rule off for the organization."""
    await insert(
        connection or stage.look,
        "rule_switches",
        organization_id=campaign.tenant.organization_id,
        rule_id=rule_id,
        is_off=True,
        reason="Checked with counsel",
        actor="test",
        at=stage.clock.now(),
    )


async def waiting(stage: Stage, campaign: Campaign) -> tuple[str | None, datetime]:
    """Return why the campaign waits, and until when."""
    row = await stage.row("campaigns", campaign.id)
    return row["waiting_for"], row["next_batch_at"]


async def reason_of(stage: Stage, campaign_contact_id: UUID) -> tuple[str, str | None]:
    """Return the status of a campaign contact and its reason."""
    row = await stage.row("campaign_contacts", campaign_contact_id)
    return row["status"], row["status_reason"]


async def test_only_places_that_the_law_has_open_are_called(stage: Stage) -> None:
    campaign = await create_sales(stage)
    called = await create_campaign_contact(stage.look, campaign, **NEW_YORK)
    closed = await create_campaign_contact(
        stage.look, campaign, zone_key="Pacific/Honolulu", jurisdiction_key="US-HI"
    )  # 07:00 there
    unknown = await create_campaign_contact(stage.look, campaign, **MADRID)
    no_keys = await create_campaign_contact(stage.look, campaign, zone_key="America/New_York", jurisdiction_key="")

    claimed = await claim(stage, campaign)

    assert [call.phone for call in claimed.calls] == [called.contact.phone]
    for entry in (closed, unknown, no_keys):
        assert await reason_of(stage, entry.id) == ("pending", None)
    assert (await claim(stage, campaign)).calls == []
    assert await waiting(stage, campaign) == ("calling_rules", NOW + timedelta(seconds=60))


async def test_a_contact_that_moves_while_it_is_claimed_stays_pending(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await create_sales(stage)
    moved, called = [await create_campaign_contact(stage.look, campaign, **NEW_YORK) for _ in range(2)]
    read = due_contacts.due_contacts

    async def read_after_the_move(*args: Any, **kwargs: Any) -> list[due_contacts.DueContact]:
        """Return the rows as the lock does when one was moved to Spain after the statement began."""
        rows = await read(*args, **kwargs)
        return [replace(row, **MADRID) if row.id == moved.id else row for row in rows]

    monkeypatch.setattr(due_contacts, "due_contacts", read_after_the_move)

    assert [call.phone for call in (await claim(stage, campaign)).calls] == [called.contact.phone]
    assert await reason_of(stage, moved.id) == ("pending", None)


async def test_a_campaign_waits_for_the_hour_at_which_the_law_opens(stage: Stage) -> None:
    stage.clock.set(datetime(2026, 3, 11, 12, 59, 30, tzinfo=UTC))  # 13:59:30 in Paris, where calls pause for lunch
    campaign = await create_sales(stage)
    await create_campaign_contact(stage.look, campaign, **PARIS)

    assert (await claim(stage, campaign)).calls == []
    assert await waiting(stage, campaign) == ("calling_rules", datetime(2026, 3, 11, 13, 0, tzinfo=UTC))
    stage.clock.set(datetime(2026, 3, 11, 13, 0, tzinfo=UTC))
    assert len((await claim(stage, campaign)).calls) == 1


async def test_a_country_without_a_rule_waits_until_it_has_one_or_is_switched_off(stage: Stage) -> None:
    campaign = await create_sales(stage)
    first = await create_campaign_contact(stage.look, campaign, **MADRID)
    second = await create_campaign_contact(
        stage.look, campaign, zone_key="Europe/Lisbon", jurisdiction_key="PT", next_attempt_at=NOW
    )
    assert (await claim(stage, campaign)).calls == []

    own = rule("OWN-ES-HOURS", "ES", hours={"every_day": [["09:00", "21:00"]]})
    await insert(
        stage.look,
        "calling_rules",
        organization_id=campaign.tenant.organization_id,
        rule_id=own.id,
        body=json.dumps(rule_document(own)),
        created_by="test",
        created_at=NOW,
    )
    assert [call.phone for call in (await claim(stage, campaign)).calls] == [first.contact.phone]
    await switch_off(stage, campaign, "PT-NO-RULE")
    assert [call.phone for call in (await claim(stage, campaign)).calls] == [second.contact.phone]


async def test_no_one_is_called_while_a_rule_of_the_organization_cannot_be_read(stage: Stage) -> None:
    campaign = await create_sales(stage)
    await create_campaign_contact(stage.look, campaign, **NEW_YORK)
    await insert(
        stage.look,
        "calling_rules",
        organization_id=campaign.tenant.organization_id,
        rule_id="OWN-BROKEN",
        body='{"id": "OWN-BROKEN", "hour": 9}',
        created_by="test",
        created_at=NOW,
    )

    assert await stage.dialer().run_once() == 0

    assert "hour: is not a field of a rule" in (await stage.row("campaigns", campaign.id))["failing_reason"]


async def test_a_prohibited_place_is_skipped_and_the_reason_names_the_rule(stage: Stage) -> None:
    campaign = await create_sales(stage)
    banned = await create_campaign_contact(stage.look, campaign, **SEATTLE)

    await claim(stage, campaign)

    reason = "calls for the purpose of the campaign are forbidden by the calling rule US-WA-BAN"
    assert await reason_of(stage, banned.id) == ("skipped", reason)


@pytest.mark.parametrize("change", ["switch", "purpose"])
async def test_a_prohibited_contact_is_called_once_its_rule_no_longer_applies(stage: Stage, change: str) -> None:
    campaign = await create_sales(stage)
    await create_campaign_contact(stage.look, campaign, **NEW_YORK, next_attempt_at=NOW + HOUR)
    banned = await create_campaign_contact(stage.look, campaign, **SEATTLE)
    await claim(stage, campaign)

    if change == "switch":
        await switch_off(stage, campaign, "US-OTHER")
        assert (await reason_of(stage, banned.id))[0] == "skipped"
        await switch_off(stage, campaign, "US-WA-BAN")
    else:
        await stage.look.execute("update campaigns set purpose = 'survey' where id = $1", campaign.id)
        await switch_off(stage, campaign, "US-NO-RULE")  # The rules of the book are for sales only.

    assert await reason_of(stage, banned.id) == ("pending", None)
    assert [call.phone for call in (await claim(stage, campaign)).calls] == [banned.contact.phone]


@pytest.mark.parametrize(
    ("statuses", "reopened"), [((), True), (("pausing", "paused"), True), (("cancelling",), False)]
)
async def test_a_contact_skipped_for_its_place_is_called_once_the_place_is_corrected(
    stage: Stage, statuses: tuple[str, ...], reopened: bool
) -> None:
    campaign = await create_sales(stage)
    await create_campaign_contact(stage.look, campaign, **NEW_YORK, next_attempt_at=NOW + HOUR)
    banned, other = [await create_campaign_contact(stage.look, campaign, **SEATTLE) for _ in range(2)]
    await claim(stage, campaign)
    await stage.look.execute("update campaign_contacts set status_reason = 'opted out' where id = $1", other.id)
    for status in statuses:
        await stage.look.execute("update campaigns set status = $2 where id = $1", campaign.id, status)

    for entry in (banned, other):
        await stage.look.execute(
            "update contacts set zone_key = $2, jurisdiction_key = $3 where id = $1",
            entry.contact.id,
            NEW_YORK["zone_key"],
            NEW_YORK["jurisdiction_key"],
        )

    assert (await reason_of(stage, banned.id))[0] == ("pending" if reopened else "skipped")
    assert await reason_of(stage, other.id) == ("skipped", "opted out")
    if not statuses:
        assert [call.phone for call in (await claim(stage, campaign)).calls] == [banned.contact.phone]


async def test_a_contact_that_a_claim_skips_while_its_rule_is_switched_off_is_pending_again(stage: Stage) -> None:
    campaign = await create_sales(stage)
    banned = await create_campaign_contact(stage.look, campaign, **SEATTLE)
    switching = await asyncpg.connect(stage.scratch.dsn)
    async with stage.dialing.for_organization(campaign.tenant.organization_id) as claiming:
        await batches.lock_campaign(claiming, campaign_id=campaign.id)
        await due_contacts.skip_contacts(claiming, ids=[banned.id], reason=f"{FORBIDDEN_BY}US-WA-BAN", now=NOW)
        switched = asyncio.create_task(switch_off(stage, campaign, "US-WA-BAN", switching))
        await until_one_waits(stage.look)
    await switched
    await switching.close()

    assert await reason_of(stage, banned.id) == ("pending", None)


async def test_a_place_whose_law_and_campaign_share_no_hour_is_skipped(stage: Stage) -> None:
    late = json.dumps({"every_day": [["21:00", "23:00"]]})
    campaign = await create_sales(stage, calling_hours=late)
    entry = await create_campaign_contact(stage.look, campaign, **PARIS)

    await claim(stage, campaign)

    reason = "the calling rules of its place allow no call within the campaign's calling hours"
    assert await reason_of(stage, entry.id) == ("skipped", reason)


async def test_the_cap_of_a_rule_defers_the_contact_until_its_period_has_passed(stage: Stage) -> None:
    stage.rules = book(rule("FR-CAP", "FR", cap={"count": 2, "period": "30d"}), FEDERAL)
    campaign = await create_sales(stage)
    entry = await create_campaign_contact(stage.look, campaign, **PARIS)
    earlier = await create_campaign(stage.look, campaign.tenant, status="paused")
    called = await create_campaign_contact(stage.look, earlier, entry.contact, status="completed")
    for number, days in enumerate((3, 20), start=1):
        await create_call(
            stage.look, called, attempt_number=number, status="ended", requested_at=NOW - timedelta(days=days)
        )

    assert (await claim(stage, campaign)).calls == []

    row = await stage.row("campaign_contacts", entry.id)
    assert row["status_reason"] == "limit of a calling rule: France allows 2 calls in 30 days"
    assert row["next_attempt_at"] == NOW + timedelta(days=10)
    stage.clock.set(NOW + timedelta(days=10))
    assert len((await claim(stage, campaign)).calls) == 1


async def test_the_decision_names_the_rules_and_the_pack_and_the_organization_keeps_a_copy(stage: Stage) -> None:
    campaign = await create_sales(stage)
    for columns in (FLORIDA_KEYS, NEW_YORK):
        await create_campaign_contact(stage.look, campaign, **columns)

    await claim(stage, campaign)

    decisions = [json.loads(call["decision"]) for call in await stage.rows("calls")]
    assert {each["jurisdiction_key"]: each["rule_ids"] for each in decisions} == {
        "US-FL": ["US-FL-CAP", "US-HOURS"],
        "US-NY": ["US-HOURS"],
    }
    assert {each["pack_date"] for each in decisions} == {"2026-03-01"}
    copies = await stage.look.fetch("select * from calling_rules order by rule_id")
    assert [(row["rule_id"], row["pack_date"], row["created_by"]) for row in copies] == [
        ("US-FL-CAP", "2026-03-01", "dialer"),
        ("US-HOURS", "2026-03-01", "dialer"),
    ]
    assert [parse_rule(json.loads(row["body"])) for row in copies] == [FLORIDA, FEDERAL]


async def test_a_copy_is_written_once_for_each_rule_and_again_after_a_claim_that_failed(stage: Stage) -> None:
    claimer = stage.claimer()
    campaign = await create_sales(stage)
    for _ in range(2):
        await create_campaign_contact(stage.look, campaign, **NEW_YORK)
    await stage.look.execute("alter table calls add constraint no_calls check (false) not valid")
    with pytest.raises(Exception, match="no_calls"):
        await claimer.claim(campaign.tenant.organization_id, campaign.id)
    await stage.look.execute("alter table calls drop constraint no_calls")
    assert await stage.rows("calling_rules") == []

    await claimer.claim(campaign.tenant.organization_id, campaign.id)

    assert [row["rule_id"] for row in await stage.rows("calling_rules")] == ["US-HOURS"]


@pytest.mark.parametrize("reason", list(_WAITING_FOR))
async def test_the_row_of_a_campaign_takes_each_reason_to_wait(stage: Stage, reason: WaitReason) -> None:
    campaign = await create_sales(stage)
    await stage.look.execute("update campaigns set waiting_for = $2 where id = $1", campaign.id, _WAITING_FOR[reason])


async def test_a_request_that_would_leave_outside_the_law_is_not_sent(stage: Stage) -> None:
    stage.rules = book(FRANCE)
    noon = datetime(2026, 3, 11, 11, 59, 48, tzinfo=UTC)  # 12 seconds before calls to France pause
    stage.clock.set(noon)
    campaign = await create_sales(stage)
    entry = await create_campaign_contact(stage.look, campaign, next_attempt_at=noon, **PARIS)
    dialer = stage.dialer()
    claimed = await dialer._claimer.claim(campaign.tenant.organization_id, campaign.id)
    assert isinstance(claimed, Claimed)
    stage.clock.set(
        noon + timedelta(seconds=4)
    )  # The process stood still: its deadline is far, but the call rings late.

    await dialer._place_and_settle(claimed.calls)

    assert stage.asked() == []
    assert (await stage.row("calls", claimed.calls[0].id))["status"] == "released"
    assert (await stage.row("campaign_contacts", entry.id))["attempts"] == 0


async def test_the_request_of_a_call_is_not_repeated_outside_the_law(stage: Stage) -> None:
    stage.rules = book(FRANCE)
    stage.clock.set(datetime(2026, 3, 11, 11, 59, tzinfo=UTC))  # 12:59 in Paris
    campaign = await create_sales(stage)
    entry = await create_campaign_contact(stage.look, campaign, next_attempt_at=stage.clock.now(), **PARIS)
    claimed = await claim(stage, campaign)
    await stage.change("calls", claimed.calls[0].id, status="unknown", next_check_at=stage.clock.now())
    dialer = stage.dialer()

    stage.clock.set(datetime(2026, 3, 11, 12, 1, tzinfo=UTC))
    await dialer.rescuer.run_once()
    assert stage.asked() == []
    assert (await stage.row("calls", claimed.calls[0].id))["requests"] == 1

    stage.clock.set(datetime(2026, 3, 11, 12, 48, tzinfo=UTC))
    await switch_off(stage, campaign, "FR-HOURS")
    await dialer.rescuer.run_once()
    assert [entry.idempotency_key for entry in stage.asked()] == [str(claimed.calls[0].id)]
    assert (await stage.row("campaign_contacts", entry.id))["status"] == "calling"


def test_the_shipped_pack_is_what_the_process_dials_by() -> None:
    from outdial.rules.organization import rules_in_use
    from outdial.rules.pack import shipped_rules

    used: RuleBook = rules_in_use(ignored=False)
    assert used is shipped_rules()
