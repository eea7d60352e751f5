"""Opt-outs reach Retell's own list, come back from it, and do not echo."""

from datetime import timedelta
from typing import Any

from outdial.db.queries import do_not_call
from outdial.db.queries.auth import provider_keys
from outdial.db.queries.compliance import opt_outs
from outdial.dialer.opt_outs import LONGEST_DELAY, READ_EVERY, SEND_BATCH, OptOutReader, OptOutRestarter, OptOutSender
from outdial.provider import OptOutsListed, OptOutStored, ProviderUnavailable
from outdial.retell.client import RetellClient
from outdial.retell.simulator.faults import Fault, FaultKind
from outdial.retell.simulator.in_process import SimulatorTransport
from outdial.retell.simulator.script import ScriptStep
from outdial.retell.simulator.workspace import SimulatedWorkspace
from tests.support.dialing import KEY, Stage
from tests.support.factories import (
    NOW,
    Tenant,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_provider_account,
    create_tenant,
)

PHONE = "+12125550142"
WORKSPACE_SETTLES = timedelta(minutes=5)
"""How long a dialer may use a former key."""


async def block(stage: Stage, tenant: Tenant, *phones: str, purpose: str = "any") -> None:
    await do_not_call.block_phones(
        stage.look,
        organization_id=tenant.organization_id,
        phones=list(phones),
        purpose=purpose,
        source="manual",
        reason=None,
        now=stage.clock.now(),
    )


async def unblock(stage: Stage, tenant: Tenant, *phones: str) -> None:
    await do_not_call.unblock_phones(
        stage.look, organization_id=tenant.organization_id, phones=list(phones), purpose=None
    )


async def send(stage: Stage) -> int:
    return await OptOutSender(stage.dialing, stage.provider, stage.clock).run_once()


async def restart(stage: Stage, batch: int = 1) -> int:
    return await OptOutRestarter(stage.dialing, batch).run_once()


async def read(stage: Stage) -> int:
    return await OptOutReader(stage.dialing, stage.provider, stage.clock).run_once()


async def listed(stage: Stage) -> list[str]:
    return [row["phone"] for row in await stage.look.fetch("select phone from do_not_call order by phone")]


async def syncs(stage: Stage) -> list[dict[str, Any]]:
    return [dict(row) for row in await stage.look.fetch("select * from opt_out_syncs order by phone")]


def at_retell(stage: Stage, phone: str = PHONE) -> bool:
    return stage.workspace.contacts.is_opted_out(phone)


async def test_an_opt_out_is_sent_until_retell_confirms_it(stage: Stage) -> None:
    await block(stage, await create_tenant(stage.look), PHONE)
    stage.workspace.faults.replace([Fault(kind=FaultKind.refuse, operation=None, times=3)])
    waits = list[float]()
    for _ in range(60):
        before = stage.clock.now()
        if await send(stage):
            waits.append((before - NOW).total_seconds())
        stage.clock.advance(timedelta(seconds=10))
    assert at_retell(stage)
    assert waits == [0, 30, 90, 210]
    [sync] = await syncs(stage)
    assert (sync["next_try_at"], sync["is_ours"], sync["tries"], sync["error"]) == (None, True, 4, None)
    assert sync["confirmed_at"] is not None


async def test_the_delays_grow_to_hours_and_never_end(stage: Stage) -> None:
    await block(stage, await create_tenant(stage.look), PHONE)
    stage.workspace.faults.replace([Fault(kind=FaultKind.refuse, operation=None, status=500)])
    tries = 0
    for _ in range(40):
        tries += await send(stage)
        stage.clock.advance(LONGEST_DELAY)
    [sync] = await syncs(stage)
    assert tries == 40
    assert (sync["next_try_at"] is not None, sync["error"][:8]) == (True, "HTTP 500")


async def test_an_opt_out_of_one_purpose_stays_ours(stage: Stage) -> None:
    await block(stage, await create_tenant(stage.look), PHONE, purpose="sales")
    assert (await syncs(stage), await send(stage)) == ([], 0)


