-- Callbacks that contacts have asked for.

-- name: report_late_callbacks
-- returns: list[LateCallback]
-- row: A callback that was not made in time, and why.
-- Store why callbacks of all organizations are late, once for each.
select organization_id, campaign_id, id, callback_at, reason
from private.report_late_callbacks(:due_before, :now, :limit);

-- name: list_callbacks
-- returns: list[CallbackRow]
-- row: An open callback, with what decides whether the call may start then. `words` and `summary` are those of the call in
-- row: which it was asked for; `recent_calls` are the latest calls to the phone. Calling hours are JSON text.
-- null: name, words, summary, callback_late, status_reason, asked_in_call, :campaign_id, :from_at, :until_at, :after_at
-- null: :after_id
-- plan: custom
-- List the open callbacks of an organization or a campaign, the next one first. A contact can have asked for one in calls
-- with these outcomes only: the last of them is the one, also when a try of the callback has failed since.
select cc.id, cc.campaign_id, m.name as campaign_name, m.calling_hours::text as calling_hours, m.purpose,
  m.max_attempts, o.daily_call_cap, cc.phone, k.name, cc.zone_key, cc.jurisdiction_key, cc.callback_at,
  cc.next_attempt_at, cc.attempts, cc.callbacks, cc.callback_tries, cc.callback_late, cc.status_reason,
  cc.status = 'calling' as is_calling, c.id as asked_in_call,
  left(c.analysis -> 'custom_analysis_data' ->> coalesce(m.callback_policy ->> 'time_field', 'callback_at'), 200)
    as words,
  c.analysis ->> 'call_summary' as summary,
  exists (select from do_not_call d where d.organization_id = cc.organization_id and d.phone = cc.phone
    and d.purpose in ('any', m.purpose)) as do_not_call,
  array(select r.requested_at from calls r where r.organization_id = cc.organization_id and r.phone = cc.phone
    and r.requested_at > :calls_since and r.status not in ('refused', 'released')
    order by r.requested_at desc limit 20) as recent_calls
from campaign_contacts cc
join campaigns m on m.id = cc.campaign_id
join organizations o on o.id = cc.organization_id
join contacts k on k.id = cc.contact_id
left join lateral (
  select c.id, c.analysis from calls c
  where c.campaign_contact_id = cc.id and c.outcome = any (:asked_in::text[])
  order by c.attempt_number desc limit 1
) c on true
where cc.organization_id = :organization_id and cc.callback_at is not null and cc.status in ('pending', 'calling')
  and (:campaign_id::uuid is null or cc.campaign_id = :campaign_id)
  and (:from_at::timestamptz is null or cc.callback_at >= :from_at)
  and (:until_at::timestamptz is null or cc.callback_at < :until_at)
  and (:after_at::timestamptz is null or (cc.callback_at, cc.id) > (:after_at, :after_id::uuid))
order by cc.callback_at, cc.id
limit :limit;

-- name: list_callback_requests
-- returns: list[CallbackRequestRow]
-- row: A contact in review that asked for a callback, with the words in `reason`, and the call in which it asked.
-- null: name, summary, asked_in_call, :campaign_id, :after_id
-- plan: custom
-- List the contacts in review of an organization or a campaign that asked for a callback, in the order in which they were
-- added.
select cc.id, cc.campaign_id, m.name as campaign_name, cc.phone, k.name, cc.zone_key, cc.status_reason as reason,
  cc.attempts, m.max_attempts, cc.updated_at as since, c.id as asked_in_call, c.analysis ->> 'call_summary' as summary
from campaign_contacts cc
join campaigns m on m.id = cc.campaign_id
join contacts k on k.id = cc.contact_id
left join calls c on c.campaign_contact_id = cc.id and c.attempt_number = cc.call_count
where cc.organization_id = :organization_id
  -- include: callback_requests
  and (:campaign_id::uuid is null or cc.campaign_id = :campaign_id)
  and (:after_id::uuid is null or cc.id > :after_id)
order by cc.id
limit :limit;

-- name: count_callbacks
-- returns: CallbackCounts
-- row: Callbacks from a time on, and contacts in review that asked for one.
-- null: :campaign_id
-- plan: custom
-- Count the callbacks of an organization or a campaign from a time on, and its requests that are to be decided, at most
-- `most` of each.
select
  (select count(*) from (
    select from campaign_contacts cc
    where cc.organization_id = :organization_id and cc.callback_at >= :from_at and cc.status in ('pending', 'calling')
      and (:campaign_id::uuid is null or cc.campaign_id = :campaign_id)
    limit :most
  ) l) as later,
  (select count(*) from (
    select from campaign_contacts cc
    where cc.organization_id = :organization_id
      -- include: callback_requests
      and (:campaign_id::uuid is null or cc.campaign_id = :campaign_id)
    limit :most
  ) r) as unreadable;

