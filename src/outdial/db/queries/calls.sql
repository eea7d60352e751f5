-- Calls: one row per attempt.

-- name: insert_calls
-- returns: list[UUID]
-- null: :message_thens[], :callback_ofs[], :callback_lates[], :reserved_cents, :spent_on
-- Insert the calls before any request leaves. A phone with a live call elsewhere returns no row. The order by phone
-- keeps two accounts of an organization from deadlocking.
insert into calls (id, organization_id, campaign_id, campaign_contact_id, contact_id, provider_account_id,
  attempt_number, phone, from_number, request, decision, requested_at, request_deadline, next_check_at,
  needs_clearance, retell_agent_id, message_then, callback_of, callback_try, callback_late, reserved_cents, spent_on,
  created_at, updated_at)
select u.id, :organization_id, :campaign_id, u.campaign_contact_id, u.contact_id, :provider_account_id,
  u.attempt_number, u.phone, u.from_number, u.request::jsonb, u.decision::jsonb, u.start_at, u.deadline, u.deadline,
  :needs_clearance, :retell_agent_id, u.message_then, u.callback_of, coalesce(u.callback_try, 0), u.callback_late,
  :reserved_cents, :spent_on, :now, :now
from unnest(:ids::uuid[], :campaign_contact_ids::uuid[], :contact_ids::uuid[], :attempt_numbers::integer[],
  :phones::text[], :from_numbers::text[], :requests::text[], :decisions::text[], :start_ats::timestamptz[],
  :deadlines::timestamptz[], :message_thens::text[], :callback_ofs::timestamptz[], :callback_tries::integer[],
  :callback_lates::text[])
  as u (id, campaign_contact_id, contact_id, attempt_number, phone, from_number, request, decision, start_at, deadline,
    message_then, callback_of, callback_try, callback_late)
order by u.phone
on conflict do nothing
returning id;

-- name: lock_reported_calls
-- returns: list[ReportedCall]
-- row: A call that events report on, locked, with its contact and the retry policy of its campaign as JSON text.
-- null: retell_call_id, outcome, disconnection_reason, started_at, ended_at, duration_ms, cost_cents, transcript,
-- null: recording_url, public_log_url, analysis, message_then, decides_at, callback_at
-- Lock the calls that a batch of events reports on, with everything that the decision needs. It locks all calls first
-- and then all their contacts, each in the order of ids, so that two batches never deadlock. Events may only change
-- calls of the account whose key signed them: the caller compares credentials.
with c as materialized (
  select * from calls
  where id = any (:ids::uuid[]) or retell_call_id = any (:retell_call_ids::text[])
  order by id for update
)
-- include: reported_calls
order by cc.id
for update of cc;

-- name: lock_free_calls
-- returns: list[ReportedCall]
-- null: retell_call_id, outcome, disconnection_reason, started_at, ended_at, duration_ms, cost_cents, transcript,
-- null: recording_url, public_log_url, analysis, message_then, decides_at, callback_at
-- Lock the calls, with their contacts, that no other transaction has locked.
with c as materialized (
  select * from calls
  where id = any (:ids::uuid[]) or retell_call_id = any (:retell_call_ids::text[])
  order by id for update skip locked
)
-- include: reported_calls
order by cc.id
for update of cc skip locked;

-- name: write_calls!
-- null: :analyses[], :costs_cents[], :disconnection_reasons[], :durations_ms[], :ended_ats[], :next_check_ats[],
-- null: :outcomes[], :public_log_urls[], :recording_urls[], :retell_call_ids[], :started_ats[], :transcripts[],
-- null: :decides_ats[]
-- Write what a batch of events changes about calls. Needs lock_reported_calls.
update calls c
set status = u.status, retell_call_id = u.retell_call_id, outcome = coalesce(u.outcome, c.outcome),
  detail_ranks = u.detail_ranks::smallint[], disconnection_reason = u.disconnection_reason,
  started_at = u.started_at, ended_at = u.ended_at, duration_ms = u.duration_ms, cost_cents = u.cost_cents,
  transcript = u.transcript, recording_url = u.recording_url, public_log_url = u.public_log_url,
  analysis = u.analysis::jsonb, decides_at = u.decides_at, next_check_at = u.next_check_at, checks = 0,
  placed_at = coalesce(c.placed_at, :now), updated_at = :now
