-- Counts of contacts and calls, by campaign, outcome and time.

-- name: count_contacts
-- returns: list[ContactCount]
-- Contacts of a campaign by status, counted from their rows.
select status, count(*) as contacts, coalesce(sum(attempts), 0)::bigint as attempts
from campaign_contacts
where campaign_id = :campaign_id
group by status;

-- name: count_calls
-- returns: list[CallCount]
-- null: outcome
-- Calls of a campaign by status and outcome, counted from their rows.
select status, outcome, count(*) as calls, coalesce(sum(cost_cents), 0) as cost_cents,
  coalesce(sum(duration_ms), 0)::bigint as duration_ms
from calls
where campaign_id = :campaign_id
group by status, outcome;

-- name: count_contacts_by_status
-- returns: list[StatusCount]
-- Contacts of the campaigns that the caller may see, by status, from an index alone.
select campaign_id, status, contacts from private.count_campaign_contacts(:campaign_ids::uuid[]);

-- name: count_ended_calls
-- returns: list[OutcomeCount]
-- null: outcome
-- Calls of the campaigns that have ended, by outcome, from an index alone.
select campaign_id, outcome, calls, cost_cents, duration_ms from private.count_ended_calls(:campaign_ids::uuid[]);

-- name: count_live_calls
-- returns: list[CampaignCallCount]
-- Calls of the campaigns that ring or talk, or may do so; through the account, whose live calls are few.
select campaign_id, count(*) as calls
from calls
where provider_account_id in (select provider_account_id from campaigns where id = any (:campaign_ids::uuid[]))
  and campaign_id = any (:campaign_ids::uuid[]) and status in ('placing', 'placed', 'ongoing', 'unknown')
group by campaign_id;

-- name: count_recent_calls
-- returns: list[CampaignCallCount]
-- Calls of the campaigns that were claimed since a moment.
select campaign_id, count(*) as calls
from calls
where campaign_id = any (:campaign_ids::uuid[]) and created_at > :since
group by campaign_id;

-- name: call_span
-- returns: CallSpan | None
-- When the first and the last call of a campaign were made; no row without calls.
select first_at, last_at
from (
  select min(created_at) as first_at, max(created_at) as last_at
  from calls
  where campaign_id = :campaign_id
) found
where first_at is not null;

-- name: call_buckets
-- returns: list[CallBucket]
-- Calls of a campaign by time and outcome; an empty outcome is not known yet.
select date_bin(:width, created_at, :origin) as starts_at, coalesce(outcome, '') as outcome, count(*) as calls
from calls
where campaign_id = :campaign_id and created_at >= :origin
group by 1, 2
order by 1, 2;

-- name: report_by_day
-- returns: list[DayReport]
-- plan: custom
-- Calls of an organization by day, numbered from 1 on, of which each begins at one of the moments given: all, those that
-- came to an outcome, and those in which somebody was reached.
select width_bucket(created_at, :starts::timestamptz[]) as day, count(*) as calls, count(outcome) as finished,
  count(*) filter (where outcome = any (:reached::text[])) as reached,
  coalesce(sum(duration_ms), 0)::bigint as talk_ms, coalesce(sum(cost_cents), 0) as cost_cents
from calls
where organization_id = :organization_id and created_at >= :since and created_at < :until
group by 1
order by 1;

-- name: report_by_campaign
-- returns: list[CampaignReport]
-- plan: custom
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