-- name: find_callback
-- returns: OpenCallback | None
-- row: A contact of a campaign with its callback, if it has one, and what decides about a new one. Calling hours are JSON
-- row: text.
-- null: name, callback_at
-- Read a contact of an organization with its callback.
select cc.id, cc.campaign_id, m.status as campaign_status, m.max_attempts, m.calling_hours::text as calling_hours,
  m.purpose, cc.status, cc.phone, k.name, cc.zone_key, cc.jurisdiction_key, cc.attempts, cc.call_count, cc.callback_at,
  exists (select from do_not_call d where d.organization_id = cc.organization_id and d.phone = cc.phone
    and d.purpose in ('any', m.purpose)) as do_not_call
from campaign_contacts cc
join campaigns m on m.id = cc.campaign_id
join contacts k on k.id = cc.contact_id
where cc.id = :campaign_contact_id and cc.organization_id = :organization_id;

-- name: move_callback
-- returns: UUID | None
-- Move the callback of a pending contact. Returns None when the contact has none, or is being called.
select moved as id from private.move_callback(:organization_id, :campaign_contact_id, :callback_at, :now) as moved;

-- name: set_callback
-- returns: UUID | None
-- Make a contact that is pending, finished or in review wait for a callback. Returns None when another transaction has
-- changed it or its campaign since.
select campaign_id as id
from private.set_callback(:organization_id, :campaign_contact_id, :callback_at, :by, :now) as campaign_id;

-- name: drop_callback
-- returns: UUID | None
-- null: :reason
-- End the callback of a pending contact without a call: it is done, or is called in its usual turn. Returns None when it
-- waits for none, or has no attempt left.
select campaign_id as id
from private.drop_callback(:organization_id, :campaign_contact_id, :is_done, :reason, :now) as campaign_id;

-- name: calls_to_decide
-- returns: list[UUID]
-- List calls of all organizations whose contacts have waited long enough for an analysis, and whose provider was asked
-- for it before `asked_before`. A hold that ended before `unasked_before` waits for that no longer.
select call_id as id from private.calls_to_decide(:now, :asked_before, :unasked_before, :limit);

-- name: end_holds!
-- The contacts of these calls wait no longer for the analysis. Needs lock_free_calls.
update calls set decides_at = null, updated_at = :now where id = any (:ids::uuid[]) and decides_at is not null;

-- name: note_waiting_callbacks!
-- Store why callbacks wait that are due in these places of a campaign, once for each.
update campaign_contacts cc
set status_reason = p.reason, updated_at = :now
from unnest(:zone_keys::text[], :jurisdiction_keys::text[], :reasons::text[]) as p (zone_key, jurisdiction_key, reason)
where cc.campaign_id = :campaign_id and cc.status = 'pending' and cc.zone_key = p.zone_key
  and cc.jurisdiction_key = p.jurisdiction_key and cc.rank = 0 and cc.next_attempt_at <= :now
  and cc.status_reason is null;

-- name: review_late_requests
-- returns: list[UUID]
-- Send contacts to review who asked for a callback in a call that has completed them or sent them there. Returns those
-- in review. One whose phone must not be called stays completed. Needs lock_reported_calls.
with asked as (
  select cc.id, u.reason, cc.status = 'completed' and exists (select from do_not_call d
    where d.organization_id = cc.organization_id and d.phone = cc.phone and d.purpose in ('any', m.purpose)) as blocked
  from unnest(:ids::uuid[], :reasons::text[]) as u (id, reason)
  join campaign_contacts cc on cc.id = u.id
  join campaigns m on m.id = cc.campaign_id
), changed as (
  update campaign_contacts cc
  set status = case when a.blocked then cc.status else 'review' end,
    status_reason = case when a.blocked then 'asked for a callback, but is on the do-not-call list' else a.reason end,
    -- The call in which a contact asks for a callback uses no attempt.
    attempts = greatest(cc.attempts - (cc.status = 'completed' and not a.blocked)::integer, 0), updated_at = :now
  from asked a
  where cc.id = a.id and cc.status in ('completed', 'review')
  returning cc.id, cc.status
)
select id from changed where status = 'review';

-- name: note_analysis!
-- The analysis of the calls of these completed contacts has come, after all. Needs lock_reported_calls.
update campaign_contacts
set status_reason = null, updated_at = :now
where id = any (:ids::uuid[]) and status = 'completed' and status_reason = :reason;
