-- The pre-dial hook of an organization, and what its responses make of claimed calls.

-- name: show_hook
-- returns: PreDialHookRow | None
-- row: The hook of an organization, without its secret.
-- null: failing_reason, retry_at, responded_at
-- Read the hook of an organization, without its secret.
select url, failures, failing_reason, retry_at, responded_at, updated_at
from pre_dial_hooks where organization_id = :organization_id;

-- name: set_hook!
-- Set the hook of an organization. It starts without failures: the cause of earlier ones may be corrected.
insert into pre_dial_hooks (organization_id, url, secret, updated_at)
values (:organization_id, :url, :secret, :now)
on conflict (organization_id) do update
set url = :url, secret = :secret, failures = 0, failing_reason = null, retry_at = null, updated_at = :now;

-- name: move_hook!
-- Change the URL of the hook and keep its secret.
update pre_dial_hooks
set url = :url, failures = 0, failing_reason = null, retry_at = null, updated_at = :now
where organization_id = :organization_id;

-- name: remove_hook!
-- Remove the hook: calls that are claimed from now on need no clearance.
delete from pre_dial_hooks where organization_id = :organization_id;

-- name: hook_to_ask
-- returns: HookToAsk | None
-- row: Where to ask about calls of a campaign, and the secret that signs the request.
-- Read the hook that decides about calls of a campaign.
select h.url, h.secret, m.purpose
from pre_dial_hooks h join campaigns m on m.organization_id = h.organization_id
where m.id = :campaign_id;

-- name: record_hook_response!
-- Store that the hook has responded, at most once a minute, and end its failures. A response to an older request does
-- not end them.
update pre_dial_hooks
set failures = 0, failing_reason = null, retry_at = null, responded_at = :now
where organization_id = :organization_id and (retry_at is null or retry_at <= :asked_at)
  and (failures > 0 or responded_at is null or responded_at < :minute_ago);

-- name: record_hook_failure!
-- Store that the hook has failed, and when to ask it again: each failure in a row doubles the pause. Of requests that
-- fail side by side, the first counts.
update pre_dial_hooks
set failures = failures + 1, failing_reason = :reason,
  retry_at = :now::timestamptz + least(:first_pause::interval * power(2, least(failures, 20)), :longest_pause::interval)
where organization_id = :organization_id and (retry_at is null or retry_at <= :asked_at);

-- name: hook_retry_at
-- returns: datetime | None
-- Read when a hook that fails is asked again.
select retry_at from pre_dial_hooks where organization_id = :organization_id and failures > 0;

-- name: clear_calls
-- returns: list[UUID]
-- Store that the hook has allowed these calls. After the deadline of a request, its call is no longer the sender's: the
-- rescue releases it.
update calls c
set cleared_at = :now, hook_result = u.result::jsonb, updated_at = :now
from unnest(:ids::uuid[], :deadlines::timestamptz[], :results::text[]) as u (id, deadline, result)
where c.id = u.id and c.request_deadline = u.deadline and c.request_deadline > :now and c.status = 'placing'
  and c.needs_clearance and c.cleared_at is null
returning c.id;

-- name: release_uncleared!
-- Release calls that the hook has not allowed: their requests have never left. Their contacts are skipped or wait, and
-- no attempt is used.
with released as (
  update calls c
  set status = 'released', error = u.error, request_deadline = null, next_check_at = null, updated_at = :now,
    hook_result = u.result::jsonb
  from unnest(:ids::uuid[], :errors::text[], :results::text[], :contact_statuses::text[],
    :next_attempt_ats::timestamptz[]) as u (id, error, result, contact_status, next_attempt_at)
  where c.id = u.id and c.status in ('placing', 'unknown') and c.needs_clearance and c.cleared_at is null
  returning c.campaign_contact_id, c.campaign_id, c.attempt_number, u.error, u.contact_status, u.next_attempt_at
)
update campaign_contacts cc
set status = case when r.contact_status = 'pending' and m.status in ('cancelling', 'cancelled') then 'cancelled'
    else r.contact_status end,
  next_attempt_at = r.next_attempt_at, last_outcome = 'released', status_reason = r.error, updated_at = :now
from released r join campaigns m on m.id = r.campaign_id
where cc.id = r.campaign_contact_id and cc.call_count = r.attempt_number and cc.status = 'calling';
