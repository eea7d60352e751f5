-- name: admission_facts
-- What decides whether each of these campaigns may call now: its status and settings, its zones with pending contacts,
-- and the limits and live calls of its account. Zones are read for active campaigns only.
select m.id as campaign_id, m.status, m.scheduled_at, m.paused_reason, m.next_batch_at, m.waiting_for,
  m.calling_hours::text as calling_hours, coalesce(m.next_batch_size, m.batch_size) as batch_size, m.max_concurrency,
  least(a.concurrency_limit, coalesce(a.provider_limit, a.concurrency_limit)) as concurrency_limit,
  a.reserved_inbound, a.calls_per_second, a.rate_factor, a.next_start_at, a.backoff_until, live.account_live,
  live.campaign_live,
  (select count(*) from campaigns s where s.provider_account_id = a.id and s.status = 'active'
    and (s.id = m.id or coalesce(s.waiting_for, 'pacing') in ('concurrency', 'pacing'))) as sharers,
  pending.zone_keys, pending.first_due_ats, pending.first_reasons
from campaigns m
join provider_accounts a on a.id = m.provider_account_id
cross join lateral (
  select count(*) as account_live, count(*) filter (where c.campaign_id = m.id) as campaign_live
  from (
    select campaign_id from calls
    where provider_account_id = a.id and status in ('placing', 'placed', 'ongoing', 'unknown')
    union all
    select campaign_id from calls
    where provider_account_id = a.id and status in ('released', 'review') and next_check_at is not null
  ) c
) live
cross join lateral (
  with recursive zones as (
    (select cc.zone_key, cc.next_attempt_at, cc.status_reason from campaign_contacts cc
      where cc.campaign_id = m.id and cc.status = 'pending' and m.status = 'active'
      order by cc.zone_key, cc.next_attempt_at limit 1)
    union all
    select n.zone_key, n.next_attempt_at, n.status_reason
    from zones z
    cross join lateral (
      select cc.zone_key, cc.next_attempt_at, cc.status_reason from campaign_contacts cc
      where cc.campaign_id = m.id and cc.status = 'pending' and cc.zone_key > z.zone_key
      order by cc.zone_key, cc.next_attempt_at limit 1
    ) n
  )
  select coalesce(array_agg(zone_key), '{}') as zone_keys, coalesce(array_agg(next_attempt_at), '{}') as first_due_ats,
    coalesce(array_agg(coalesce(status_reason, '')), '{}') as first_reasons
  from zones
) pending
where m.id = any (:campaign_ids::uuid[]);
