-- name: lock_called
-- The calls that a batch of events speaks of, with all that deciding needs: first all calls are locked, then all their
-- contacts, each in the order of ids, so that two batches never wait for each other. Events touch only calls of the
-- account whose key had signed them: the caller compares.
with c as materialized (
  select * from calls
  where id = any (:ids::uuid[]) or retell_call_id = any (:retell_call_ids::text[])
  order by id
  for update
)
select c.id, c.organization_id, c.campaign_id, c.campaign_contact_id, c.phone, c.status, c.retell_call_id,
  c.attempt_number, c.outcome, c.detail_ranks, c.disconnection_reason, c.started_at, c.ended_at, c.duration_ms,
  c.cost_cents, c.transcript, c.recording_url, c.public_log_url, c.analysis::text as analysis,
  cc.status as contact_status, cc.attempts, cc.faults, cc.call_count,
  m.status as campaign_status, m.retry_policy::text as retry_policy, m.max_attempts,
  m.provider_account_id, a.credential
from c
join campaign_contacts cc on cc.id = c.campaign_contact_id
join campaigns m on m.id = c.campaign_id
join provider_accounts a on a.id = c.provider_account_id
order by cc.id
for update of cc;

-- name: write_calls!
-- What events made of their calls, decided under the locks of lock_called.
update calls c
set status = u.status, retell_call_id = u.retell_call_id, outcome = coalesce(u.outcome, c.outcome),
  detail_ranks = u.detail_ranks::smallint[], disconnection_reason = u.disconnection_reason,
  started_at = u.started_at, ended_at = u.ended_at, duration_ms = u.duration_ms, cost_cents = u.cost_cents,
  transcript = u.transcript, recording_url = u.recording_url, public_log_url = u.public_log_url,
  analysis = u.analysis::jsonb, next_check_at = u.next_check_at, checks = 0,
  placed_at = coalesce(c.placed_at, :now), updated_at = :now
from unnest(:ids::uuid[], :statuses::text[], :retell_call_ids::text[], :outcomes::text[], :detail_ranks::text[],
  :disconnection_reasons::text[], :started_ats::timestamptz[], :ended_ats::timestamptz[], :durations_ms::bigint[],
  :costs_cents::numeric[], :transcripts::text[], :recording_urls::text[], :public_log_urls::text[],
  :analyses::text[], :next_check_ats::timestamptz[])
  as u (id, status, retell_call_id, outcome, detail_ranks, disconnection_reason, started_at, ended_at, duration_ms,
    cost_cents, transcript, recording_url, public_log_url, analysis, next_check_at)
where c.id = u.id;

-- name: write_contacts!
-- What the end of a call means for its contact, decided under the locks of lock_called.
update campaign_contacts cc
set status = u.status, attempts = u.attempts, faults = u.faults,
  next_attempt_at = coalesce(u.next_attempt_at, cc.next_attempt_at), last_outcome = u.last_outcome,
  status_reason = u.status_reason, updated_at = :now
from unnest(:ids::uuid[], :statuses::text[], :attempts::integer[], :faults::integer[],
  :next_attempt_ats::timestamptz[], :last_outcomes::text[], :status_reasons::text[])
  as u (id, status, attempts, faults, next_attempt_at, last_outcome, status_reason)
where cc.id = u.id;

-- name: add_do_not_call!
-- People who asked during a call not to be called again.
insert into do_not_call (organization_id, phone, source, reason, created_at)
select u.organization_id, u.phone, 'call', 'asked during a call', :now
from unnest(:organization_ids::uuid[], :phones::text[]) as u (organization_id, phone)
order by u.organization_id, u.phone
on conflict do nothing;

-- name: wake_campaigns!
-- An ended call frees a slot: its campaign is due now, and so are those that wait for a slot of the same account. A
-- campaign that a claim holds is passed over, for waiting here could deadlock with it; the notification reaches its
-- dialer anyway.
update campaigns
set next_batch_at = :now
where id in (
  select id from campaigns
  where (id = any (:ids::uuid[]) and status in ('active', 'pausing', 'cancelling')
      or provider_account_id = any (:provider_account_ids::uuid[]) and status = 'active'
        and waiting_for = 'concurrency')
    and next_batch_at > :now
  for update skip locked
);

-- name: notify_campaigns
-- Tells dialers, when the transaction commits, that these campaigns have something to do.
select pg_notify('outdial_campaigns', u.id::text) from unnest(:ids::uuid[]) as u (id);

-- name: pause_account!
-- The provider refuses the whole account: its campaigns stop, with the reason for a person to read.
update campaigns
set status = 'pausing', paused_reason = :reason, next_batch_at = :now, updated_at = :now
where id in (
  select id from campaigns where provider_account_id = :provider_account_id and status = 'active' order by id for update
);

