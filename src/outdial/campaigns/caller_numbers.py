"""Changes to the caller numbers of an organization: caps and warm-up, rests, and imports from the provider."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from outdial.campaigns.errors import InvalidCampaign
from outdial.campaigns.lifecycle import Actor
from outdial.db.queries import audit, batches
from outdial.db.queries.dialing import caller_numbers as number_queries
from outdial.db.session import Connection, encode_json
from outdial.domain.policies.number_pool import REST


async def set_number_limits(
    connection: Connection,
    organization_id: UUID,
    phone: str,
    *,
    daily_cap: int | None,
    warm_up_days: int,
    actor: Actor,
    now: datetime,
) -> bool:
    """Set the daily cap and the warm-up of a number; return False when the organization has not added it."""
    found = await number_queries.set_number_limits(
        connection,
        organization_id=organization_id,
        phone=phone,
        daily_cap=daily_cap,
        warm_up_days=warm_up_days,
        now=now,
    )
    if found is None:
        return False
    details = {"daily_cap": daily_cap, "warm_up_days": warm_up_days}
    await _record(connection, organization_id, actor, "limit_number", phone, details)
    await _wake_campaigns(connection, organization_id, now)
    return True


async def rest_number(
    connection: Connection, organization_id: UUID, phone: str, *, actor: Actor, now: datetime
) -> datetime:
    """Let a number rest for 24 hours; return until when it rests."""
    until = await number_queries.rest_number(
        connection, organization_id=organization_id, phone=phone, until=now + REST, now=now
    )
    details = {"reason": "by_member", "until": until.isoformat()}
    await _record(connection, organization_id, actor, "rest_number", phone, details)
    return until


async def wake_number(
    connection: Connection, organization_id: UUID, phone: str, *, actor: Actor, now: datetime
) -> bool:
    """End the rest of a number; return False when it does not rest. Earlier calls do not count against it any more."""
    if await number_queries.end_rest(connection, organization_id=organization_id, phone=phone, now=now) is None:
        return False
    await _record(connection, organization_id, actor, "wake_number", phone, {})
    await _wake_campaigns(connection, organization_id, now)
    return True


async def request_import(
    connection: Connection, organization_id: UUID, account_id: UUID, *, actor: Actor, now: datetime
) -> None:
    """Ask the dialer to import the numbers that the provider lists for an account."""
    await number_queries.request_import(
        connection, organization_id=organization_id, provider_account_id=account_id, now=now
    )
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action="import_numbers",
        subject_type="provider_account",
        subject_id=str(account_id),
        details="{}",
    )


async def check_numbers(
    connection: Connection, organization_id: UUID, account_id: UUID, from_number: str, more_numbers: Sequence[str]
) -> None:
    """Raise InvalidCampaign for a number that the account may not call from.

    Until the numbers of an account have been imported, only those of other accounts are known to be wrong.
    """
    foreign = await number_queries.foreign_numbers(
        connection,
        organization_id=organization_id,
        provider_account_id=account_id,
        phones=[from_number, *more_numbers],
    )
    if foreign:
        raise InvalidCampaign(
            "from_number" if foreign[0] == from_number else "more_numbers",
            f"{foreign[0]} is not a number of this Retell workspace; import its numbers again, or add the number",
        )


async def _record(
    connection: Connection, organization_id: UUID, actor: Actor, action: str, phone: str, details: Mapping[str, object]
) -> None:
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action=action,
        subject_type="caller_number",
        subject_id=phone,
        details=encode_json(details),
    )


async def _wake_campaigns(connection: Connection, organization_id: UUID, now: datetime) -> None:
    woken = await batches.wake_campaigns_of_organization(connection, organization_id=organization_id, now=now)
    await batches.notify_campaigns(connection, ids=woken)
