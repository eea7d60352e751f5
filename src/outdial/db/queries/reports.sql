-- Counts of contacts and calls, by campaign, outcome and time.

-- name: count_contacts
-- returns: list[ContactCount]
-- row: Contacts of a campaign with one status, and their attempts.
-- Count the contacts of a campaign by status, from their rows.
select status, count(*) as contacts, coalesce(sum(attempts), 0)::bigint as attempts
from campaign_contacts
where campaign_id = :campaign_id
group by status;

-- name: count_calls
-- returns: list[CallCount]
-- row: Calls of a campaign with one status and outcome.
-- null: outcome
-- Count the calls of a campaign by status and outcome, from their rows.
select status, outcome, count(*) as calls, coalesce(sum(cost_cents), 0) as cost_cents,
  coalesce(sum(duration_ms), 0)::bigint as duration_ms
from calls
where campaign_id = :campaign_id
group by status, outcome;

-- name: count_contacts_by_status
-- returns: list[StatusCount]
-- row: Contacts of a campaign with one status.
-- Count contacts of campaigns that the caller may see by status, from an index alone.
select campaign_id, status, contacts from private.count_campaign_contacts(:campaign_ids::uuid[]);

-- name: count_ended_calls
-- returns: list[OutcomeCount]
-- row: Ended calls of a campaign with one outcome.
-- null: outcome
-- Count ended calls of campaigns by outcome, from an index alone.
select campaign_id, outcome, calls, cost_cents, duration_ms from private.count_ended_calls(:campaign_ids::uuid[]);

-- name: count_live_calls
-- returns: list[CampaignCallCount]
-- row: Calls of a campaign.
-- Count live calls of campaigns. It goes through the account, which has few live calls.
select campaign_id, count(*) as calls
from calls
where provider_account_id in (select provider_account_id from campaigns where id = any (:campaign_ids::uuid[]))
  and campaign_id = any (:campaign_ids::uuid[]) and status in ('placing', 'placed', 'ongoing', 'unknown')
group by campaign_id;

-- name: count_recent_calls
-- returns: list[CampaignCallCount]
-- Count calls of campaigns that were claimed after a time.
select campaign_id, count(*) as calls
from calls
where campaign_id = any (:campaign_ids::uuid[]) and created_at > :since
group by campaign_id;

-- name: call_span
-- returns: CallSpan | None
-- Return when the first and the last call of a campaign were made. Returns None without calls.
select first_at, last_at
from (
  select min(created_at) as first_at, max(created_at) as last_at
  from calls
  where campaign_id = :campaign_id
) found
where first_at is not null;

-- name: call_buckets
-- returns: list[CallBucket]
-- row: Calls of one outcome that began in one time bucket. The first bucket is number 1.
-- Count calls of a campaign by time and outcome. Buckets are numbered from 1, and each begins at one of `starts`. The
-- outcome of a call in progress is empty, and that of a call that was not placed is its status. Calls that were released
-- before a request left do not count.
select width_bucket(created_at, :starts::timestamptz[]) as bucket,
  coalesce(outcome, case when status = 'refused' then status else '' end) as outcome, count(*) as calls
from calls
where campaign_id = :campaign_id and status <> 'released'
group by 1, 2
order by 1, 2;

-- name: report_by_day
-- returns: list[DayReport]
-- row: The calls of one local day. The first day is number 1.
-- null: :campaign_id
-- plan: custom
-- Count calls of an organization, or of a campaign of it, by day. Days are numbered from 1, and each begins at one of
-- `starts`.
select width_bucket(created_at, :starts::timestamptz[]) as day, count(*) as calls, count(outcome) as finished,
  count(*) filter (where status = 'refused') as refused,
  count(*) filter (where outcome = any (:reached::text[])) as reached,
  coalesce(sum(duration_ms), 0)::bigint as talk_ms, coalesce(sum(cost_cents), 0) as cost_cents
from calls
where organization_id = :organization_id and created_at >= :since and created_at < :until
  and (:campaign_id::uuid is null or campaign_id = :campaign_id) and status <> 'released'
group by 1
order by 1;

-- name: report_by_campaign
-- returns: list[CampaignReport]
-- row: The calls of one campaign.
-- plan: custom
-- Count calls of an organization by campaign, the one with the most calls first.
select m.id as campaign_id, m.name, m.status, f.calls, f.finished, f.refused, f.reached, f.talk_ms, f.cost_cents
from (
  select campaign_id, count(*) as calls, count(outcome) as finished,
    count(*) filter (where status = 'refused') as refused,
    count(*) filter (where outcome = any (:reached::text[])) as reached,
    coalesce(sum(duration_ms), 0)::bigint as talk_ms, coalesce(sum(cost_cents), 0) as cost_cents
  from calls
  where organization_id = :organization_id and created_at >= :since and created_at < :until and status <> 'released'
  group by campaign_id
) f
join campaigns m on m.id = f.campaign_id
order by f.calls desc, m.id
limit :limit;

-- name: count_contacts_by_outcome
-- returns: list[LastOutcomeCount]
-- row: Contacts of a campaign whose last call had one outcome.
-- Count contacts of campaigns that the caller may see by the outcome of their last call, from an index alone.
select campaign_id, outcome, contacts from private.count_contacts_by_outcome(:campaign_ids::uuid[]);
