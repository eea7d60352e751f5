"""Data for the pages: the campaign of the dial benchmark with a tenth of its contacts called, and a viewer."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from benchmarks.dial import campaign
from outdial.auth import mint_jwt
from outdial.auth.keys import LOCAL_JWT_SECRET
from outdial.studio.web.sessions import COOKIE, CookieSealer, StudioSession
from outdial.studio.web.settings import LOCAL_SECRET

CAMPAIGN: Final = campaign.MEASURED
# One of ten contacts has been called.
CALLED: Final = 10
_USER: Final = UUID(int=0x7 << 76 | 0b10 << 62 | 20)
_SESSION: Final = UUID(int=0x7 << 76 | 0b10 << 62 | 21)
_BATCH_SIZE: Final = 100
_LIFE: Final = timedelta(hours=12)


async def seed(connection: asyncpg.Connection, contacts: int) -> None:
    """Insert a campaign with `contacts` contacts and its calls, as on its third day."""
    await campaign.seed(connection, contacts, _BATCH_SIZE)
    await connection.execute("update contacts set external_id = 'crm-' || phone where phone like '%7'")
    await connection.execute(CONTACTS, CAMPAIGN, CALLED)
    await connection.execute(CALLS, CAMPAIGN)
    await connection.execute(
        "update campaigns set status = 'paused', started_at = clock_timestamp() - interval '3 days' where id = $1",
        CAMPAIGN,
    )
    await connection.execute("insert into auth.users (id, email) values ($1, 'viewer@example.com')", _USER)
    await connection.execute(
        "insert into auth.sessions (id, user_id, created_at, refreshed_at)"
        " values ($1, $2, clock_timestamp(), clock_timestamp())",
        *(_SESSION, _USER),
    )
    await connection.execute(
        "insert into organization_members (organization_id, user_id, role)"
        " select organization_id, $2, 'viewer' from campaigns where id = $1",
        *(CAMPAIGN, _USER),
    )


def settings(dsn: str) -> dict[str, str]:
    """Return the studio's settings: the database, and the public local keys."""
    return {
        "SUPABASE_DB_URL": dsn,
        "SUPABASE_URL": "http://127.0.0.1:54321",
        "SUPABASE_PUBLISHABLE_KEYS": '{"default": "sb_publishable_benchmark"}',
        "SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET,
        "OUTDIAL_STUDIO_SECRET": LOCAL_SECRET,
    }


def cookie() -> str:
    """Return the Cookie header of the viewer's browser."""
    expires = int((datetime.now(UTC) + _LIFE).timestamp())
    claims = {"sub": str(_USER), "role": "authenticated", "aud": "authenticated", "exp": expires}
    # The studio asks Auth whether the session still exists.
    claims["session_id"] = str(_SESSION)
    session = StudioSession(
        access_token=mint_jwt(LOCAL_JWT_SECRET, {**claims, "email": "viewer@example.com"}),
        refresh_token="benchmark",
        expires_at=expires,
        user_id=str(_USER),
        email="viewer@example.com",
    )
    return f"{COOKIE}={CookieSealer((LOCAL_SECRET,)).seal(COOKIE, session)}"


CONTACTS = """
with called as (
  select id, number / $2 as n
  from (
    select id, row_number() over (order by contact_id) as number from campaign_contacts where campaign_id = $1
  ) as numbered
  where number % $2 = 0
)
update campaign_contacts cc
set status = case when n % 3 = 0 then 'completed' when n % 3 = 1 then 'pending' when n % 50 = 2 then 'review'
    else 'failed' end,
  attempts = 1, call_count = 1,
  last_outcome = case when n % 3 = 0 then 'answered' when n % 3 = 1 then 'voicemail' when n % 50 = 2 then 'unknown'
    else 'no_answer' end
from called
where called.id = cc.id
"""
CALLS = """
insert into calls (id, organization_id, campaign_id, campaign_contact_id, contact_id, provider_account_id,
  attempt_number, phone, from_number, status, outcome, disconnection_reason, request, decision, requested_at, placed_at,
  started_at, ended_at, duration_ms, cost_cents, transcript, created_at, updated_at)
select uuidv7(), organization_id, campaign_id, id, contact_id, provider_account_id, 1, phone, '+12125550000', 'ended',
  last_outcome, 'user_hangup', '{}', '{}', at, at, at, at + interval '40 seconds', 40000, 12.5,
  'Agent: Good morning. User: Good morning.', at, at
from (
  select cc.*, m.provider_account_id,
    clock_timestamp() - interval '3 days' * (row_number() over (order by cc.contact_id desc)) / (count(*) over ()) as at
  from campaign_contacts cc join campaigns m on m.id = cc.campaign_id
  where cc.campaign_id = $1 and cc.attempts = 1
) as called
"""
