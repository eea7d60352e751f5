-- Settling calls: what the responses to their requests, or the lack of one, make of them.

-- name: lock_calls
-- returns: list[UUID]
-- Lock calls in the order of their ids, as a flush of events does.
select id from calls where id = any (:ids::uuid[]) order by id for update;

-- name: settle_placed
-- returns: int
-- Mark calls that Retell has accepted; return how many. A call that an event has moved on already stays as it is. A
-- deadline identifies the request that this response ends: clearing it in end_requests would write each row twice, which
-- took longer than all the rest.
with settled as (
  update calls c
  set status = 'placed', retell_call_id = u.retell_call_id, placed_at = :now, error = null,
    request_deadline = case when c.request_deadline = u.deadline then null else c.request_deadline end,
    next_check_at = :next_check_at, checks = 0, updated_at = :now
  from unnest(:ids::uuid[], :retell_call_ids::text[], :deadlines::timestamptz[]) as u (id, retell_call_id, deadline)
  where c.id = u.id and c.status in ('placing', 'unknown')
  returning c.id
)
select count(*) as calls from settled;

-- name: settle_refused!
-- Mark calls that Retell refused, and let their contacts fail or wait without using an attempt. A response to a request
-- that has been repeated in the meantime settles nothing.
with refused as (
  update calls c
  set status = 'refused', error = u.error, next_check_at = null, updated_at = :now
  from unnest(:ids::uuid[], :deadlines::timestamptz[], :errors::text[], :contact_statuses::text[],
    :next_attempt_ats::timestamptz[]) as u (id, deadline, error, contact_status, next_attempt_at)
  where c.id = u.id and c.request_deadline = u.deadline and c.status in ('placing', 'unknown')
  returning c.campaign_contact_id, c.campaign_id, c.attempt_number, u.error, u.contact_status, u.next_attempt_at
)
update campaign_contacts cc
set status = case when r.contact_status = 'pending' and m.status in ('cancelling', 'cancelled') then 'cancelled'
    else r.contact_status end,
  next_attempt_at = r.next_attempt_at, last_outcome = 'refused', status_reason = r.error, updated_at = :now
from refused r join campaigns m on m.id = r.campaign_id
where cc.id = r.campaign_contact_id and cc.call_count = r.attempt_number and cc.status = 'calling';

-- name: capacity_refusals
-- returns: list[CapacityRefusals]
-- row: A call refused for capacity. `earlier` calls of its contact in a row were refused for capacity just before it,
-- row: counted from the latest decision of a member. `others_placed` is whether the account has placed live calls since
-- row: the last of them.
-- Read what decides whether a refusal for capacity is about the account or about the number.
select c.id as call_id, h.earlier, h.earlier > 0 and exists (
    select from calls p
    where p.provider_account_id = c.provider_account_id and p.status in ('placing', 'placed', 'ongoing', 'unknown')
      and p.placed_at > h.refused_at
  ) as others_placed
from calls c
join campaign_contacts cc on cc.id = c.campaign_contact_id
cross join lateral (
  select count(*) as earlier, max(e.updated_at) as refused_at
  from calls e
  where e.campaign_contact_id = c.campaign_contact_id and e.attempt_number < c.attempt_number
    and e.attempt_number > cc.decided_calls
    and e.status = 'refused' and e.error like 'capacity:%'
    and not exists (
      select from calls n
      where n.campaign_contact_id = e.campaign_contact_id and n.attempt_number > e.attempt_number
        and n.attempt_number < c.attempt_number and not (n.status = 'refused' and n.error like 'capacity:%')
    )
) h
where c.id = any (:ids::uuid[]);

-- name: settle_unknown!
-- Mark calls whose response leaves open whether the call exists. No one dials again on a guess. Each such response
-- doubles the wait before the next check.
update calls c
set status = 'unknown', error = u.error, updated_at = :now::timestamptz,
  next_check_at = :now::timestamptz
    + least(:rescue_after::interval * power(2, least(c.checks, 10)), :rescue_most::interval)
from unnest(:ids::uuid[], :deadlines::timestamptz[], :errors::text[]) as u (id, deadline, error)
where c.id = u.id and c.request_deadline = u.deadline and c.status in ('placing', 'unknown');

