"""What a campaign page shows besides contacts and calls: numbers, budgets, forecasts, bulk jobs, callbacks."""

from typing import Final
from uuid import UUID

import asyncpg

NUMBERS: Final = [f"+1212555000{n}" for n in range(6)]
"""The pool of the campaign. Its calls are spread over it, and the last number rests."""


async def fill_sections(connection: asyncpg.Connection, campaign_id: UUID) -> None:
    """Give a campaign with calls all that its page can show. Needs triggers switched off: it adds up the spending."""
    await connection.execute(SETTINGS, campaign_id, NUMBERS[1:])
    await connection.execute(NUMBER_ROWS, campaign_id, NUMBERS)
    for statement in (LIVE, COSTLESS, CALLBACKS, SPENDING, BUDGETS, FORECASTS, BULK_JOBS, CLOSING_RULE, LIST, ACTIVITY):
        await connection.execute(statement, campaign_id)


SETTINGS: Final = """
update campaigns
set status = 'active', started_at = clock_timestamp() - interval '3 days', next_batch_at = clock_timestamp(),
  more_numbers = $2, keep_open = true, reentry_after = '30 days', budget_cents = 50000000, max_attempts = 4,
  max_concurrency = 200, day_parts = '{morning,evening}', callback_policy = '{"time_field": "callback_at"}',
  voicemail_policy = '{"action": "leave_message", "message": "Hello {{name}}", "on_attempt": "last", "then": "stop"}',
  retry_policy = '{"no_answer": {"delays": ["30m", "2h"], "max_attempts": 3}}'
where id = $1
"""
NUMBER_ROWS: Final = """
with numbers as (
  select m.organization_id, m.provider_account_id, n.phone, n.position
  from campaigns m, unnest($2::text[]) with ordinality as n (phone, position) where m.id = $1
), added as (
  insert into phone_numbers (organization_id, provider_account_id, phone, nickname, country, daily_cap, warm_up_days,
    warm_up_from, imported_at)
  select organization_id, provider_account_id, phone, 'Line ' || position, 'US', 20000, 14,
    clock_timestamp() - interval '10 days', clock_timestamp()
  from numbers
)
insert into number_health (organization_id, phone, calls, answered, voicemail, blocked, measured_at, rests_until,
  rest_reason, rests_since)
select n.organization_id, n.phone, c.calls, c.answered, c.voicemail, 0, clock_timestamp(),
  case when n.position = cardinality($2::text[]) then clock_timestamp() + interval '20 hours' end,
  case when n.position = cardinality($2::text[]) then 'blocked_in_a_row' end,
  case when n.position = cardinality($2::text[]) then clock_timestamp() - interval '4 hours' end
from numbers n cross join lateral (
  select count(*) as calls, count(*) filter (where outcome = 'answered') as answered,
    count(*) filter (where outcome = 'voicemail') as voicemail
  from calls where organization_id = n.organization_id and from_number = n.phone and outcome is not null
) c
"""
LIVE: Final = """
with live as (
  update calls set status = 'ongoing', outcome = null, ended_at = null, duration_ms = null, cost_cents = null,
    reserved_cents = 30, disconnection_reason = null, transcript = null, analysis = null
  where id in (
    select id from calls where campaign_id = $1 and outcome = 'answered' order by created_at desc
    limit (select least(50, count(*) / 2) from calls where campaign_id = $1 and outcome = 'answered')
  )
  returning campaign_contact_id
)
update campaign_contacts cc set status = 'calling' from live l where cc.id = l.campaign_contact_id
"""
COSTLESS: Final = """
update calls set cost_cents = null, reserved_cents = 30
where id in (select id from calls where campaign_id = $1 and outcome = 'no_answer' order by created_at limit 200)
"""
# Every tenth of the pending contacts that were reached before has asked for a callback within three days.
CALLBACKS: Final = """
with asked as (
  select id, row_number() over (order by id) as n from campaign_contacts
  where campaign_id = $1 and status = 'pending' and last_outcome = 'voicemail'
), waiting as (
  update campaign_contacts cc
  set rank = 0, usual_rank = 5, callbacks = 1, last_outcome = 'answered',
    callback_at = clock_timestamp() - interval '1 hour' + a.n * interval '7 seconds',
    next_attempt_at = clock_timestamp() - interval '1 hour' + a.n * interval '7 seconds'
  from asked a
  where cc.id = a.id and a.n % 10 = 1
  returning cc.id, cc.call_count
)
update calls c set outcome = 'answered' from waiting w
where c.campaign_contact_id = w.id and c.attempt_number = w.call_count
"""
SPENDING: Final = """
insert into spending (organization_id, campaign_id, day, spent_cents, reserved_cents)
select organization_id, campaign_id, (created_at at time zone 'UTC')::date, coalesce(sum(cost_cents), 0),
  coalesce(sum(reserved_cents) filter (where cost_cents is null), 0)
from calls where campaign_id = $1 group by 1, 2, 3
"""
BUDGETS: Final = """
insert into organization_budgets (organization_id, time_zone, day_cents, month_cents, updated_at)
select organization_id, 'America/New_York', 20000000, 300000000, clock_timestamp() from campaigns where id = $1
"""
FORECASTS: Final = """
insert into campaign_forecasts (id, organization_id, campaign_id, made_at, made_for, contacts, past_calls, finish_p10,
  finish_p50, finish_p90, cost_cents_p10, cost_cents_p50, cost_cents_p90, calls_p10, calls_p50, calls_p90)
select uuidv7(), organization_id, id, at, case n when 1 then 'start' else 'request' end, 1000000, 1000,
  at + interval '20 days', at + interval '22 days', at + interval '25 days', 1e7, 1.1e7, 1.2e7, 900000, 950000, 990000
from campaigns, generate_series(1, 20) as n, lateral (select started_at + n * interval '3 hours' as at) made
where id = $1
"""
BULK_JOBS: Final = """
insert into bulk_jobs (id, organization_id, campaign_id, action, reason, status, selected, other_status, done, left_out,
  requested_by, created_at, updated_at, finished_at)
select uuidv7(), organization_id, id, 'retry', 'The line was down', case n when 20 then 'running' else 'completed' end,
  10000, 0, case n when 20 then 4000 else 9990 end, 10, 'owner@example.com', at, at,
  case when n < 20 then at + interval '1 minute' end
from campaigns, generate_series(1, 20) as n, lateral (select started_at + n * interval '3 hours' as at) made
where id = $1
"""
# Its hours lie outside those of the federal rules, so contacts in Vermont are never called and the page names them.
CLOSING_RULE: Final = """
insert into calling_rules (organization_id, rule_id, body, created_by, created_at)
select organization_id, 'OWN-VT-NIGHT', '{"jurisdiction": "US-VT", "purpose": "any", "source": "Counsel, 2026-11-01",
  "hours": {"every_day": [["02:00", "03:00"]]}, "confidence": "s"}', 'benchmark', clock_timestamp()
from campaigns where id = $1
"""
LIST: Final = """
with stored as (
  insert into imports (id, organization_id, campaign_id, file_name, status, created_at, updated_at)
  select uuidv7(), organization_id, id, 'spring.csv', 'completed', clock_timestamp(), clock_timestamp()
  from campaigns where id = $1
  returning id
)
update campaign_contacts set import_id = (select id from stored) where campaign_id = $1 and attempts > 0
"""
ACTIVITY: Final = """
select private.record_audit(
  m.organization_id, 'system', 'edit_campaign', 'campaign', m.id::text, '{"changed": ["priority"]}')
from campaigns m cross join generate_series(1, 200) where m.id = $1
"""
