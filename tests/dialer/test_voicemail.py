"""The voicemail policy: what each request says, and what follows when the message was left."""

from typing import Any

import msgspec
import pytest
from pydantic import TypeAdapter
from retell.types import CallCreatePhoneCallParams

from outdial.dialer.claim import Claimed
from tests.support.dialing import Stage, life_of_call
from tests.support.factories import NOW, Campaign, create_campaign, create_campaign_contact, create_tenant

MESSAGE = {"action": "leave_message", "message": "Hello {{ name }}, {{offer}} from {{unknown}}"}


async def call(stage: Stage, campaign: Campaign, reason: str, number: int) -> dict[str, Any]:
    """Claim the one contact, end its call, and return the body of the request."""
    claim = await stage.claimer().claim(campaign.tenant.organization_id, campaign.id)
    assert isinstance(claim, Claimed)
    [planned] = claim.calls
    await stage.send(*life_of_call(f"call_{number}", planned.id, reason).values())
    body: dict[str, Any] = msgspec.json.decode(planned.body)
    return body


@pytest.mark.parametrize("then", ["continue", "stop"])
async def test_one_message_is_left_and_the_contact_shows_it(stage: Stage, then: str) -> None:
    policy = MESSAGE | {"on_attempt": 2, "then": then}
    campaign = await create_campaign(
        stage.look,
        await create_tenant(stage.look),
        max_attempts=5,
        voicemail_policy=msgspec.json.encode(policy).decode(),
    )
    entry = await create_campaign_contact(stage.look, campaign)
    bodies = []
    for number in range(3 if then == "continue" else 2):
        bodies.append(await call(stage, campaign, "voicemail_reached", number))
        row = await stage.row("campaign_contacts", entry.id)
        assert (row["voicemail_left_at"] is not None) == (number > 0)
        if number == 1:
            assert row["status_reason"] == "a voicemail message was left"
            assert row["status"] == ("pending" if then == "continue" else "completed")
        stage.clock.set(max(stage.clock.now(), row["next_attempt_at"]))

    actions = [body["agent_override"]["agent"]["voicemail_option"]["action"] for body in bodies]
    assert [action["type"] for action in actions] == ["hangup", "static_text", "hangup"][: len(actions)]
    assert actions[1]["text"].startswith("Hello ")
    for body in bodies:  # The official SDK knows this body.
        TypeAdapter(CallCreatePhoneCallParams).validate_python(body)

    # A member decided before the call was reported: it changed the contact no more, and its message counts.
    await stage.change(
        "campaign_contacts", entry.id, status="pending", voicemail_left_at=None, attempts=1, next_attempt_at=NOW
    )
    body = await call(stage, campaign, "dial_no_answer", 7)
    assert body["agent_override"]["agent"]["voicemail_option"]["action"]["type"] == "hangup"


async def test_without_a_policy_the_request_overrides_nothing_and_no_message_is_noted(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry = await create_campaign_contact(stage.look, campaign)
    assert "agent_override" not in await call(stage, campaign, "voicemail_reached", 0)
    assert (await stage.row("campaign_contacts", entry.id))["voicemail_left_at"] is None