-- name: end_requests!
-- End requests, whatever events have made of their calls. A request that has been repeated in the meantime stays open.
update calls c
set request_deadline = null
from unnest(:ids::uuid[], :deadlines::timestamptz[]) as u (id, deadline)
where c.id = u.id and c.request_deadline = u.deadline;

-- name: end_overdue_requests!
-- End requests of a campaign whose sender must have given up or died.
update calls
set request_deadline = null, status = case when status = 'placing' then 'unknown' else status end, updated_at = :now
where id in (
  select id from calls where campaign_id = :campaign_id and request_deadline <= :now order by id for update skip locked
);

-- name: move_start
-- returns: UUID | None
-- Give a call that missed its start time a new one. Its request has not been sent, and its deadline stays.
update calls
set requested_at = :start_at, updated_at = :now
where id = :call_id and request_deadline = :deadline and status in ('placing', 'unknown')
returning id;

-- name: release_unsent!
-- Release calls whose request was too late to be sent. No call was made.
with released as (
  update calls c
  set status = 'released', error = 'not sent in time', request_deadline = null, next_check_at = null, updated_at = :now
  where c.id = any (:ids::uuid[]) and c.status = 'placing' and c.requests = 1
  returning c.campaign_contact_id, c.campaign_id, c.attempt_number
)
update campaign_contacts cc
set status = case when m.status in ('cancelling', 'cancelled') then 'cancelled' else 'pending' end,
  next_attempt_at = :now, last_outcome = 'released', status_reason = null, updated_at = :now
from released r join campaigns m on m.id = r.campaign_id
where cc.id = r.campaign_contact_id and cc.call_count = r.attempt_number and cc.status = 'calling';

-- name: calls_to_check
-- returns: list[SilentCall]
-- List calls of all organizations that have been silent for too long.
select organization_id, call_id from private.calls_to_check(:now, :limit);

-- name: take_call_to_check
-- returns: CheckedCall | None
-- row: A silent call that this transaction checks. The request is JSON text.
-- null: retell_call_id, placed_at, ended_at, request_deadline, outcome, cleared_at
-- Take a silent call for a check until next_check_at. The interval doubles with each check.
update calls c
set next_check_at = :now + case when c.status in ('placing', 'unknown')
    then least(:rescue_after::interval * power(2, least(c.checks, 10)), :rescue_most::interval)
    else least(:reconcile_after::interval * power(2, least(c.checks, 10)), :reconcile_most::interval) end,
  checks = c.checks + 1,
  status = case when c.status = 'placing' and c.request_deadline <= :now then 'unknown' else c.status end,
  updated_at = :now
from campaigns m, provider_accounts a
where c.id = :call_id and c.next_check_at <= :now and m.id = c.campaign_id and a.id = c.provider_account_id
returning c.id, c.organization_id, c.campaign_id, c.campaign_contact_id, c.provider_account_id, a.credential, c.phone,
  c.from_number, c.status, c.retell_call_id, c.checks, c.created_at, c.placed_at, c.ended_at, c.request_deadline,
  c.request::text as request, c.outcome, c.analysis is not null as analyzed,
  coalesce(c.duration_ms, 0) as duration_ms, m.status as campaign_status, c.needs_clearance, c.cleared_at,
  private.workspace_of_call(c.provider_account_id, c.created_at, c.created_at, :now) as workspace;