from unnest(:ids::uuid[], :statuses::text[], :retell_call_ids::text[], :outcomes::text[], :detail_ranks::text[],
  :disconnection_reasons::text[], :started_ats::timestamptz[], :ended_ats::timestamptz[], :durations_ms::bigint[],
  :costs_cents::numeric[], :transcripts::text[], :recording_urls::text[], :public_log_urls::text[],
  :analyses::text[], :next_check_ats::timestamptz[], :decides_ats::timestamptz[])
  as u (id, status, retell_call_id, outcome, detail_ranks, disconnection_reason, started_at, ended_at, duration_ms,
    cost_cents, transcript, recording_url, public_log_url, analysis, next_check_at, decides_at)
where c.id = u.id;

-- name: list_calls
-- returns: list[CallSummary]
-- row: A call in a list.
-- null: name, outcome, disconnection_reason, started_at, ended_at, duration_ms, cost_cents, :campaign_id, :status,
-- null: :outcome, :is_reviewed, :since, :until, :first_phone, :before_at, :before_id, :last_phone, :contact_ids
-- plan: custom
-- List calls of an organization, newest first, from before the call with `before_at` and `before_id`.
select c.id, c.campaign_id, m.name as campaign_name, c.campaign_contact_id, c.phone, k.name, c.attempt_number, c.status,
  c.outcome, c.disconnection_reason, c.created_at, c.started_at, c.ended_at, c.duration_ms,
  c.cost_cents::float8 as cost_cents, c.transcript is not null as has_transcript,
  c.recording_url is not null as has_recording, v.call_id is not null as is_reviewed
from calls c
join campaigns m on m.id = c.campaign_id
join contacts k on k.id = c.contact_id
left join call_reviews v on v.organization_id = c.organization_id and v.call_id = c.id
where c.organization_id = :organization_id
  -- include: selected_calls
  and (:before_at::timestamptz is null or (c.created_at, c.id) < (:before_at, :before_id::uuid))
order by c.created_at desc, c.id desc
limit :limit;

-- name: show_call
-- returns: CallDetailRow | None
-- row: A call with all its details. Decision and analysis are JSON text.
-- null: name, outcome, disconnection_reason, error, retell_call_id, placed_at, started_at, ended_at, duration_ms,
-- null: cost_cents, transcript, recording_url, public_log_url, analysis
-- Read a call of an organization with all its details.
select c.id, c.organization_id, c.campaign_id, m.name as campaign_name, c.campaign_contact_id, c.contact_id, k.name,
  c.phone, c.from_number, cc.zone_key, c.attempt_number, c.status, c.outcome, c.disconnection_reason, c.error,
  c.retell_call_id, c.requests, c.requested_at, c.placed_at, c.started_at, c.ended_at, c.duration_ms, c.cost_cents,
  (c.decision || jsonb_strip_nulls(jsonb_build_object('pre_dial_hook', c.hook_result)))::text as decision,
  c.message_then is not null and c.outcome is not distinct from 'voicemail' as voicemail_left,
  c.transcript, c.recording_url, c.public_log_url, c.analysis::text as analysis, c.created_at, c.updated_at
from calls c
join campaigns m on m.id = c.campaign_id
join campaign_contacts cc on cc.id = c.campaign_contact_id
join contacts k on k.id = c.contact_id
where c.id = :call_id and c.organization_id = :organization_id;

-- name: list_attempts
-- returns: list[AttemptRow]
-- row: A call of a campaign contact. The decision is JSON text.
-- null: outcome, disconnection_reason, error, placed_at, started_at, ended_at, duration_ms, cost_cents
-- List the calls of a campaign contact, newest first.
select id, attempt_number, status, outcome, disconnection_reason, error, requested_at, placed_at, started_at, ended_at,
  (decision || jsonb_strip_nulls(jsonb_build_object('pre_dial_hook', hook_result)))::text as decision,
  duration_ms, cost_cents, message_then is not null and outcome is not distinct from 'voicemail' as voicemail_left
from calls
where campaign_contact_id = :campaign_contact_id
order by attempt_number desc
limit :limit;
