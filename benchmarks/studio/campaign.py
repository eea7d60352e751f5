"""Data for the pages: the campaign of the dial benchmark with a tenth of its contacts called, and an owner."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from benchmarks.dial import campaign
from benchmarks.studio.sections import NUMBERS, fill_sections
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
    """Insert a campaign with `contacts` contacts, its calls and all that its page shows, as on its third day."""
    await campaign.seed(connection, contacts, _BATCH_SIZE)
    await connection.execute("update contacts set external_id = 'crm-' || phone where phone like '%7'")
    await connection.execute(CONTACTS, CAMPAIGN, CALLED)
    await connection.execute(CALLS, CAMPAIGN, NUMBERS)
    await fill_sections(connection, CAMPAIGN)
    await connection.execute(OTHERS, CAMPAIGN, 48)
    await connection.execute("insert into auth.users (id, email) values ($1, 'owner@example.com')", _USER)
    await connection.execute(
        "insert into auth.sessions (id, user_id, created_at, refreshed_at)"
        " values ($1, $2, clock_timestamp(), clock_timestamp())",
        *(_SESSION, _USER),
    )
    await connection.execute(
        "insert into organization_members (organization_id, user_id, role)"
        " select organization_id, $2, 'owner' from campaigns where id = $1",
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


def cookie(user: UUID = _USER, session_id: UUID = _SESSION) -> str:
    """Return the Cookie header of a user's browser, by default the owner's."""
    expires = int((datetime.now(UTC) + _LIFE).timestamp())
    claims = {"sub": str(user), "role": "authenticated", "aud": "authenticated", "exp": expires}
    # The studio asks Auth whether the session still exists.
    claims["session_id"] = str(session_id)
    session = StudioSession(
        access_token=mint_jwt(LOCAL_JWT_SECRET, {**claims, "email": "owner@example.com"}),
        refresh_token="benchmark",
        expires_at=expires,
        user_id=str(user),
        email="owner@example.com",
    )
    return f"{COOKIE}={CookieSealer((LOCAL_SECRET,)).seal(COOKIE, session)}"


# With the one measured and four for warm-up, the list has 53 campaigns: two of three are over, some run or wait.
OTHERS = """
with added as (
  insert into campaigns (id, organization_id, provider_account_id, name, status, retell_agent_id, from_number,
    next_batch_at, scheduled_at, paused_automatically, paused_reason, started_at, finished_at)
  select uuidv7(), m.organization_id, m.provider_account_id, 'Recall ' || n, s.status, m.retell_agent_id, m.from_number,
    case s.status when 'active' then clock_timestamp() end,
    case s.status when 'scheduled' then clock_timestamp() + interval '5 hours' end,
    s.status = 'paused', case s.status when 'paused' then 'Retell refused the account: no key' end,
    clock_timestamp() - interval '2 days', case s.status when 'completed' then clock_timestamp() - interval '1 day' end
  from campaigns m, generate_series(1, $2) as n
  cross join lateral (
    select (array['active', 'scheduled', 'paused'] || array_fill('completed'::text, array[6]))[1 + n % 9] as status
  ) s
  where m.id = $1
  returning id, organization_id, status
)
insert into campaign_contacts (id, organization_id, campaign_id, contact_id, phone, zone_key, jurisdiction_key,
  next_attempt_at, status)
select uuidv7(), a.organization_id, a.id, k.id, k.phone, k.zone_key, k.jurisdiction_key,
  clock_timestamp(), case when a.status = 'completed' then 'completed' else 'pending' end
from added a cross join lateral (
  select * from contacts where organization_id = a.organization_id order by id limit 200
) k
"""
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
  attempts = 1 + n % 2, call_count = 1 + n % 2,
  last_outcome = case when n % 3 = 0 then 'answered' when n % 3 = 1 then 'voicemail' when n % 50 = 2 then 'unknown'
    else 'no_answer' end
from called
where called.id = cc.id
"""
# Every other contact was called twice. The first answered call is a positive one, however few there are.
CALLS = """
insert into calls (id, organization_id, campaign_id, campaign_contact_id, contact_id, provider_account_id,
  attempt_number, phone, from_number, status, outcome, disconnection_reason, request, decision, requested_at, placed_at,
  started_at, ended_at, duration_ms, cost_cents, transcript, analysis, created_at, updated_at)
select uuidv7(), organization_id, campaign_id, id, contact_id, provider_account_id, attempt, phone,
  ($2::text[])[1 + number % cardinality($2::text[])], 'ended',
  case when attempt = attempts then last_outcome else 'no_answer' end, 'user_hangup',
  jsonb_build_object('override_agent_id', retell_agent_id, 'to_number', phone),
  jsonb_build_object('local_times', jsonb_build_object('America/New_York', to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS'))),
  at, at, at, at + interval '40 seconds', 40000, 12.5, 'Agent: Good morning. User: Good morning.',
  case when attempt = attempts and last_outcome = 'answered' then jsonb_build_object('call_summary', 'A check-up.',
    'user_sentiment', (array['Positive', 'Neutral', 'Negative'])[1 + (nth - 1) % 3], 'call_successful', number % 4 > 0,
    'custom_analysis_data', jsonb_build_object('interest', number % 10)) end,
  at, at
from (
  select cc.*, a.attempt, m.provider_account_id, m.retell_agent_id,
    row_number() over (order by cc.contact_id) as number,
    row_number() over (partition by cc.last_outcome, a.attempt = cc.attempts order by cc.contact_id) as nth,
    clock_timestamp() - interval '3 days' * (row_number() over (order by cc.contact_id desc)) / (count(*) over ()) as at
  from campaign_contacts cc join campaigns m on m.id = cc.campaign_id
  cross join lateral generate_series(1, cc.attempts) as a (attempt)
  where cc.campaign_id = $1 and cc.attempts > 0
) as called
"""
