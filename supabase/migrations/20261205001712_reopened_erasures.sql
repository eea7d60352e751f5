-- Before calls knew their workspace, an erasure counted a call as deleted because the key of another workspace did not find
-- it. Opens those erasures again whose calls cannot have been deleted with the key that was in use, or may not have been. The
-- dialer asks for these calls again, and an admin sees which ones are out of reach. Only calls from before have no dates.

with dated as (
  select d.id, d.provider_account_id, d.confirmed_at,
    coalesce(c.created_at, t.sent_at, e.received_at - interval '1 day') as placed_from,
    coalesce(c.created_at, t.sent_at, e.received_at) as placed_until
  from public.erasure_calls d
  left join public.calls c on c.id = d.call_id
  left join lateral (
    select max(s.sent_at) as sent_at from public.test_calls s where s.retell_call_id = d.retell_call_id
  ) t on true
  left join lateral (
    select min(w.received_at) as received_at from public.webhook_events w where w.retell_call_id = d.retell_call_id
  ) e on true
  where d.confirmed_at is not null and d.confirmed_by is null and d.placed_from is null and d.placed_until is null
), periods as (
  select w.provider_account_id, w.since, w.workspace_id,
    lead(w.since) over (partition by w.provider_account_id order by w.since) as next
  from public.provider_workspaces w
), unproved as (
  select d.id, d.placed_from, d.placed_until
  from dated d
  -- The workspace whose key was in use when the call was counted as deleted.
  cross join lateral (
    select p.since, p.workspace_id from periods p
    where p.provider_account_id = d.provider_account_id and p.since <= d.confirmed_at
    order by p.since desc limit 1
  ) used
  where exists (
    select from periods p
    where p.provider_account_id = d.provider_account_id and p.since < used.since
      and p.since <= coalesce(d.placed_until, 'infinity')
      and p.next + interval '5 minutes' > coalesce(d.placed_from, '-infinity')
      and coalesce(p.workspace_id <> used.workspace_id, true)
  )
), reopened as (
  update public.erasure_calls d
  set confirmed_at = null, tries = 0, next_try_at = d.confirmed_at, placed_from = u.placed_from,
    placed_until = u.placed_until
  from unproved u
  where d.id = u.id and d.confirmed_at is not null and d.confirmed_by is null
  returning d.erasure_id
), erasures as (
  update public.erasures e
  set finished_without_proof_at = e.finished_at, finished_at = null
  where e.id in (select r.erasure_id from reopened r) and e.finished_at is not null
  returning e.id, e.organization_id, e.finished_without_proof_at
)
select private.record_audit(e.organization_id, 'service', 'reopen_erasure', 'erasure', e.id::text,
  pg_catalog.jsonb_build_object('finished_at', e.finished_without_proof_at))
from erasures e;
