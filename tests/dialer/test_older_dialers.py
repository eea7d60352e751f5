"""A dialer of the version before does no harm during an upgrade. The statements are those that it sends."""

import json

import asyncpg
import pytest

from outdial.dialer.claim import Claimed
from tests.support.dialing import Stage
from tests.support.factories import (
    CLAIM_DECISION,
    Campaign,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_tenant,
)

STOP = "update organizations set stopped_at = now(), stopped_by = 'the service'"
REST = """
    insert into number_health (organization_id, phone, rests_until, rest_reason, rests_since)
    select organization_id, from_number, requested_at + interval '1 day', 'blocked_in_a_row', requested_at from calls
"""
# `settlements.move_start`, `settlements.begin_resend` and `campaign_status.complete_campaign` of that version.
MOVE = "update calls set requested_at = requested_at + interval '2 s', updated_at = requested_at"
REPEAT = """
    update calls set requested_at = requested_at + interval '1 minute', requests = requests + 1,
      updated_at = requested_at + interval '1 minute'
"""
# `batches.due_campaigns`.
DUE = "select campaign_id from private.due_campaigns($1, 25, $2::uuid[])"
COMPLETE = "update campaigns set status = 'completed', finished_at = now(), next_batch_at = null, waiting_for = null"


async def as_dialer(stage: Stage, campaign: Campaign, statement: str) -> None:
    async with stage.dialing.for_organization(campaign.tenant.organization_id) as connection:
        await connection.execute(statement)


async def test_an_older_dialer_finds_no_campaign_to_claim_for_and_brings_others_to_rest(stage: Stage) -> None:
    tenant = await create_tenant(stage.look)
    active, pausing = [await create_campaign(stage.look, tenant, status=status) for status in ("active", "pausing")]
    async with stage.dialing.for_organization(tenant.organization_id) as connection:
        for named in ([], [active.id]):
            assert [row["campaign_id"] for row in await connection.fetch(DUE, stage.clock.now(), named)] == [pausing.id]


async def test_an_older_dialer_claims_moves_and_repeats_no_call_and_ends_no_open_campaign(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), keep_open=True)
    organization_id = campaign.tenant.organization_id
    with pytest.raises(asyncpg.CheckViolationError, match="is kept open"):
        await as_dialer(stage, campaign, COMPLETE)

    entry, written = await create_campaign_contact(stage.look, campaign), json.loads(CLAIM_DECISION)
    for unknown in written:
        decision = json.dumps({key: value for key, value in written.items() if key != unknown})
        with pytest.raises(asyncpg.CheckViolationError, match="restart this dialer with the present version"):
            async with stage.dialing.for_organization(organization_id) as connection:
                await create_call(connection, entry, decision=decision)

    claim = await stage.claimer().claim(organization_id, campaign.id)
    assert isinstance(claim, Claimed)
    [call] = claim.calls
    await as_dialer(stage, campaign, MOVE)
    await stage.look.execute(REST)
    with pytest.raises(asyncpg.CheckViolationError, match="its caller number rests"):
        await as_dialer(stage, campaign, REPEAT)
    await stage.look.execute("delete from number_health")
    await as_dialer(stage, campaign, REPEAT)
    await stage.look.execute(STOP)
    for statement in (MOVE, REPEAT):
        with pytest.raises(asyncpg.CheckViolationError, match="all calls of the organization are stopped"):
            await as_dialer(stage, campaign, statement)
    # What it learns of a call that was sent before the stop is written.
    await as_dialer(stage, campaign, "update calls set status = 'unknown', request_deadline = null")
    assert (await stage.row("calls", call.id))["requests"] == 2
