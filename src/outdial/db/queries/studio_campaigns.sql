-- name: page_of_campaigns
-- Campaigns of an organization, the newest first, from behind the last one of the page before.
select id, name, status, retell_agent_id, from_number, scheduled_at, paused_reason, started_at, finished_at, created_at
from campaigns
where organization_id = :organization_id
  and (:status::text is null or status = :status)
  and (:name::text is null or position(lower(:name) in lower(name)) > 0)
  and (:before_at::timestamptz is null or (created_at, id) < (:before_at, :before_id::uuid))
order by created_at desc, id desc
limit :limit;

-- name: count_campaign_contacts
-- Contacts of the campaigns that the caller may see, by status, from an index alone.
select campaign_id, status, contacts from private.count_campaign_contacts(:campaign_ids::uuid[]);

-- name: count_ended_calls
-- Calls of the campaigns that have ended, by outcome, from an index alone.
select campaign_id, outcome, calls, cost_cents, duration_ms from private.count_ended_calls(:campaign_ids::uuid[]);

-- name: count_live_calls
-- Calls of the campaigns that ring or talk, or may do so; through the account, whose live calls are few.
select campaign_id, count(*) as calls
from calls
where provider_account_id in (select provider_account_id from campaigns where id = any (:campaign_ids::uuid[]))
  and campaign_id = any (:campaign_ids::uuid[]) and status in ('placing', 'placed', 'ongoing', 'unknown')
group by campaign_id;

-- name: count_recent_calls
-- Calls of the campaigns that were claimed since a moment.
select campaign_id, count(*) as calls
from calls
where campaign_id = any (:campaign_ids::uuid[]) and created_at > :since
group by campaign_id;

-- name: show_settings
-- A campaign of the organization as its form has it.
select id, organization_id, provider_account_id, name, status, retell_agent_id, from_number, batch_size,
  max_concurrency, max_attempts, calling_hours::text as calling_hours, retry_policy::text as retry_policy,
  dynamic_variables::text as dynamic_variables, scheduled_at, paused_reason, created_at, updated_at, started_at,
  finished_at
from campaigns
where id = :campaign_id and organization_id = :organization_id;

-- name: lock_settings
-- Of two who save at once, the second waits, and then sees what the first has made of it.
select id from campaigns where id = :campaign_id and organization_id = :organization_id for no key update;

-- name: save_settings
-- What a person may change of a campaign that is not at work.
update campaigns
set name = :name, retell_agent_id = :retell_agent_id, from_number = :from_number, batch_size = :batch_size,
  max_concurrency = :max_concurrency, max_attempts = :max_attempts, calling_hours = :calling_hours::text::jsonb,
  retry_policy = :retry_policy::text::jsonb, dynamic_variables = :dynamic_variables::text::jsonb,
  scheduled_at = :scheduled_at, updated_at = :now
where id = :campaign_id and organization_id = :organization_id and status = any (:allowed_from::text[])
returning id;

-- name: list_callers
-- What campaigns of an organization call from: its numbers, and the account of each.
select n.phone, n.nickname, n.provider_account_id, n.retell_agent_id
from phone_numbers n
where n.organization_id = :organization_id
order by n.nickname nulls last, n.phone
limit 200;

-- name: recent_callers
-- Who talked and from which number in the newest campaigns of an organization, for the form of the next one.
select retell_agent_id, from_number
from campaigns
where organization_id = :organization_id
order by created_at desc, id desc
limit 50;
