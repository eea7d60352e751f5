"""Keys that members enter: encrypted for one account, followed by dialers and the receiver without a restart."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast
from uuid import uuid4

import asyncpg
import pytest

from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.operations.hang_up import HangingUp, OutOfReach, hang_up
from outdial.dialer.finish import Finisher
from outdial.dialer.hang_ups.task import RETRY_DELAY, UNREACHED_DELAY, HangUps
from outdial.dialer.keys.reloading import KeyReloader
from outdial.dialer.keys.reporting import EnvironmentKeyReporter
from outdial.dialer.worker import Dialer
from outdial.inbox.errors import EventNotStored
from outdial.inbox.receive import RejectedEvent, StoredEvent, WebhookReceiver
from outdial.provider import KeyAccepted, KeyRefused, ProviderUnavailable
from outdial.provider_keys import entering
from outdial.provider_keys.cache import KeyCache, KeyReader
from outdial.provider_keys.entering import FORMER_ACCEPTED_FOR, AcceptedKey, KeyEntry
from outdial.provider_keys.errors import InvalidKey, KeyInEnvironment, KeyUntested, ProviderKeysError, WorkspaceTaken
from outdial.provider_keys.sealing import KeySealer
from outdial.retell import signature
from outdial.retell.client import RetellClient
from outdial.retell.clients import CLOSED_AFTER, RetellClients
from outdial.retell.events import RetellEventReader
from outdial.retell.provider import RetellProvider
from outdial.retell.simulator.faults import Fault, FaultKind
from outdial.retell.simulator.in_process import SimulatorTransport
from outdial.retell.webhooks import RetellWebhooks
from tests.support.dialing import CHECK_AFTER, KEY, Stage, epoch_ms, event_body
from tests.support.factories import (
    ENCRYPTION_SECRETS,
    NOW,
    Tenant,
    create_campaign,
    create_campaign_contact,
    create_tenant,
)
from tests.support.postgres import Scratch
from tests.support.studio import FakeKeyTester

SEALER = KeySealer(ENCRYPTION_SECRETS)
WORKSPACE_SWITCH = timedelta(minutes=5)
"""How long dialers may use a former key."""
FIRST, SECOND = "key_good_first_0001", "key_good_second_0002"


def entry_of(tenant: Tenant, *, ends_former: bool = False) -> KeyEntry:
    return KeyEntry(
        organization_id=tenant.organization_id,
        provider_account_id=tenant.provider_account_id,
        entered_by="ada@example.com",
        ends_former=ends_former,
    )


async def enter(stage: Stage, tenant: Tenant, api_key: str, *, ends_former: bool = False) -> None:
    """Store a key as the studio does after its test."""
    now = stage.clock.now()
    key = AcceptedKey(api_key=api_key, workspace=KeyAccepted("Sales", f"org_{tenant.credential}"), tested_at=now)
    async with stage.as_service() as connection:
        await entering.store_key(connection, SEALER, key, entry_of(tenant, ends_former=ends_former), now)


async def end(stage: Stage, tenant: Tenant, *, at_once: bool = False) -> bool:
    async with stage.as_service() as connection:
        return await entering.end_key(
            connection,
            organization_id=tenant.organization_id,
            provider_account_id=tenant.provider_account_id,
            ends_former=at_once,
            now=stage.clock.now(),
        )


class KeyedDialer:
    """A dialer without keys in its environment but `environment`, and the simulator accepting each key."""

    def __init__(self, stage: Stage, environment: dict[str, str] | None = None) -> None:
        stage.workspace.config = replace(stage.workspace.config, api_keys=(KEY, FIRST, SECOND))
        self.connected: list[str] = []
        self._stage = stage
        self.clients = RetellClients(environment or {}, self._connect)
        provider = RetellProvider(self.clients)
        cache = KeyCache(stage.dialing, SEALER, stage.clock, reader=KeyReader.DIALER)
        self.keys = KeyReloader(stage.dialing, cache, self.clients, stage.clock)
        self.dialer = Dialer(stage.dialing, provider, stage.clock, stage.settings, rules=stage.rules, hook=stage.hook)

    def _connect(self, api_key: str) -> RetellClient:
        self.connected.append(api_key)
        return RetellClient(SimulatorTransport(self._stage.workspace, self._stage.clock.now, api_key))

    async def run(self) -> None:
        await self.dialer.run_once()
        await self.dialer.settled()


def receiver_of(stage: Stage, environment: dict[str, list[str]] | None = None) -> WebhookReceiver:
    """Return a receiver as the webhook function builds it with stored keys."""
    cache = KeyCache(stage.webhook, SEALER, stage.clock, reader=KeyReader.WEBHOOKS)
    return WebhookReceiver(
        stage.webhook,
        RetellWebhooks(environment or {}, stored=cache),
        RetellEventReader(),
        stage.clock,
        check_after=CHECK_AFTER,
        keys=cache,
    )


bodies: Iterator[bytes] = (event_body("call_started", f"call_{number}") for number in range(1, 10_000))


async def is_accepted(stage: Stage, receiver: WebhookReceiver, key: str) -> bool:
    body = next(bodies)
    result = await receiver.receive(body, signature.sign(body, key, epoch_ms(stage.clock.now())))
    assert isinstance(result, StoredEvent | RejectedEvent)
    return isinstance(result, StoredEvent)


def test_a_key_opens_for_its_organization_and_account_only() -> None:
    organization_id, account_id = uuid4(), uuid4()
    sealed = SEALER.seal(organization_id, account_id, FIRST)

    assert SEALER.open(organization_id, account_id, sealed) == FIRST
    assert SEALER.open(uuid4(), account_id, sealed) is None
    assert SEALER.open(organization_id, uuid4(), sealed) is None
    assert SEALER.open(organization_id, account_id, sealed[:-1] + bytes([sealed[-1] ^ 1])) is None
    assert SEALER.open(organization_id, account_id, b"short") is None
    assert SEALER.seal(organization_id, account_id, FIRST) != sealed
    assert FIRST.encode() not in sealed


def test_the_first_secret_seals_and_all_of_them_open() -> None:
    ids = (uuid4(), uuid4())
    old, both = KeySealer(["o" * 32]), KeySealer(["n" * 32, "o" * 32])

    assert both.open(*ids, old.seal(*ids, FIRST)) == FIRST
    assert (both.is_current(*ids, old.seal(*ids, FIRST)), both.is_current(*ids, both.seal(*ids, FIRST))) == (
        False,
        True,
    )
    assert old.open(*ids, both.seal(*ids, FIRST)) is None
    assert "oooo" not in repr(old)


@pytest.mark.parametrize(
    ("text", "response", "error"),
    [
        ("", None, InvalidKey),
        ("short", None, InvalidKey),
        ("key with spaces 123", None, InvalidKey),
        ("key_good\nInjected: yes", None, InvalidKey),
        ("k" * 301, None, InvalidKey),
        ("key_wrong_0123456789", KeyRefused("HTTP 401: Invalid API key key_wrong_0123456789"), InvalidKey),
        ("key_good_0123456789", ProviderUnavailable("no connection"), KeyUntested),
    ],
)
async def test_a_key_that_retell_does_not_accept_is_refused_and_not_quoted(
    text: str, response: KeyRefused | ProviderUnavailable | None, error: type[ProviderKeysError]
) -> None:
    with pytest.raises(error) as refused:
        await entering.check_entered_key(FakeKeyTester(response=response), text, NOW)
    assert not text or text not in str(refused.value)


async def test_an_accepted_key_is_in_no_repr(stage: Stage) -> None:
    key = await entering.check_entered_key(FakeKeyTester(), f" {FIRST}\n", NOW)
    tenant = await create_tenant(stage.look)
    await enter(stage, tenant, FIRST)
    cache = KeyCache(stage.dialing, SEALER, stage.clock, reader=KeyReader.DIALER)
    await cache.reload()
    [stored] = cache.in_use.values()

    assert (key.api_key, stored.api_key, key.last_four) == (FIRST, FIRST, "0001")
    shown = repr((key, stored, cache, SEALER, RetellClients({"default": FIRST}, lambda _: RetellClient(stage.gate))))
    assert FIRST not in shown


async def test_a_campaign_waits_for_a_key_and_calls_once_it_is_entered_replaced_and_not_once_it_is_removed(
    stage: Stage,
) -> None:
    tenant = await create_tenant(stage.look)
    campaign = await create_campaign(stage.look, tenant, batch_size=1)
    await create_campaign_contact(stage.look, campaign)
    await create_campaign_contact(stage.look, campaign, next_attempt_at=NOW + timedelta(hours=1))
    await create_campaign_contact(stage.look, campaign, next_attempt_at=NOW + timedelta(hours=2))
    keyed = KeyedDialer(stage)
    await keyed.keys.run_once()
    await keyed.run()
    waiting = await stage.row("campaigns", campaign.id)
    assert (waiting["status"], waiting["waiting_for"], stage.asked()) == ("active", "api_key", [])
    assert await stage.rows("calls") == []

    await enter(stage, tenant, FIRST)
    assert await keyed.keys.run_once() == 1
    await keyed.run()  # at once: the campaign was due a minute later
    assert len(stage.asked()) == 1

    await enter(stage, tenant, SECOND)
    await keyed.keys.run_once()
    stage.clock.set(NOW + timedelta(hours=1))
    await keyed.run()
    assert keyed.connected == [FIRST, SECOND]
    assert len(stage.asked()) == 2

    assert await end(stage, tenant)
    await keyed.keys.run_once()
    stage.clock.set(NOW + timedelta(hours=2))
    await keyed.run()
    assert (await stage.row("campaigns", campaign.id))["waiting_for"] == "api_key"
    assert len(stage.asked()) == 2
    assert not await end(stage, tenant), "there is none any more"


@pytest.mark.parametrize(
    ("workspace", "status", "repeats"), [("default", "placed", 1), ("other", "review", 0)], ids=["rotated", "changed"]
)
async def test_a_request_without_a_response_is_not_repeated_in_another_workspace(
    stage: Stage, workspace: str, status: str, repeats: int
) -> None:
    tenant = await create_tenant(stage.look)
    await enter(stage, tenant, FIRST)
    stage.clock.advance(WORKSPACE_SWITCH)
    await create_campaign_contact(stage.look, await create_campaign(stage.look, tenant))
    stage.workspace.faults.replace([Fault(kind=FaultKind.drop_request, times=1)])
    keyed = KeyedDialer(stage)
    await keyed.keys.run_once()
    await keyed.run()
    assert [call["status"] for call in await stage.rows("calls")] == ["unknown"]

    before = len(stage.asked())
    await enter(stage, replace(tenant, credential=workspace), SECOND)
    await keyed.keys.run_once()
    stage.clock.advance(timedelta(seconds=10))
    await keyed.dialer.rescuer.run_once()
    assert [call["status"] for call in await stage.rows("calls")] == [status]
    assert len(stage.asked()) == before + repeats, "the former workspace may have placed the call"


@dataclass
class NamedWorkspaces:
    """Retell, as it names the workspace of each key of the environment."""

    response: KeyAccepted | ProviderUnavailable

    async def check_key(self, credential: str) -> KeyAccepted | ProviderUnavailable:
        return self.response


async def use_environment_key(stage: Stage, api_key: str, response: KeyAccepted | ProviderUnavailable) -> None:
    """Report a key as a dialer does after it has started with this one in its environment."""
    directory = cast(RetellProvider, NamedWorkspaces(response))
    await EnvironmentKeyReporter(stage.dialing, directory, {"default": api_key}, stage.clock).run_once()


async def workspace_of(stage: Stage, tenant: Tenant, placed_at: datetime) -> str:
    found = await stage.look.fetchval(
        "select private.workspace_of_call($1, $2, $2, $3)", tenant.provider_account_id, placed_at, stage.clock.now()
    )
    assert isinstance(found, str)
    return found


async def test_a_changed_key_of_the_environment_begins_another_workspace_unless_retell_names_the_same(
    stage: Stage,
) -> None:
    tenant, sales, away = await create_tenant(stage.look), KeyAccepted("Sales", "org_1"), ProviderUnavailable("down")
    assert await workspace_of(stage, tenant, NOW) == "current", "nothing is known"
    await use_environment_key(stage, FIRST, away)
    await use_environment_key(stage, FIRST, sales)
    assert await workspace_of(stage, tenant, NOW) == "current"

    stage.clock.advance(timedelta(days=1))
    await use_environment_key(stage, FIRST, away)
    await use_environment_key(stage, SECOND, sales)
    assert await workspace_of(stage, tenant, NOW) == "current", "its key was rotated"
    await use_environment_key(stage, FIRST, away)
    assert await workspace_of(stage, tenant, NOW) == "former", "the workspace of the other key is not known"
    changed_at = stage.clock.now()
    assert (await stage.row("provider_accounts", tenant.provider_account_id))["workspace_since"] == changed_at
    await use_environment_key(stage, FIRST, sales)
    stage.clock.advance(WORKSPACE_SWITCH)
    assert await workspace_of(stage, tenant, NOW) == "current"

    await use_environment_key(stage, SECOND, KeyAccepted("Support", "org_2"))
    assert [await workspace_of(stage, tenant, at) for at in (NOW, stage.clock.now())] == ["former", "unclear"]
    stored = str(await stage.look.fetch("select * from provider_workspaces"))
    assert (FIRST in stored, SECOND in stored, "Support" in stored) == (False, False, True)


async def test_a_dialer_that_starts_asks_for_the_workspaces_of_its_keys_at_the_same_time(stage: Stage) -> None:
    names = [f"account_{number}" for number in range(25)]
    asked: list[str] = []
    released = asyncio.Event()

    class Waiting:
        async def check_key(self, credential: str) -> KeyAccepted:
            asked.append(credential)
            await released.wait()
            if credential == names[0]:
                raise ConnectionResetError
            return KeyAccepted("Sales", f"org_{credential}")

    keys = dict.fromkeys(names, KEY)
    reporter = EnvironmentKeyReporter(stage.dialing, cast(RetellProvider, Waiting()), keys, stage.clock)
    running = asyncio.create_task(reporter.run_once())
    await asyncio.wait({running}, timeout=0)
    while len(asked) < 20:
        await asyncio.wait({running}, timeout=0.01)
    assert (asked, running.done()) == (names[:20], False)
    released.set()
    assert await running == len(names), "one that fails stops no other"
    assert asked == names
    asked.clear()
    await reporter.run_once()
    assert asked == names[:1], "the others are known"


async def test_a_stored_key_that_dialers_use_once_the_environment_has_none_is_of_its_own_workspace(
    stage: Stage,
) -> None:
    tenant = await create_tenant(stage.look)
    await enter(stage, tenant, FIRST)
    stage.clock.advance(timedelta(days=1))
    await use_environment_key(stage, SECOND, KeyAccepted("Support", "org_2"))
    stage.clock.advance(timedelta(days=1))
    assert await workspace_of(stage, tenant, NOW) == "former"

    await KeyedDialer(stage).keys.run_once()
    stage.clock.advance(WORKSPACE_SWITCH)
    assert await workspace_of(stage, tenant, NOW) == "current"
    assert await workspace_of(stage, tenant, NOW + timedelta(days=1, hours=1)) == "former"


async def test_a_live_call_of_a_former_workspace_is_not_taken_for_hung_up(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    tenant = await create_tenant(stage.look)
    await enter(stage, tenant, FIRST)
    stage.clock.advance(WORKSPACE_SWITCH)
    await create_campaign_contact(stage.look, await create_campaign(stage.look, tenant))
    keyed = KeyedDialer(stage)
    await keyed.keys.run_once()
    await keyed.run()
    [call] = await stage.rows("calls")
    task = HangUps(stage.dialing, RetellProvider(keyed.clients), stage.clock)

    async def ask() -> object:
        async with stage.as_service() as connection:
            return await hang_up(
                connection,
                organization_id=tenant.organization_id,
                call_id=call["id"],
                reason=None,
                actor=Actor(),
                now=stage.clock.now(),
            )

    assert await ask() == HangingUp()
    stage.clock.advance(timedelta(seconds=1))
    stage.workspace.calls.clear()  # what another workspace knows of it
    await enter(stage, replace(tenant, credential="other"), SECOND)
    await keyed.keys.run_once()
    for _ in range(3):
        assert await task.run_once() == 1
        assert (await stage.row("calls", call["id"]))["hang_up_due_at"] == stage.clock.now() + UNREACHED_DELAY
        stage.clock.advance(UNREACHED_DELAY)
    assert [record.message for record in caplog.records].count("dialer.hang_up_out_of_reach") == 1
    assert await ask() == OutOfReach("former_workspace")

    await stage.change("campaigns", call["campaign_id"], status="cancelling", hang_up=True)
    finisher = Finisher(stage.dialing, RetellProvider(keyed.clients), stage.clock)
    asked = len(stage.asked())
    for _ in range(2):
        await finisher.hang_up(tenant.organization_id, call["campaign_id"])
    assert len(stage.asked()) == asked, "the key does not reach the call"
    assert [record.message for record in caplog.records].count("dialer.hang_up_out_of_reach") == 2

    # A dialer that has not read the key yet leaves the call to those that have.
    assert await end(stage, tenant)
    await keyed.keys.run_once()
    await enter(stage, tenant, FIRST)
    await stage.change("calls", call["id"], hang_up_due_at=stage.clock.now())
    assert await task.run_once() == 1
    assert (await stage.row("calls", call["id"]))["hang_up_due_at"] == stage.clock.now() + RETRY_DELAY
    await end(stage, tenant)
    await keyed.keys.run_once()
    stage.clock.advance(timedelta(minutes=16))
    assert await ask() == OutOfReach("no_key")
    assert await task.run_once() == 1
    assert (await stage.row("calls", call["id"]))["hang_up_due_at"] == stage.clock.now() + UNREACHED_DELAY


async def test_a_row_that_was_copied_to_another_organization_is_no_key_there(stage: Stage) -> None:
    tenant, other = await create_tenant(stage.look), await create_tenant(stage.look, credential="b")
    await enter(stage, tenant, FIRST)
    await stage.look.execute(
        "insert into provider_keys (id, organization_id, provider_account_id, ciphertext, last_four, entered_by,"
        " entered_at, tested_at) select $1, $2, $3, ciphertext, last_four, entered_by, entered_at, tested_at"
        " from provider_keys",
        uuid4(),
        other.organization_id,
        other.provider_account_id,
    )
    keyed = KeyedDialer(stage)
    await keyed.keys.run_once()

    assert list(keyed.clients) == ["default"]
    body = event_body("call_started", "call_of_b")
    receiver = receiver_of(stage)
    assert await receiver.receive(body, signature.sign(body, FIRST, epoch_ms(NOW))) == StoredEvent(
        "call_started", "unmatched"
    )
    assert (await stage.rows("webhook_events"))[0]["credential"] == "default"


async def test_a_key_of_the_environment_wins_and_its_client_stays(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    await enter(stage, tenant, FIRST)
    keyed = KeyedDialer(stage, {"default": KEY})
    await keyed.keys.run_once()
    reporter = EnvironmentKeyReporter(stage.dialing, RetellProvider(keyed.clients), {"default": KEY}, stage.clock)
    assert await reporter.run_once() == 1

    assert keyed.connected == [KEY]
    receiver = receiver_of(stage, {"default": [KEY]})
    assert await is_accepted(stage, receiver, KEY)
    assert not await is_accepted(stage, receiver, FIRST)
    reported = await stage.row("provider_accounts", tenant.provider_account_id)
    assert (reported["environment_key_at"], reported["environment_workspace_id"]) == (NOW, "org_simulator")
    with pytest.raises(KeyInEnvironment, match="RETELL_API_KEY and RETELL_WEBHOOK_SECRET there"):
        await enter(stage, tenant, SECOND)


async def test_the_secret_of_a_local_stack_does_not_hide_the_stored_key_of_its_account(stage: Stage) -> None:
    await enter(stage, await create_tenant(stage.look), FIRST)
    cache = KeyCache(stage.webhook, SEALER, stage.clock, reader=KeyReader.WEBHOOKS)
    await cache.reload()
    body, now = event_body("call_started", "call_1"), stage.clock.now()
    signed = {key: signature.sign(body, key, epoch_ms(now)) for key in (FIRST, KEY)}
    local, deployed = [RetellWebhooks({"default": [KEY]}, accept_plain=plain, stored=cache) for plain in (True, False)]
    found = {
        name: [webhooks.authenticate(body, signed[key], now) is not None for key in (FIRST, KEY)]
        for name, webhooks in (("local", local), ("deployed", deployed))
    }
    assert found == {"local": [True, True], "deployed": [False, True]}


async def test_dialers_and_the_webhook_function_report_whether_they_can_decrypt_a_key(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    await enter(stage, tenant, FIRST)
    for secrets in (ENCRYPTION_SECRETS, ["x" * 32], []):
        stage.clock.advance(timedelta(minutes=1))
        cache = KeyCache(stage.dialing, KeySealer(secrets), stage.clock, reader=KeyReader.DIALER)
        await KeyReloader(stage.dialing, cache, KeyedDialer(stage).clients, stage.clock).run_once()
        at_webhooks = KeyCache(stage.webhook, KeySealer(secrets), stage.clock, reader=KeyReader.WEBHOOKS)
        await at_webhooks.keep_fresh()
        [key] = await stage.rows("provider_keys")
        name = "read" if secrets is ENCRYPTION_SECRETS else "unreadable"
        assert [key[f"{reader}_{name}_at"] for reader in ("dialer", "webhook")] == [stage.clock.now()] * 2
    assert key["dialer_read_at"] == NOW + timedelta(minutes=1)
    # A report wakes no process: it would read the keys and report again.
    reported_at = stage.clock.now()
    stage.clock.advance(timedelta(seconds=20))
    await at_webhooks.reload()
    assert (await stage.rows("provider_keys"))[0]["webhook_unreadable_at"] == reported_at
    stage.clock.advance(timedelta(seconds=20))
    await at_webhooks.reload()
    assert (await stage.rows("provider_keys"))[0]["webhook_unreadable_at"] == stage.clock.now()


async def test_a_key_that_cannot_be_decrypted_holds_back_no_key_of_another_account(
    stage: Stage, database: Scratch
) -> None:
    tenant, other = await create_tenant(stage.look), await create_tenant(stage.look, credential="b")
    await enter(stage, tenant, FIRST)
    await enter(stage, other, SECOND)
    await stage.look.execute(
        "update provider_keys set ciphertext = decode(repeat('00', 40), 'hex') where provider_account_id = $1",
        tenant.provider_account_id,
    )
    keyed = KeyedDialer(stage)
    claiming = await asyncpg.connect(database.dsn)
    try:
        async with claiming.transaction():
            await claiming.execute("select from provider_accounts where id = $1 for update", tenant.provider_account_id)
            await keyed.keys.run_once()
    finally:
        await claiming.close()
    assert list(keyed.clients) == ["b"]


async def test_a_workspace_has_one_account(stage: Stage) -> None:
    first, second, third = [await create_tenant(stage.look, credential=name) for name in ("default", "b", "c")]
    await enter(stage, first, FIRST)
    await enter(stage, first, SECOND)  # of the same workspace: its key was rotated
    with pytest.raises(WorkspaceTaken, match="Sales"):
        await enter(stage, replace(second, credential="default"), FIRST)
    await stage.look.execute(
        "update provider_accounts set environment_key_at = $2, environment_workspace_id = 'org_b' where id = $1",
        third.provider_account_id,
        NOW,
    )
    with pytest.raises(WorkspaceTaken):
        await enter(stage, second, FIRST)
    stage.clock.advance(timedelta(days=1))
    await enter(stage, second, FIRST)  # that key is no longer in the environment of any dialer


async def test_webhooks_follow_the_keys_and_those_of_a_former_one_are_accepted_for_a_day(stage: Stage) -> None:
    tenant, receiver = await create_tenant(stage.look), receiver_of(stage)
    assert not await is_accepted(stage, receiver, FIRST)
    stage.clock.advance(timedelta(seconds=2))
    await enter(stage, tenant, FIRST)
    assert await is_accepted(stage, receiver, FIRST), "an unknown signature reads the keys again"

    await enter(stage, tenant, SECOND)
    stage.clock.advance(timedelta(seconds=2))
    assert await is_accepted(stage, receiver, SECOND)
    assert await is_accepted(stage, receiver, FIRST), "Retell may sign with the former key"
    stage.clock.advance(FORMER_ACCEPTED_FOR)
    assert not await is_accepted(stage, receiver, FIRST)
    assert await is_accepted(stage, receiver, SECOND)
    assert len(await stage.rows("provider_keys")) == 1, "the former key is deleted"

    await end(stage, tenant, at_once=True)
    stage.clock.advance(timedelta(seconds=5))
    assert not await is_accepted(stage, receiver, SECOND)
    assert await stage.rows("provider_keys") == []


async def test_a_key_that_has_moved_to_another_account_signs_for_that_one(stage: Stage) -> None:
    left, joined = await create_tenant(stage.look), await create_tenant(stage.look, credential="joined")
    receiver = receiver_of(stage)
    await enter(stage, left, FIRST)
    assert await is_accepted(stage, receiver, FIRST)
    assert await end(stage, left)
    stage.clock.advance(timedelta(seconds=5))
    assert await is_accepted(stage, receiver, FIRST)
    await enter(stage, joined, FIRST)
    stage.clock.advance(timedelta(seconds=5))
    assert await is_accepted(stage, receiver, FIRST)
    stored = await stage.look.fetch("select credential from webhook_events order by id")
    assert [row["credential"] for row in stored] == ["default", "default", "joined"]


async def test_an_account_keeps_its_last_ten_former_keys(stage: Stage) -> None:
    tenant, receiver = await create_tenant(stage.look), receiver_of(stage)
    for number in range(12):
        stage.clock.advance(timedelta(minutes=1))
        await enter(stage, tenant, f"key_number_{number:02}")
    assert len(await stage.rows("provider_keys")) == 11
    assert [await is_accepted(stage, receiver, f"key_number_{number:02}") for number in (0, 1, 10, 11)] == [
        False,
        True,
        True,
        True,
    ]


async def test_a_replaced_key_that_was_leaked_is_rejected_within_seconds(stage: Stage) -> None:
    tenant, receiver = await create_tenant(stage.look), receiver_of(stage)
    await enter(stage, tenant, FIRST)
    assert await is_accepted(stage, receiver, FIRST)
    await enter(stage, tenant, SECOND)
    await enter(stage, tenant, FIRST + "_third", ends_former=True)
    stage.clock.advance(timedelta(seconds=5))
    assert [await is_accepted(stage, receiver, key) for key in (FIRST, SECOND, FIRST + "_third")] == [
        False,
        False,
        True,
    ]


async def test_unknown_signatures_read_the_keys_once_a_second_and_known_ones_once_in_five(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[object] = []
    reload = KeyCache.reload

    async def counted(cache: KeyCache) -> None:
        reads.append(cache)
        await reload(cache)

    monkeypatch.setattr(KeyCache, "reload", counted)
    tenant, receiver = await create_tenant(stage.look), receiver_of(stage)
    await enter(stage, tenant, FIRST)
    for _ in range(20):
        assert not await is_accepted(stage, receiver, "forged")
    assert len(reads) == 1
    stage.clock.advance(timedelta(seconds=1))
    assert not await is_accepted(stage, receiver, "forged")
    assert len(reads) == 2
    for _ in range(10):
        stage.clock.advance(timedelta(seconds=1))
        assert await is_accepted(stage, receiver, FIRST)
    assert len(reads) == 4


async def test_a_former_key_ends_on_time_although_the_keys_cannot_be_read_again(stage: Stage) -> None:
    tenant, receiver = await create_tenant(stage.look), receiver_of(stage)
    await enter(stage, tenant, FIRST)
    await enter(stage, tenant, SECOND)
    assert await is_accepted(stage, receiver, FIRST)
    await stage.look.execute(
        "revoke execute on function private.provider_keys_in_use(timestamptz) from outdial_webhook"
    )
    stage.clock.advance(timedelta(seconds=10))
    assert await is_accepted(stage, receiver, FIRST), "the keys that are known go on working"
    stage.clock.advance(FORMER_ACCEPTED_FOR)
    with pytest.raises(EventNotStored):
        await is_accepted(stage, receiver, FIRST)
    assert await is_accepted(stage, receiver, SECOND)


async def test_an_event_is_to_be_sent_again_while_its_key_cannot_be_read(stage: Stage) -> None:
    tenant, receiver = await create_tenant(stage.look), receiver_of(stage, {"other": [KEY]})
    await enter(stage, tenant, FIRST)
    change = "{} execute on function private.provider_keys_in_use(timestamptz) {} outdial_webhook"
    await stage.look.execute(change.format("revoke", "from"))
    with pytest.raises(EventNotStored):
        await is_accepted(stage, receiver, FIRST)
    assert await receiver.receive(b"{}", None) == RejectedEvent()
    assert await is_accepted(stage, receiver, KEY), "a key of the environment needs no database"

    await stage.look.execute(change.format("grant", "to"))
    stage.clock.advance(timedelta(seconds=5))
    assert await is_accepted(stage, receiver, FIRST)
    assert not await is_accepted(stage, receiver, SECOND)


async def test_all_keys_are_encrypted_again_with_the_first_secret(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    await enter(stage, tenant, FIRST)
    rotated, other = KeySealer(["n" * 32, *ENCRYPTION_SECRETS]), KeySealer(["x" * 32])

    async def reencrypt(sealer: KeySealer) -> tuple[int, int]:
        async with stage.dialing.transaction() as connection:
            return await entering.reencrypt_keys(connection, sealer, stage.clock.now())

    assert [await reencrypt(rotated), await reencrypt(rotated), await reencrypt(other)] == [(1, 0), (0, 0), (0, 1)]
    cache = KeyCache(stage.webhook, KeySealer(["n" * 32]), stage.clock, reader=KeyReader.WEBHOOKS)
    await cache.reload()
    assert [key.api_key for key in cache.in_use.values()] == [FIRST]


async def test_the_client_of_a_replaced_key_closes_when_its_requests_are_over(stage: Stage) -> None:
    closed: list[str] = []

    class Closing(SimulatorTransport):
        async def close(self) -> None:
            closed.append("closed")

    clients = RetellClients({}, lambda key: RetellClient(Closing(stage.workspace, stage.clock.now, key)))
    assert await clients.use({"a": FIRST}, NOW) == {"a"}
    assert await clients.use({"a": FIRST}, NOW) == frozenset()
    kept = clients["a"]
    assert await clients.use({"a": SECOND}, NOW) == {"a"}
    assert clients["a"] is not kept
    assert closed == []
    await clients.use({}, NOW + CLOSED_AFTER)
    assert (closed, list(clients)) == (["closed"], [])
    await clients.close()
    assert closed == ["closed", "closed"]
