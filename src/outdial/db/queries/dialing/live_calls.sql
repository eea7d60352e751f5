-- Calls that are on the line, those that have just ended, and the lines of the accounts.

-- name: list_live_calls
-- returns: list[LiveCallRow]
-- row: A call on the line, with its contact, its campaign and its agent.
-- null: name, agent_name, placed_at, started_at, :campaign_id
-- plan: custom
-- List the live calls of an organization, the longest first. It goes through the accounts, which have few live calls.
select c.id, c.campaign_id, m.name as campaign_name, m.status as campaign_status, c.campaign_contact_id, k.name,
  c.phone, c.from_number, c.attempt_number, c.status, chosen.agent_id, g.name as agent_name, c.requested_at,
  c.placed_at, c.started_at, c.hang_up_due_at is not null as is_hanging_up
from calls c
-- include: names_of_calls
where c.provider_account_id in (select a.id from provider_accounts a where a.organization_id = :organization_id)
  and c.organization_id = :organization_id
  and (:campaign_id::uuid is null or c.campaign_id = :campaign_id)
  and c.status in ('placing', 'placed', 'ongoing', 'unknown')
order by c.requested_at, c.id
limit :limit;

-- name: count_on_line
-- returns: int
-- null: :campaign_id
-- plan: custom
-- Count the live calls of an organization, or of one of its campaigns. It goes through the accounts, as list_live_calls.
select count(*) as calls from calls c
where c.provider_account_id in (select a.id from provider_accounts a where a.organization_id = :organization_id)
  and c.organization_id = :organization_id
  and (:campaign_id::uuid is null or c.campaign_id = :campaign_id)
  and c.status in ('placing', 'placed', 'ongoing', 'unknown');

-- name: list_just_ended
-- returns: list[EndedCallRow]
-- row: A call that has just ended.
-- null: name, outcome, duration_ms, agent_name, :campaign_id
-- plan: custom
-- List the calls of an organization that ended after a time, the last one first.
select c.id, c.campaign_id, m.name as campaign_name, c.campaign_contact_id, k.name, c.phone, c.from_number,
  c.attempt_number, c.outcome, chosen.agent_id, g.name as agent_name, c.ended_at, c.duration_ms
from calls c
-- include: names_of_calls
where c.organization_id = :organization_id
  and (:campaign_id::uuid is null or c.campaign_id = :campaign_id)
  and c.ended_at > :since and c.status = 'ended'
order by c.ended_at desc, c.id desc
limit :limit;

-- name: count_lines
-- returns: LineCount
-- row: The lines of the accounts, and how many of them are in use.
-- null: :campaign_id
-- Count the lines of an organization, or of the account of a campaign. A test call uses one, and so does a released call
-- that may still be on the line.
with a as (
  select id, least(concurrency_limit, coalesce(provider_limit, concurrency_limit)) as lines
  from provider_accounts
  where organization_id = :organization_id
    and (:campaign_id::uuid is null or id = (select provider_account_id from campaigns where id = :campaign_id))
)
select coalesce((select sum(lines) from a), 0)::integer as lines,
  ((select count(*) from calls c where c.provider_account_id in (select id from a)
      and c.status in ('placing', 'placed', 'ongoing', 'unknown'))
    + (select count(*) from calls c where c.provider_account_id in (select id from a)
      and c.status in ('released', 'review') and c.next_check_at is not null)
    + (select count(*) from test_calls t where t.provider_account_id in (select id from a) and t.status = 'sent')
  )::integer as in_use;

-- name: next_campaigns
-- returns: list[UUID]
-- List the campaigns of an organization that may call, the one that is checked next first.
select id from campaigns
where organization_id = :organization_id and status in ('scheduled', 'active')
order by coalesce(next_batch_at, scheduled_at), id
limit :limit;
