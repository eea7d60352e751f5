-- Test calls as members see them: requested, listed, exported, and removed by age.

-- name: find_row
-- returns: UUID | None
-- Find the contact in a row of a campaign, counted from 1 in the order in which contacts were added.
select contact_id as id from campaign_contacts
where campaign_id = :campaign_id order by id offset :row::integer - 1 limit 1;

-- name: request_test_call
-- returns: datetime | None
-- null: :contact_id, :contact_row
-- Request a test call. Returns None when the organization has requested `most` within an hour.
select private.request_test_call(:organization_id, :id, :campaign_id, :phone, :is_own_phone, :contact_id, :contact_row,
  :requested_by, :most, :now) as at;

-- name: oldest_of_hour
-- returns: datetime | None
-- Return when the oldest test call of the last hour was requested.
select requested_at as at from test_calls
where organization_id = :organization_id and requested_at > :now::timestamptz - interval '1 hour'
order by requested_at limit 1;

-- name: is_blocked
-- returns: bool
-- Return whether a phone is on the do-not-call list for the purpose of a campaign.
select exists (
  select from do_not_call d join campaigns m on m.id = :campaign_id and m.organization_id = d.organization_id
  where d.phone = :phone and d.purpose in ('any', m.purpose)
) as is_blocked;

-- name: list_test_calls
-- returns: list[TestCallRow]
-- row: A test call. The analysis is JSON text.
-- null: contact_row, reason, from_number, sent_at, retell_call_id, outcome, disconnection_reason, started_at, ended_at,
-- null: duration_ms, cost_cents, transcript, recording_url, public_log_url, analysis, :test_call_id
-- plan: custom
-- List the test calls of a campaign, newest first, or one of them.
select id, campaign_id, phone, is_own_phone, contact_row, status, reason, requested_by, requested_at, from_number,
  sent_at, retell_call_id, outcome, disconnection_reason, started_at, ended_at, duration_ms,
  cost_cents::float8 as cost_cents, transcript, recording_url, public_log_url, analysis::text as analysis
from test_calls
where organization_id = :organization_id and campaign_id = :campaign_id
  and (:test_call_id::uuid is null or id = :test_call_id)
order by requested_at desc, id desc
limit :limit;

-- name: test_calls_of_phone
-- returns: list[TestCallToPhone]
-- row: A test call as JSON text.
-- Read what is known about the test calls to a phone, and those with the variables of the contact who has it.
select id,
  jsonb_strip_nulls(to_jsonb(t) - 'organization_id' - 'detail_ranks' - 'checks' - 'next_check_at')::text as data
from test_calls t
where organization_id = :organization_id and (phone = :phone or contact_id in (
  select k.id from contacts k where k.organization_id = :organization_id and k.phone = :phone))
order by requested_at, id;

-- name: expire_test_calls
-- returns: int
-- Remove what an organization no longer keeps of its test calls. Returns how many it has changed.
select private.expire_test_calls(:organization_id, :now) as id;