-- name: store_events
-- The ledger. A delivery that came before brings no row back.
insert into webhook_events (source, credential, retell_call_id, event, body, body_sha256, status, received_at,
  applied_at, next_try_at, organization_id, call_id, error)
select 'webhook', u.credential, u.retell_call_id, u.event, u.body, u.body_sha256, u.status, u.received_at,
  case when u.status = 'applied' then :now::timestamptz end, :now, u.organization_id, u.call_id, u.error
from unnest(:credentials::text[], :retell_call_ids::text[], :events::text[], :bodies::bytea[], :hashes::bytea[],
  :statuses::text[], :received_ats::timestamptz[], :organization_ids::uuid[], :call_ids::uuid[], :errors::text[])
  as u (credential, retell_call_id, event, body, body_sha256, status, received_at, organization_id, call_id, error)
on conflict (retell_call_id, event, body_sha256, credential) do nothing
returning body_sha256, event, credential;

-- name: count_repeats!
-- Deliveries that came again, in the order of ids.
with again as materialized (
  select e.id, u.times
  from unnest(:retell_call_ids::text[], :events::text[], :hashes::bytea[], :credentials::text[], :times::integer[])
    as u (retell_call_id, event, body_sha256, credential, times)
  join webhook_events e on e.retell_call_id = u.retell_call_id and e.event = u.event
    and e.body_sha256 = u.body_sha256 and e.credential = u.credential
  order by e.id
  for update of e
)
update webhook_events e set repeats = e.repeats + again.times from again where e.id = again.id;

-- name: become_applier
-- Whether this transaction may apply stored events: one at a time does. It takes no lock of the ledger's rows, for a
-- flush that holds the calls of these events may be counting a repeat of them.
select pg_try_advisory_xact_lock(5464813023) as id;

-- name: take_pending_events
-- Stored events that wait to be applied.
select id, credential, retell_call_id, event, body, tries
from webhook_events
where status = 'pending' and next_try_at <= :now
order by next_try_at, id
limit :limit;

-- name: take_pending_event
-- One stored event that waits to be applied, alone in its transaction after its batch failed.
select id, credential, retell_call_id, event, body, tries
from webhook_events
where id = :id and status = 'pending';

-- name: mark_events!
-- What became of stored events.
update webhook_events e
set status = u.status, applied_at = case when u.status = 'applied' then :now::timestamptz else e.applied_at end,
  organization_id = coalesce(u.organization_id, e.organization_id), call_id = coalesce(u.call_id, e.call_id),
  error = u.error, tries = e.tries + 1
from unnest(:ids::bigint[], :statuses::text[], :organization_ids::uuid[], :call_ids::uuid[], :errors::text[])
  as u (id, status, organization_id, call_id, error)
where e.id = u.id and e.id in (
  select id from webhook_events where id = any (:ids::bigint[]) and status = 'pending' order by id for update
);

-- name: postpone_event!
-- An event that could not be applied waits for its next try, or is set aside for a person.
update webhook_events
set status = :status, error = :error, tries = tries + 1, next_try_at = :next_try_at
where id = :id and status = 'pending';

-- name: replay_events
-- Sends events of a range through apply once more; what they say is merged, so nothing changes that has been applied.
update webhook_events
set status = 'pending', next_try_at = :now, tries = 0, error = null
where id in (
  select id from webhook_events
  where id between :first_id and :last_id and status in ('applied', 'unmatched', 'quarantined')
    and (:status::text is null or status = :status)
    and (:organization_id::uuid is null or organization_id = :organization_id)
  order by id
  for update
)
returning id;

-- name: list_events
-- The newest events first, before an id for the next page. Planned anew each time: which index serves depends on what
-- the page is narrowed to.
select id, organization_id, call_id, source, credential, retell_call_id, event, status, received_at, applied_at,
  tries, error, repeats, octet_length(body) as bytes
from webhook_events
where id < coalesce(:before_id::bigint, 9223372036854775807)
  and (:status::text is null or status = :status)
  and (:event::text is null or event = :event)
  and (:organization_id::uuid is null or organization_id = :organization_id)
order by id desc
limit :limit;

-- name: show_event
-- One event with its raw body.
select id, organization_id, call_id, source, credential, retell_call_id, event, status, received_at, applied_at,
  tries, error, repeats, body
from webhook_events
where id = :id;

-- name: count_events
-- How many events stand where, for one organization or for all.
select event, source, status, count(*) as events, coalesce(sum(repeats), 0)::bigint as repeats
from webhook_events
where :organization_id::uuid is null or organization_id = :organization_id
group by event, source, status
order by event, source, status;
