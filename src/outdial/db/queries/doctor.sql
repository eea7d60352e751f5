-- name: doctor_limits
-- What bounds a campaign at this moment: the limits and the pace of its account, who shares it, and its live calls.
select a.id as provider_account_id,
  least(a.concurrency_limit, coalesce(a.provider_limit, a.concurrency_limit)) as concurrency_limit,
  a.reserved_inbound, a.calls_per_second, a.rate_factor, a.next_start_at, a.backoff_until, live.of_account,
  live.of_campaign,
  (select count(*) from campaigns s where s.provider_account_id = a.id and s.status = 'active'
    and (s.id = m.id or coalesce(s.waiting_for, 'pacing') in ('concurrency', 'pacing'))) as sharers
from campaigns m
join provider_accounts a on a.id = m.provider_account_id
cross join lateral (
  select count(*) as of_account, count(*) filter (where c.campaign_id = m.id) as of_campaign
  from (
    select campaign_id from calls
    where provider_account_id = a.id and status in ('placing', 'placed', 'ongoing', 'unknown')
    union all
    select campaign_id from calls
    where provider_account_id = a.id and status in ('released', 'review') and next_check_at is not null
  ) c
) live
where m.id = :campaign_id;

-- name: doctor_first_pending
-- The contact of a zone that is due first, and what it waits for.
select id, next_attempt_at, status_reason
from campaign_contacts
where campaign_id = :campaign_id and status = 'pending' and zone_key = :zone_key
order by next_attempt_at
limit 1;
