-- The list of campaigns as a control room: what decides where a campaign stands in it, and the strip above it.

-- name: campaigns_of_board
-- returns: list[BoardCampaign]
-- row: A campaign of the list. `finish_at` is the end of its newest forecast while it is active.
-- null: scheduled_at, started_at, finished_at, archived_at, finish_at, :words
-- plan: custom
-- List campaigns that are archived, or that are not: those at work, scheduled or with contacts in review first, then the
-- newest.
with reviewed as materialized (
  select distinct cc.campaign_id from campaign_contacts cc
  where cc.organization_id = :organization_id and cc.status = 'review'
)
select m.id, m.name, m.status, m.scheduled_at, m.paused_automatically, m.started_at, m.finished_at, m.archived_at,
  m.created_at,
  m.id in (select campaign_id from reviewed) as has_review,
  case when m.status = 'active' then (
    select f.finish_p50 from campaign_forecasts f where f.campaign_id = m.id order by f.made_at desc, f.id desc limit 1
  ) end as finish_at
from campaigns m
where m.organization_id = :organization_id and (m.archived_at is not null) = :is_archived
  -- include: named_campaigns
order by (m.status in ('active', 'pausing', 'paused', 'cancelling', 'scheduled')
  or m.id in (select campaign_id from reviewed)) desc, m.created_at desc, m.id desc
limit :limit;

-- name: board_lines
-- returns: BoardLines
-- row: The calls that the accounts of an organization allow at once, those that are live, and its archived campaigns.
-- Count the lines of an organization.
select coalesce(sum(least(a.concurrency_limit, coalesce(a.provider_limit, a.concurrency_limit))), 0)::bigint as lines,
  coalesce(sum(live.calls + tests.calls), 0)::bigint as live_calls,
  (select count(*) from campaigns m where m.organization_id = :organization_id and m.archived_at is not null) as archived
from provider_accounts a
cross join lateral (
  select count(*) as calls from calls c
  where c.provider_account_id = a.id and c.status in ('placing', 'placed', 'ongoing', 'unknown')
) live
cross join lateral (
  select count(*) as calls from test_calls t where t.provider_account_id = a.id and t.status = 'sent'
) tests
where a.organization_id = :organization_id;

-- name: board_day
-- returns: BoardDay
-- row: The calls of an organization since a moment.
-- plan: custom
-- Count the calls of an organization since a moment. Calls that were released before a request left do not count.
select count(*) as calls, count(outcome) as finished, count(*) filter (where outcome = any (:reached::text[])) as reached,
  coalesce(sum(cost_cents), 0) as cost_cents
from calls
where organization_id = :organization_id and created_at >= :since and status <> 'released';