async def test_every_account_is_told_and_a_later_one_as_well(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    await create_provider_account(stage.look, tenant.organization_id, credential="second")
    await block(stage, tenant, PHONE)
    await create_provider_account(stage.look, tenant.organization_id, credential="third")
    await create_tenant(stage.look, credential="of_others")
    accounts = await stage.look.fetch(
        "select a.credential from opt_out_syncs s join provider_accounts a on a.id = s.provider_account_id"
    )
    assert {row["credential"] for row in accounts} == {"default", "second", "third"}
    assert await send(stage) == 3
    waiting = [sync["error"] for sync in await syncs(stage) if sync["next_try_at"] is not None]
    assert len(waiting) == 2
    assert all("no API key" in error for error in waiting)


async def test_a_run_is_bounded_and_stops_for_an_account_that_asks_for_less(stage: Stage) -> None:
    phones = [f"+1212555{n:04}" for n in range(50)]
    await block(stage, await create_tenant(stage.look), *phones)
    assert await send(stage) == SEND_BATCH
    assert sum(stage.workspace.contacts.is_opted_out(phone) for phone in phones) == SEND_BATCH
    stage.workspace.faults.replace([Fault(kind=FaultKind.refuse, operation=None, status=429, retry_after_s=600.0)])
    asked = stage.workspace.ledger.written
    await send(stage)
    assert stage.workspace.ledger.written - asked <= 4, "the others are not even tried"
    stage.workspace.faults.replace([])
    for _ in range(3):
        await send(stage)
    stage.clock.advance(timedelta(seconds=599))
    await send(stage)
    assert sum(stage.workspace.contacts.is_opted_out(phone) for phone in phones) < 50
    stage.clock.advance(timedelta(seconds=2))
    await send(stage)
    assert all(stage.workspace.contacts.is_opted_out(phone) for phone in phones)


async def test_an_opt_out_at_retell_is_read_for_contacts_only_and_is_no_echo(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    await create_contact(stage.look, tenant.organization_id, phone=PHONE)
    stage.workspace.contacts.opt_out(PHONE, 0)
    stage.workspace.contacts.opt_out("+12125550199", 0)  # no contact of the organization
    assert await read(stage) == 1
    assert await listed(stage) == [PHONE]
    [row] = await stage.look.fetch("select source, purpose, reason from do_not_call")
    assert tuple(row) == ("provider", "any", "on the do-not-call list of Retell")
    writes = len(stage.asked("update-contact")) + len(stage.asked("create-contact"))
    await send(stage)
    assert len(stage.asked("update-contact")) + len(stage.asked("create-contact")) == writes
    [sync] = await syncs(stage)
    assert (sync["next_try_at"], sync["is_ours"]) == (None, False)
    stage.clock.advance(READ_EVERY)
    assert await read(stage) == 0


async def test_the_list_is_read_now_and_then_by_one_dialer(stage: Stage) -> None:
    await create_tenant(stage.look)
    assert [await read(stage), await read(stage)] == [0, 0]
    assert len(stage.asked("list-contacts")) == 1
    stage.clock.advance(READ_EVERY)
    await read(stage)
    assert len(stage.asked("list-contacts")) == 2
    stage.workspace.faults.replace([Fault(kind=FaultKind.refuse, operation="list-contacts")])
    stage.clock.advance(READ_EVERY)
    await read(stage)
    [row] = await stage.look.fetch("select page, error, read_at from opt_out_reads")
    assert (row["page"], row["error"][:8]) == (None, "HTTP 503")
    assert row["read_at"] is not None


async def test_a_long_list_is_read_to_its_end(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    phones = [f"+1212555{n:04}" for n in range(250)]
    for phone in phones:
        await create_contact(stage.look, tenant.organization_id, phone=phone)
        stage.workspace.contacts.opt_out(phone, 0)
    assert await read(stage) == 250
    assert (len(stage.asked("list-contacts")), await listed(stage)) == (3, phones)


async def test_a_list_that_repeats_its_pages_ends(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)

    class Circle:
        asked = 0

        def has_account(self, credential: str) -> bool:
            return True

        async def set_opt_out(self, credential: str, phone: str, *, do_not_call: bool) -> OptOutStored:
            raise NotImplementedError

        async def list_opt_outs(self, credential: str, page: str | None) -> OptOutsListed | ProviderUnavailable:
            self.asked += 1
            return OptOutsListed((PHONE,), "again")

    circle = Circle()
    await create_contact(stage.look, tenant.organization_id, phone=PHONE)
    assert await OptOutReader(stage.dialing, circle, stage.clock).run_once() == 1
    assert circle.asked == 2
    [row] = await stage.look.fetch("select error from opt_out_reads")
    assert row["error"] == "the provider's list repeats its pages"


async def test_a_phone_that_is_taken_off_our_list_is_taken_off_retells(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    await create_contact(stage.look, tenant.organization_id, phone=PHONE)
    await block(stage, tenant, PHONE)
    await send(stage)
    await unblock(stage, tenant, PHONE)
    # Retell still has what we told it: that is an echo, not an opt-out.
    assert (at_retell(stage), await read(stage), await listed(stage)) == (True, 0, [])
    stage.clock.advance(timedelta(days=1))
    await send(stage)
    assert not at_retell(stage)
    # A later opt-out at Retell is a new one.
    stage.clock.advance(READ_EVERY)
    stage.workspace.contacts.opt_out(PHONE, 0)
    assert (await read(stage), await listed(stage)) == (1, [PHONE])


async def test_what_retell_has_put_on_its_list_itself_stays_there(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    await create_contact(stage.look, tenant.organization_id, phone=PHONE)
    stage.workspace.contacts.opt_out(PHONE, 0)
    await read(stage)
    await send(stage)
    await unblock(stage, tenant, PHONE)
    stage.clock.advance(READ_EVERY)
    assert (await send(stage), await read(stage), at_retell(stage)) == (0, 0, True)


async def begin_workspace(stage: Stage, tenant: Tenant, name: str) -> list[str]:
    """Report a key of a workspace, as a dialer that has it in its environment."""
    return await provider_keys.report_environment_keys(
        stage.look,
        credentials=[tenant.credential],
        workspace_ids=[f"org_{name}"],
        workspace_names=[name],
        fingerprints=[f"key of {name}"],
        now=stage.clock.now(),
    )


async def test_a_new_workspace_of_an_account_learns_of_the_opt_outs_and_its_own_list_is_read(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    await begin_workspace(stage, tenant, "Sales")
    taken_off, own, kept_there = "+12125550143", "+12125550144", "+12125550146"
    await create_contact(stage.look, tenant.organization_id, phone=own)
    stage.workspace.contacts.opt_out(kept_there, 0)
    await block(stage, tenant, PHONE, taken_off, kept_there)
    assert (await send(stage), await read(stage)) == (3, 0)
    # The former workspace keeps this number on its list, where Outdial has not put it.
    await unblock(stage, tenant, taken_off, kept_there)
    await begin_workspace(stage, tenant, "Sales")
    assert await restart(stage) == 0
    assert {sync["confirmed_at"] for sync in await syncs(stage)} == {NOW}, "the workspace is the same"

    stage.clock.advance(timedelta(minutes=1))
    await begin_workspace(stage, tenant, "Support")
    former, stage.workspace = stage.workspace, SimulatedWorkspace(stage.workspace.config)
    for phone in (own, taken_off):
        stage.workspace.contacts.opt_out(phone, 0)
    # For minutes, a dialer may use the former key.
    late = "+12125550145"
    await block(stage, tenant, late)
    assert (await send(stage), await read(stage)) == (0, 0)
    stage.clock.advance(WORKSPACE_SETTLES)
    # The withdrawn one is due, and would take a number off the list of the new workspace.
    assert (await send(stage), await read(stage)) == (0, 0), "they have not begun again"
    async with stage.as_service() as connection:
        status = await opt_outs.opt_out_status(connection, organization_id=tenant.organization_id)
    assert status.waiting == 4
    assert await restart(stage) == 3
    assert await restart(stage) == 0
    stage.clients["default"] = RetellClient(SimulatorTransport(stage.workspace, stage.clock.now, KEY))
    assert (await send(stage), await read(stage)) == (2, 1)
    assert [at_retell(stage, phone) for phone in (PHONE, late, taken_off, kept_there)] == [True, True, True, False]
    assert await listed(stage) == [PHONE, own, late]
    assert {(sync["next_try_at"], sync["confirmed_at"]) for sync in await syncs(stage)} >= {(None, stage.clock.now())}
    # What Outdial has put on the list of the new workspace is taken off it again.
    await unblock(stage, tenant, PHONE)
    await send(stage)
    assert (at_retell(stage), former.contacts.is_opted_out(PHONE)) == (False, True)


async def test_an_opt_out_that_the_former_workspace_confirms_after_the_change_is_sent_again(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    await begin_workspace(stage, tenant, "Sales")
    await block(stage, tenant, PHONE)
    stage.clock.advance(WORKSPACE_SETTLES)

    class Changing:
        """The key changes while the former workspace is asked."""

        def has_account(self, credential: str) -> bool:
            return True

        async def set_opt_out(self, credential: str, phone: str, *, do_not_call: bool) -> OptOutStored:
            await begin_workspace(stage, tenant, "Support")
            return OptOutStored(is_new=True)

        async def list_opt_outs(self, credential: str, page: str | None) -> OptOutsListed | ProviderUnavailable:
            raise NotImplementedError

    await OptOutSender(stage.dialing, Changing(), stage.clock).run_once()
    assert await restart(stage) == 1
    [sync] = await syncs(stage)
    assert (sync["confirmed_at"], sync["next_try_at"]) == (None, stage.clock.now() + WORKSPACE_SETTLES)


async def test_opt_outs_begin_again_in_portions_and_none_is_taken_before_its_turn(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    await begin_workspace(stage, tenant, "Sales")
    await block(stage, tenant, *(f"+1212555{number}" for number in range(1000, 1045)))
    await stage.look.execute("update opt_out_syncs set next_try_at = null, confirmed_at = $1, tries = 1", NOW)
    stage.clock.advance(timedelta(minutes=20))
    await begin_workspace(stage, tenant, "Support")
    assert (await syncs(stage))[0]["confirmed_at"] == NOW, "who enters the key does not wait for that"
    # A dialer that has found one due before the key has changed does not take it.
    await stage.look.execute("update opt_out_syncs set next_try_at = $1 where phone = '+12125551044'", NOW)
    async with stage.dialing.for_organization(tenant.organization_id) as connection:
        assert not await opt_outs.take_opt_out(
            connection,
            provider_account_id=tenant.provider_account_id,
            phone="+12125551044",
            now=stage.clock.now(),
            next_try_at=stage.clock.now(),
        )
    assert await restart(stage, batch=2) == 40, "at most 20 portions in a run"
    assert await restart(stage, batch=2) == 5
    assert not await stage.look.fetchval("select count(*) from opt_out_restarts")
    assert {(sync["confirmed_at"], sync["next_try_at"]) for sync in await syncs(stage)} == {
        (None, stage.clock.now() + WORKSPACE_SETTLES)
    }


async def test_dialers_with_keys_of_two_workspaces_are_noticed_and_do_not_restart_the_opt_outs_over_and_over(
    stage: Stage,
) -> None:
    tenant = await create_tenant(stage.look)

    async def reports(*names: str) -> list[list[str]]:
        stage.clock.advance(timedelta(minutes=2))
        return [await begin_workspace(stage, tenant, name) for name in names]

    await begin_workspace(stage, tenant, "Sales")
    await block(stage, tenant, PHONE)
    assert (await send(stage), await restart(stage)) == (1, 0)
    assert await reports("Support") == [[]], "the key may have changed"
    assert await restart(stage) == 1

    for _ in range(4):  # Both report on. Their opt-outs are sent, although the workspace has just changed.
        assert await reports("Sales", "Support") == [["default"], ["default"]]
        assert await restart(stage) == 0
    assert await send(stage) == 1
    assert (await syncs(stage))[0]["confirmed_at"] == stage.clock.now()
    since = (await stage.row("provider_accounts", tenant.provider_account_id))["keys_differ_since"]
    assert since == NOW + timedelta(minutes=4)
    withdrawn = "+12125550147"
    await block(stage, tenant, withdrawn)
    assert await send(stage) == 1
    await unblock(stage, tenant, withdrawn)
    assert await send(stage) == 0, "the other workspace may have the number for a reason of its own"

    # The dialer with the other key is gone. What is left gets all opt-outs, once.
    for _ in range(7):
        assert await reports("Support") == [["default"]]
    assert await reports("Support") == [[]]
    assert await restart(stage) == 2
    assert [row["phone"] for row in await syncs(stage)] == [PHONE]
    assert await reports("Support") == [[]]
    assert await restart(stage) == 0


async def test_an_opt_out_that_is_withdrawn_while_it_is_sent_is_not_confirmed(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    await block(stage, tenant, PHONE)

    class Slow:
        def has_account(self, credential: str) -> bool:
            return True

        async def set_opt_out(self, credential: str, phone: str, *, do_not_call: bool) -> OptOutStored:
            await unblock(stage, tenant, phone)
            return OptOutStored(is_new=True)

        async def list_opt_outs(self, credential: str, page: str | None) -> OptOutsListed | ProviderUnavailable:
            raise NotImplementedError

    await OptOutSender(stage.dialing, Slow(), stage.clock).run_once()
    assert await syncs(stage) == []


async def test_a_call_that_retells_list_forbids_skips_the_contact_and_is_listed_here(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry = await create_campaign_contact(stage.look, campaign)
    stage.workspace.contacts.opt_out(entry.contact.phone, 0)
    dialer = stage.dialer()
    await dialer.run_once()
    await dialer.settled()
    contact = await stage.row("campaign_contacts", entry.id)
    assert (contact["status"], contact["attempts"]) == ("skipped", 0)
    assert contact["status_reason"].startswith("do_not_call: ")
    [call] = await stage.rows("calls")
    assert (call["status"], await listed(stage)) == ("refused", [entry.contact.phone])
    assert (await stage.row("campaigns", campaign.id))["status"] == "active"


async def test_a_contact_who_asks_during_a_call_is_on_both_lists(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry = await create_campaign_contact(stage.look, campaign)
    stage.workspace.script(entry.contact.phone, [ScriptStep("user_requested_dnc")])
    dialer = stage.dialer()
    await dialer.run_once()
    await dialer.settled()
    stage.clock.advance(timedelta(hours=1))
    await stage.deliver()
    assert await listed(stage) == [entry.contact.phone]
    assert at_retell(stage, entry.contact.phone)
    await send(stage)
    [sync] = await syncs(stage)
    assert (sync["next_try_at"], sync["is_ours"]) == (None, False)


async def test_the_status_counts_what_has_not_arrived(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    await block(stage, tenant, PHONE, "+12125550143")
    stage.clients["default"] = RetellClient(stage.gate)
    stage.workspace.faults.replace([Fault(kind=FaultKind.refuse, operation=None, status=401)])
    await send(stage)
    status = await opt_outs.opt_out_status(stage.look, organization_id=tenant.organization_id)
    assert (status.waiting, status.read_at) == (2, None)
    assert status.error is not None
    assert status.error.startswith("HTTP 401")