-- name: repeat_facts
-- returns: RepeatFacts
-- row: What decides whether the contact of a call without a response may be called now, as a claim reads it.
-- null: callback_at
-- Read the facts of the contact, its campaign and the lists as they are now. The call itself does not count as a call to
-- the phone. Calling hours are JSON text.
select m.calling_hours::text as calling_hours, m.purpose, m.consent_required, m.lists_required, m.max_attempts,
  cc.zone_key, cc.jurisdiction_key, cc.attempts, t.callback_of as callback_at, o.daily_call_cap,
  (select true from do_not_call d where d.organization_id = t.organization_id and d.phone = t.phone
    and d.purpose in ('any', m.purpose) limit 1) is not null as do_not_call,
  coalesce((select c.basis from consents c where c.organization_id = t.organization_id and c.phone = t.phone
    and c.basis in ('written', 'express') and c.scope in ('any', m.purpose) and c.revoked_at is null
    and not exists (select from consents r where r.organization_id = c.organization_id and r.phone = c.phone
      and r.basis = 'none' and r.scope in ('any', m.purpose) and r.given_at >= c.given_at)
    order by c.basis desc limit 1), '') as consent,
  array(select n.list_id from screened_numbers n where n.organization_id = t.organization_id and n.phone = t.phone)
    as listed_on,
  (select true from calls c where c.organization_id = t.organization_id and c.phone = t.phone and c.id <> t.id
    and c.status in ('placing', 'placed', 'ongoing', 'unknown') limit 1) is not null
  or (select true from calls c where c.organization_id = t.organization_id and c.phone = t.phone and c.id <> t.id
    and c.status in ('released', 'review') and c.next_check_at is not null limit 1) is not null
  or (select true from test_calls l where l.organization_id = t.organization_id and l.phone = t.phone
    and l.status = 'sent' limit 1) is not null as live,
  (select true from calls c where c.organization_id = t.organization_id and c.phone = t.phone
    and c.from_number = t.from_number and c.outcome = 'blocked' limit 1) is not null as caller_blocked,
  array(select c.requested_at from calls c where c.organization_id = t.organization_id and c.phone = t.phone
    and c.id <> t.id and c.status not in ('refused', 'released')
    order by c.requested_at desc limit 1000) as recent_calls
from calls t
join campaigns m on m.id = t.campaign_id
join campaign_contacts cc on cc.id = t.campaign_contact_id
join organizations o on o.id = t.organization_id
where t.id = :call_id;

-- name: begin_resend
-- returns: UUID | None
-- Begin to send the same request with the same key again. No one else does until `deadline`. Where the organization has
-- a pre-dial hook, only a call that it has allowed is requested again. Caps count the call from its new start. A callback
-- that is late by now says why.
update calls c
set requested_at = :start_at, request_deadline = :deadline, next_check_at = :deadline, requests = c.requests + 1,
  callback_late = coalesce(c.callback_late, case when :start_at > c.callback_of + :on_time::interval
    then 'an earlier request of it had no result' end),
  updated_at = :now
where c.id = :call_id and c.status = 'unknown' and (c.request_deadline is null or c.request_deadline <= :now)
  and not exists (select from do_not_call d where d.organization_id = c.organization_id and d.phone = c.phone
    and d.purpose in ('any', (select m.purpose from campaigns m where m.id = c.campaign_id)))
  and (c.cleared_at is not null or not c.needs_clearance
    and not exists (select from pre_dial_hooks h where h.organization_id = c.organization_id))
returning c.id;

-- name: release_call!
-- Release a call that Retell does not have, and return the contact without using an attempt. The key is too old to be
-- honored. A contact under review fails, because its campaign may be completed.
with released as (
  update calls c
  set status = 'released', error = :reason, request_deadline = null, next_check_at = null, updated_at = :now
  where c.id = :call_id and c.status in ('unknown', 'review')
  returning c.campaign_contact_id, c.campaign_id, c.attempt_number
)
update campaign_contacts cc
set status = case when cc.status = 'review' then 'failed' when m.status in ('cancelling', 'cancelled') then 'cancelled'
    else 'pending' end,
  next_attempt_at = :now, last_outcome = 'released', status_reason = :reason, updated_at = :now
from released r join campaigns m on m.id = r.campaign_id
where cc.id = r.campaign_contact_id and cc.call_count = r.attempt_number and cc.status in ('calling', 'review');

-- name: review_call!
-- Mark a call for review, because no one could determine what happened to it. Its contact is not called meanwhile.
with reviewed as (
  update calls c
  set status = case when c.status = 'unknown' then 'review' else 'ended' end,
    outcome = coalesce(c.outcome, 'unknown'), ended_at = coalesce(c.ended_at, :now), error = :reason,
    request_deadline = null, next_check_at = null, updated_at = :now
  where c.id = :call_id and (c.status in ('unknown', 'placed', 'ongoing') or (c.status = 'ended' and c.outcome is null))
  returning c.campaign_contact_id, c.attempt_number
)
update campaign_contacts cc
set status = 'review', last_outcome = 'unknown', status_reason = :reason, updated_at = :now
from reviewed r
where cc.id = r.campaign_contact_id and cc.call_count = r.attempt_number and cc.status = 'calling';

-- name: stop_checking!
-- Stop checking a call that has nothing left to check.
update calls set next_check_at = null where id = :call_id and status in ('ended', 'released', 'review');
