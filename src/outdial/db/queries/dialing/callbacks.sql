-- Callbacks that contacts have asked for.

-- name: report_late_callbacks
-- returns: list[LateCallback]
-- row: A callback that was not made in time, and why.
-- Store why callbacks of all organizations are late, once for each.
select organization_id, campaign_id, id, callback_at, reason
from private.report_late_callbacks(:due_before, :now, :limit);

-- name: list_callbacks
-- returns: list[CallbackRow]
-- row: An open callback. `summary` is that of the call in which it was asked for.
-- null: name, last_outcome, summary, callback_late, asked_in_call, :campaign_id, :after_at, :after_id
-- plan: custom
-- List the open callbacks of an organization or a campaign, the next one first. A contact can have asked for one in calls
-- with these outcomes only: the last of them is the one, also when a try of the callback has failed since.
select cc.id, cc.campaign_id, m.name as campaign_name, m.status as campaign_status, cc.contact_id, cc.phone, k.name,
  cc.zone_key, cc.callback_at, cc.next_attempt_at, cc.callbacks, cc.callback_tries, cc.callback_late, cc.last_outcome,
  cc.status = 'calling' as is_calling, c.id as asked_in_call,
  c.analysis ->> 'call_summary' as summary
from campaign_contacts cc
join campaigns m on m.id = cc.campaign_id
join contacts k on k.id = cc.contact_id
left join lateral (
  select c.id, c.analysis from calls c
  where c.campaign_contact_id = cc.id and c.outcome = any (:asked_in::text[])
  order by c.attempt_number desc limit 1
) c on true
where cc.organization_id = :organization_id and cc.callback_at is not null and cc.status in ('pending', 'calling')
  and (:campaign_id::uuid is null or cc.campaign_id = :campaign_id)
  and (:after_at::timestamptz is null or (cc.callback_at, cc.id) > (:after_at, :after_id::uuid))
order by cc.callback_at, cc.id
limit :limit;

-- name: list_callback_requests
-- returns: list[CallbackRequestRow]
-- row: A contact in review that asked for a callback, with the words in `reason`, and the call in which it asked.
-- null: name, summary, asked_in_call, :campaign_id, :after_at, :after_id
-- plan: custom
-- List the contacts in review of an organization or a campaign that asked for a callback, the longest waiting first.
select cc.id, cc.campaign_id, m.name as campaign_name, cc.phone, k.name, cc.status_reason as reason,
  cc.updated_at as since, c.id as asked_in_call, c.analysis ->> 'call_summary' as summary
from campaigns m
join campaign_contacts cc on cc.campaign_id = m.id and cc.status = 'review'
join contacts k on k.id = cc.contact_id
left join calls c on c.campaign_contact_id = cc.id and c.attempt_number = cc.call_count
where m.organization_id = :organization_id and cc.status_reason like 'the contact asked for a callback%'
  and (:campaign_id::uuid is null or m.id = :campaign_id)
  and (:after_at::timestamptz is null or (cc.updated_at, cc.id) > (:after_at, :after_id::uuid))
order by cc.updated_at, cc.id
limit :limit;

-- name: find_callback
-- returns: OpenCallback | None
-- row: A contact of a campaign with its callback, if it has one.
-- null: callback_at
-- Read a contact of an organization with its callback.
select cc.id, cc.campaign_id, cc.status, cc.zone_key, cc.callback_at
from campaign_contacts cc
where cc.id = :campaign_contact_id and cc.organization_id = :organization_id;

-- name: move_callback
-- returns: UUID | None
-- Move the callback of a pending contact. Returns None when the contact has none, or is being called.
select moved as id from private.move_callback(:organization_id, :campaign_contact_id, :callback_at, :now) as moved;

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
