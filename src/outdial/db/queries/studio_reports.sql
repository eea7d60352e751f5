-- name: studio_call_span
-- When the first and the last call of a campaign were made; no row without calls.
select first_at, last_at
from (
  select min(created_at) as first_at, max(created_at) as last_at
  from calls
  where campaign_id = :campaign_id
) found
where first_at is not null;

-- name: studio_call_buckets
-- Calls of a campaign by time and outcome; an empty outcome is not known yet.
select date_bin(:width, created_at, :origin) as starts_at, coalesce(outcome, '') as outcome, count(*) as calls
from calls
where campaign_id = :campaign_id and created_at >= :origin
group by 1, 2
order by 1, 2;

-- name: studio_report_by_day
-- Calls of an organization by day, numbered from 1 on, of which each begins at one of the moments given: all, those that
-- came to an outcome, and those in which somebody was reached.
select width_bucket(created_at, :starts::timestamptz[]) as day, count(*) as calls, count(outcome) as finished,
  count(*) filter (where outcome = any (:reached::text[])) as reached,
  coalesce(sum(duration_ms), 0)::bigint as talk_ms, coalesce(sum(cost_cents), 0) as cost_cents
from calls
where organization_id = :organization_id and created_at >= :since and created_at < :until
group by 1
order by 1;

-- name: studio_report_by_campaign
-- The same by campaign, the one with most calls first.
select m.id as campaign_id, m.name, m.status, f.calls, f.finished, f.reached, f.talk_ms, f.cost_cents
from (
  select campaign_id, count(*) as calls, count(outcome) as finished,
    count(*) filter (where outcome = any (:reached::text[])) as reached,
    coalesce(sum(duration_ms), 0)::bigint as talk_ms, coalesce(sum(cost_cents), 0) as cost_cents
  from calls
  where organization_id = :organization_id and created_at >= :since and created_at < :until
  group by campaign_id
) f
join campaigns m on m.id = f.campaign_id
order by f.calls desc, m.id
limit :limit;
