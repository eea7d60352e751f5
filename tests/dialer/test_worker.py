"""One dialer among many: what it takes, when it looks again, and how it stops."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from outdial.clock import VirtualClock
from outdial.dialer.settle import BREAKER
from outdial.dialer.worker import MAX_DUE_CAMPAIGNS, MAX_FAILURES, Dialer
from outdial.provider import BeforeSending
from outdial.retell.client import RetellClient
from outdial.retell.simulator.faults import Fault, FaultKind
from outdial.retell.simulator.in_process import SimulatorTransport
from outdial.retell.simulator.script import ScriptStep
from outdial.retell.wire import RetellResponse
from tests.support.dialing import KEY, Stage
from tests.support.factories import (
    NOW,
    Campaign,
    create_campaign,
    create_campaign_contact,
    create_tenant,
)

# Far above what a test takes, far below the timeout of a request.
SOON_S = 15.0


class Standing(VirtualClock):
    """A clock that moves only by hand: requests leave at once."""

    async def sleep_until(self, moment: datetime) -> None:
        """Do not move."""
        await asyncio.sleep(0)


async def running(stage: Stage, size: int, account: dict[str, Any] | None = None, **columns: Any) -> Campaign:
    """Create an active campaign with due contacts."""
    tenant = await create_tenant(stage.look, **(account or {}))
    campaign = await create_campaign(stage.look, tenant, **columns)
    for _ in range(size):
        await create_campaign_contact(stage.look, campaign)
    return campaign


async def play(stage: Stage, *dialers: Dialer, minutes: int) -> None:
    """Let dialers and webhooks run for some simulated minutes."""
    end = stage.clock.now() + timedelta(minutes=minutes)
    applier = stage.applier()
    while stage.clock.now() < end:
        for dialer in dialers:
            await dialer.run_once()
            await dialer.settled()
            await dialer.rescuer.run_once()
        await stage.deliver()
        await applier.run_once()
        stage.clock.advance(timedelta(seconds=5))


async def test_a_campaign_runs_from_its_first_call_to_completed(stage: Stage) -> None:
    campaign = await running(stage, 12, {"calls_per_second": 2.0, "concurrency_limit": 4}, batch_size=3)
    await play(stage, stage.dialer(), minutes=20)
    assert (await stage.row("campaigns", campaign.id))["status"] == "completed"
    assert {row["status"] for row in await stage.rows("campaign_contacts")} == {"completed"}
    assert len(stage.asked()) == 12
    assert stage.workspace.peak_live <= 4
    assert stage.workspace.starts.peak <= 2


async def test_a_contact_that_does_not_answer_is_called_again_up_to_the_cap(stage: Stage) -> None:
    campaign = await running(
        stage, 1, {"daily_call_cap": 9}, max_attempts=3, retry_policy='{"no_answer": {"delays": ["1m"]}, "jitter": 0}'
    )
    [contact] = await stage.rows("campaign_contacts")
    stage.workspace.script(contact["phone"], [ScriptStep("dial_no_answer")])
    await play(stage, stage.dialer(), minutes=15)
    [contact] = await stage.rows("campaign_contacts")
    assert (contact["status"], contact["attempts"], contact["call_count"]) == ("failed", 3, 3)
    assert [row["attempt_number"] for row in await stage.rows("calls")] == [1, 2, 3]
    assert (await stage.row("campaigns", campaign.id))["status"] == "completed"


async def test_two_dialers_share_the_work_and_call_nobody_twice(stage: Stage) -> None:
    await running(stage, 30, batch_size=4)
    one, other = stage.dialer(), stage.dialer()
    for _ in range(10):
        await asyncio.gather(one.run_once(), other.run_once())
        await asyncio.gather(one.settled(), other.settled())
        stage.clock.advance(timedelta(seconds=2))
        await stage.deliver()
    await play(stage, one, other, minutes=10)
    asked = [entry.to_number for entry in stage.asked()]
    assert len(asked) == len(set(asked)) == 30


async def test_a_dialer_looks_again_when_the_next_batch_is_due_and_not_later(stage: Stage) -> None:
    stage.clock = Standing(NOW)
    campaign = await running(stage, 40, {"calls_per_second": 20.0, "concurrency_limit": 100}, batch_size=15)
    dialer = stage.dialer()
    assert await dialer.run_once() == 15
    next_batch_at = (await stage.row("campaigns", campaign.id))["next_batch_at"]
    assert NOW < next_batch_at < NOW + timedelta(seconds=1)
    assert dialer.pause() == next_batch_at - NOW
    stage.clock.set(next_batch_at)
    assert dialer.pause() == timedelta()
    assert await dialer.run_once() > 0
    assert timedelta() < dialer.pause() < timedelta(seconds=1)
    await dialer.settled()


async def test_an_idle_dialer_looks_again_after_the_poll_interval(stage: Stage) -> None:
    campaign, dialer = await running(stage, 0), stage.dialer()
    assert await dialer.run_once() == 0
    assert dialer.pause() == stage.settings.poll_interval
    assert (await stage.row("campaigns", campaign.id))["status"] == "completed"
    assert await dialer.run_once() == 0
    assert dialer.pause() == stage.settings.poll_interval


async def test_what_another_dialer_has_taken_over_does_not_keep_this_one_awake(stage: Stage) -> None:
    campaign, dialer = await running(stage, 1, next_batch_at=NOW), stage.dialer()
    await dialer.run_once()
    await dialer.settled()
    stage.clock.advance(timedelta(minutes=1))
    await stage.change("campaigns", campaign.id, next_batch_at=stage.clock.now() + timedelta(hours=1))
    await dialer.run_once()
    assert dialer.pause() == stage.settings.poll_interval


async def test_a_campaign_that_a_notification_names_is_looked_at_before_its_time(stage: Stage) -> None:
    campaign, dialer = await running(stage, 1, next_batch_at=NOW + timedelta(hours=1)), stage.dialer()
    assert await dialer.run_once() == 0
    dialer.wake_for(str(campaign.id))
    assert await dialer.run_once() == 1
    await dialer.settled()


async def test_a_wake_up_is_not_lost_when_the_database_is_away(stage: Stage) -> None:
    campaign, dialer = await running(stage, 1, next_batch_at=NOW + timedelta(hours=1)), stage.dialer()
    await dialer.run_once()
    dialer.wake_for(str(campaign.id))
    await stage.look.execute("revoke execute on function private.campaigns_in_turn from outdial_dialer")
    with pytest.raises(Exception, match="permission denied"):
        await dialer.run_once()
    await stage.look.execute("grant execute on function private.campaigns_in_turn to outdial_dialer")
    assert await dialer.run_once() == 1
    await dialer.settled()


UNREADABLE = '{"funday": []}'


async def test_a_campaign_that_fails_is_set_back_with_growing_pauses_and_logged_once_each_time(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.clock = Standing(NOW)
    campaign, dialer = await running(stage, 1, next_batch_at=NOW), stage.dialer()
    await stage.change("campaigns", campaign.id, calling_hours=UNREADABLE)
    for attempt, pause in enumerate((2, 4, 8, 16), start=1):
        for _ in range(3):
            assert await dialer.run_once() == 0
        assert (await stage.row("campaigns", campaign.id))["next_batch_at"] == stage.clock.now() + timedelta(
            seconds=pause
        )
        assert caplog.text.count("dialer.campaign_failed") == attempt
        stage.clock.advance(timedelta(seconds=pause))
    await stage.change("campaigns", campaign.id, calling_hours='{"every_day": [["00:00", "24:00"]]}')
    assert await dialer.run_once() == 1
    await dialer.settled()


async def test_a_campaign_that_fails_is_not_set_back_once_it_has_another_due_time(stage: Stage) -> None:
    later = NOW + timedelta(hours=1)
    campaign, dialer = await running(stage, 1, next_batch_at=later), stage.dialer()
    await stage.change("campaigns", campaign.id, calling_hours=UNREADABLE)
    dialer.wake_for(str(campaign.id))
    assert await dialer.run_once() == 0
    assert (await stage.row("campaigns", campaign.id))["next_batch_at"] == later


async def test_failing_campaigns_of_one_organization_do_not_keep_another_from_dialing(stage: Stage) -> None:
    broken = await running(stage, 0, {"credential": "broken"}, status="draft", next_batch_at=None)
    for _ in range(4 * MAX_DUE_CAMPAIGNS):
        early = NOW - timedelta(hours=1)
        campaign = await create_campaign(stage.look, broken.tenant, next_batch_at=early)
        await stage.change("campaigns", campaign.id, calling_hours=UNREADABLE)
        await create_campaign_contact(stage.look, campaign)
    await running(stage, 3)
    dialer = stage.dialer()

    assert await dialer.run_once() == 3
    await dialer.settled()
    # One round with calls, and one that finds none.
    assert sum(row["failures"] for row in await stage.rows("campaigns")) == 2 * MAX_FAILURES


async def test_a_failing_campaign_shows_it_until_it_works_again(stage: Stage) -> None:
    stage.clock = Standing(NOW)
    campaign, dialer = await running(stage, 1, next_batch_at=NOW), stage.dialer()
    await stage.change("campaigns", campaign.id, calling_hours=UNREADABLE)
    await dialer.run_once()
    row = await stage.row("campaigns", campaign.id)
    assert (row["failures"], row["failing_reason"][:20]) == (1, "unknown key 'funday'")

    # Another dialer goes on with the pauses of the first.
    stage.clock.advance(timedelta(seconds=2))
    await stage.dialer().run_once()
    row = await stage.row("campaigns", campaign.id)
    assert (row["failures"], row["next_batch_at"]) == (2, stage.clock.now() + timedelta(seconds=4))

    await stage.change("campaigns", campaign.id, calling_hours='{"every_day": [["00:00", "24:00"]]}')
    stage.clock.advance(timedelta(seconds=4))
    assert await dialer.run_once() == 1
    await dialer.settled()
    row = await stage.row("campaigns", campaign.id)
    assert (row["failures"], row["failing_reason"]) == (0, None)


class HangingTransport(SimulatorTransport):
    """A provider that does not respond to `operation` until it is opened, for the phone in the body if one is given."""

    def __init__(self, stage: Stage, operation: str, phone: str) -> None:
        super().__init__(stage.workspace, stage.clock.now, KEY)
        self.operation, self.phone = operation, phone
        self.held = 0
        self.arrived, self.opened = asyncio.Event(), asyncio.Event()

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        timeout_s: float,
        before_sending: BeforeSending | None = None,
    ) -> RetellResponse:
        if self.operation in path and self.phone.encode() in (body or b""):
            if before_sending is not None:
                await before_sending()
                before_sending = None
            self.held += 1
            self.arrived.set()
            await self.opened.wait()
        return await super().send(method, path, body, timeout_s, before_sending)


def hanging(stage: Stage, operation: str, phone: str = "") -> HangingTransport:
    """Let `operation` hang until the transport is opened."""
    transport = HangingTransport(stage, operation, phone)
    stage.clients["default"] = RetellClient(transport)
    return transport


async def test_a_response_that_hangs_does_not_hold_up_those_of_its_batch(stage: Stage) -> None:
    await running(stage, 4)
    unlucky = min(row["phone"] for row in await stage.rows("contacts"))
    transport, dialer = hanging(stage, "create-phone-call", unlucky), stage.dialer()
    assert await dialer.run_once() == 4
    async with asyncio.timeout(SOON_S):
        while sum(row["status"] == "placed" for row in await stage.rows("calls")) < 3:  # noqa: ASYNC110 - rows change
            await asyncio.sleep(0.05)
    assert [row["status"] for row in await stage.rows("calls") if row["phone"] == unlucky] == ["placing"]
    transport.opened.set()
    await dialer.settled()
    assert {row["status"] for row in await stage.rows("calls")} == {"placed"}


async def test_a_settlement_that_fails_does_not_end_those_of_later_responses(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await running(stage, 4)
    late = min(row["phone"] for row in await stage.rows("contacts"))
    transport, dialer = hanging(stage, "create-phone-call", late), stage.dialer()
    await stage.look.execute("alter table calls add constraint fault check (status <> 'placed')")
    assert await dialer.run_once() == 4
    async with asyncio.timeout(SOON_S):
        while "dialer.settle_failed" not in caplog.text:  # noqa: ASYNC110 - the log has no event
            await asyncio.sleep(0.05)
    await stage.look.execute("alter table calls drop constraint fault")
    settled = asyncio.create_task(dialer.settled())
    await asyncio.sleep(0)
    assert not settled.done()
    transport.opened.set()
    await settled
    assert {row["phone"]: row["status"] for row in await stage.rows("calls")}[late] == "placed"


async def test_the_responses_to_one_claim_count_together_however_they_come(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outdial.dialer.place.GROUP_S", 0.0)
    campaign, dialer = await running(stage, BREAKER, batch_size=BREAKER), stage.dialer()
    stage.workspace.faults.replace([Fault(kind=FaultKind.refuse, status=400)])
    assert await dialer.run_once() == BREAKER
    await dialer.settled()
    assert (await stage.row("campaigns", campaign.id))["status"] == "pausing"


async def test_ending_calls_at_a_provider_that_hangs_keeps_no_one_from_dialing(stage: Stage) -> None:
    campaign = await running(stage, 2)
    dialer = stage.dialer()
    await dialer.run_once()
    await dialer.settled()
    transport = hanging(stage, "stop-call")
    await stage.change("campaigns", campaign.id, status="cancelling", hang_up=True, next_batch_at=NOW)
    other = await create_campaign(stage.look, campaign.tenant)
    await create_campaign_contact(stage.look, other)

    async with asyncio.timeout(SOON_S):
        assert await dialer.run_once() == 1
        await transport.arrived.wait()
        stage.clock.advance(timedelta(seconds=2))
        # A second attempt does not begin before the first one has ended.
        await dialer.run_once()
    assert transport.held == 2
    transport.opened.set()
    await dialer.settled()
    assert len(stage.asked("stop-call")) == 2


async def test_a_limit_of_zero_at_the_provider_ends_when_it_is_raised(stage: Stage) -> None:
    campaign, dialer = await running(stage, 2), stage.dialer()
    await stage.change("provider_accounts", campaign.tenant.provider_account_id, provider_limit=0)
    # Retell reports its limit of 1000 again within a minute, although no call can be placed meanwhile.
    for _ in range(4):
        await dialer.run_once()
        await dialer.settled()
        stage.clock.advance(timedelta(seconds=1))
    assert len(stage.asked()) == 2
    assert [row["provider_limit"] for row in await stage.rows("provider_accounts")] == [1000]


async def test_stop_claims_no_more_and_lets_the_requests_under_way_come_home(stage: Stage) -> None:
    await running(stage, 3)
    dialer = stage.dialer()
    stage.gate.shut()
    await dialer.run_once()
    await stage.gate.arrived.wait()
    stopping = asyncio.create_task(dialer.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    stage.gate.opened.set()
    await stopping
    assert {row["status"] for row in await stage.rows("calls")} == {"placed"}
    assert await dialer.run_once() == 0


async def test_the_limit_that_retell_reports_bounds_the_next_claim(stage: Stage) -> None:
    campaign = await running(stage, 1, {"concurrency_limit": 5000})
    dialer = stage.dialer()
    await dialer.run_once()
    await dialer.settled()
    assert (await stage.rows("provider_accounts"))[0]["provider_limit"] == 1000
    assert len(stage.asked("get-concurrency")) == 1
    stage.clock.advance(timedelta(seconds=61))
    await create_campaign_contact(stage.look, campaign)
    await dialer.run_once()
    await dialer.settled()
    assert len(stage.asked("get-concurrency")) == 2


async def test_a_scheduled_campaign_starts_when_its_time_has_come_and_not_before(stage: Stage) -> None:
    at = NOW + timedelta(hours=1)
    campaign = await running(stage, 1, status="scheduled", scheduled_at=at, next_batch_at=None)
    dialer = stage.dialer()
    assert await dialer.scheduler.run_once() == 0
    stage.clock.set(at)
    assert await dialer.scheduler.run_once() == 1
    assert await dialer.scheduler.run_once() == 0
    row = await stage.row("campaigns", campaign.id)
    assert (row["status"], row["started_at"], row["next_batch_at"]) == ("active", at, at)
    [entry] = await stage.rows("audit_log")
    assert (entry["actor"], entry["action"], entry["subject_id"]) == ("dialer", "start_campaign", str(campaign.id))
    assert await dialer.run_once() == 1
    await dialer.settled()


async def test_two_schedulers_start_a_campaign_once(stage: Stage) -> None:
    await running(stage, 1, status="scheduled", scheduled_at=NOW, next_batch_at=None)
    started = await asyncio.gather(stage.dialer().scheduler.run_once(), stage.dialer().scheduler.run_once())
    assert sum(started) == 1
    assert len(await stage.rows("audit_log")) == 1
