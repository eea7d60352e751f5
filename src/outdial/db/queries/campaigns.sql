-- Campaigns: creating, finding, listing, showing and editing them.

-- name: create_campaign!
-- null: :max_concurrency, :scheduled_at, :reentry_after, :budget_cents
-- Insert a draft.
insert into campaigns (id, organization_id, provider_account_id, name, retell_agent_id, from_number, batch_size,
  max_concurrency, calling_hours, retry_policy, max_attempts, dynamic_variables, scheduled_at, purpose,
  consent_required, lists_required, more_numbers, callback_policy, voicemail_policy, day_parts, keep_open,
  reentry_after, budget_cents, priority, share, created_at, updated_at)
values (:id, :organization_id, :provider_account_id, :name, :retell_agent_id, :from_number, :batch_size,
  :max_concurrency, :calling_hours::text::jsonb, :retry_policy::text::jsonb, :max_attempts,
  :dynamic_variables::text::jsonb, :scheduled_at, :purpose, :consent_required, :lists_required, :more_numbers,
  :callback_policy::text::jsonb, :voicemail_policy::text::jsonb, :day_parts, :keep_open, :reentry_after, :budget_cents,
  :priority, :share, :now, :now);

-- name: list_campaigns
-- returns: list[CampaignRow]
-- row: A campaign in a list.
-- null: scheduled_at, paused_reason, started_at, finished_at, archived_at, :organization_id, :status, :words,
-- null: :is_archived, :before_at, :before_id
-- plan: custom
-- List campaigns, newest first. `before_at` and `before_id` are those of the last campaign on the previous page.
select id, organization_id, name, status, retell_agent_id, from_number, scheduled_at, paused_reason, started_at,
  finished_at, archived_at, created_at
from campaigns m
where (:organization_id::uuid is null or organization_id = :organization_id)
  and (:status::text is null or status = :status)
  -- include: named_campaigns
  and (:is_archived::boolean is null or (archived_at is not null) = :is_archived)
  and (:before_at::timestamptz is null or (created_at, id) < (:before_at, :before_id::uuid))
order by created_at desc, id desc
limit :limit;

-- name: show_campaign
-- returns: CampaignSettingsRow | None
-- row: A campaign with all its settings. Calling hours, retry policy and variables are JSON text.
-- null: max_concurrency, scheduled_at, next_batch_at, waiting_for, paused_reason, started_at, finished_at,
-- null: archived_at, reentry_after, budget_cents, :organization_id
-- Read a campaign with all its settings, of `organization_id` if that is given.
select id, organization_id, provider_account_id, name, status, retell_agent_id, from_number, batch_size,
  max_concurrency, calling_hours::text as calling_hours, retry_policy::text as retry_policy, max_attempts,
  dynamic_variables::text as dynamic_variables, scheduled_at, purpose, consent_required, lists_required, more_numbers,
  callback_policy::text as callback_policy, voicemail_policy::text as voicemail_policy, day_parts, keep_open,
  reentry_after, budget_cents, priority, share, next_batch_at,
  waiting_for, paused_reason, started_at, finished_at, archived_at, created_at, updated_at
from campaigns
where id = :campaign_id and (:organization_id::uuid is null or organization_id = :organization_id);

-- name: delete_draft
-- returns: str | None
-- Delete a draft with its contacts and imports. Returns its name; None when it is not a draft.
delete from campaigns where id = :campaign_id and status = 'draft' returning name as id;

-- name: read_campaign
-- returns: CampaignHeaderRow | None
-- row: A campaign as the header of other pages shows it. Calling hours are JSON text.
-- null: started_at, finished_at
-- Read what pages about contacts, calls and charts show of their campaign.
select id, organization_id, name, status, max_attempts, calling_hours::text as calling_hours, started_at, finished_at,
  created_at
from campaigns
where id = :campaign_id and organization_id = :organization_id;

-- name: find_campaigns
-- returns: list[FoundCampaign]
-- Find up to 10 campaigns by id, by the beginning of an id, or by name, newest first.
select id, organization_id, name, status
from campaigns
where starts_with(id::text, lower(:given)) or name = :given
order by created_at desc, id desc
limit 10;

-- name: visible_campaigns
-- returns: list[UUID]
-- Return those of the given campaigns that the caller may see.
select id from campaigns where organization_id = :organization_id and id = any (:ids::uuid[]);

-- name: dialing_plan
-- returns: DialingPlan | None
-- row: What decides when contacts of a campaign are called. Calling hours are JSON text.
-- null: scheduled_at
-- Read whether and when a campaign calls.
select organization_id, status, scheduled_at, calling_hours::text as calling_hours, purpose
from campaigns
where id = :campaign_id;

-- name: lock_campaign_settings
-- returns: UUID | None
-- null: :organization_id
-- Lock the settings of a campaign. Of two who save at once, the second waits and then sees the change of the first.
select id from campaigns
where id = :campaign_id and (:organization_id::uuid is null or organization_id = :organization_id)
for no key update;

-- name: save_campaign_settings
-- returns: UUID | None
-- null: :max_concurrency, :scheduled_at, :reentry_after, :budget_cents
-- Save the settings of a campaign.
update campaigns
set name = :name, retell_agent_id = :retell_agent_id, from_number = :from_number, batch_size = :batch_size,
  max_concurrency = :max_concurrency, max_attempts = :max_attempts, calling_hours = :calling_hours::text::jsonb,
  retry_policy = :retry_policy::text::jsonb, dynamic_variables = :dynamic_variables::text::jsonb,
  scheduled_at = :scheduled_at, purpose = :purpose, consent_required = :consent_required,
  lists_required = :lists_required, more_numbers = :more_numbers, callback_policy = :callback_policy::text::jsonb,
  voicemail_policy = :voicemail_policy::text::jsonb, day_parts = :day_parts, keep_open = :keep_open,
  reentry_after = :reentry_after, budget_cents = :budget_cents,
  budget_alerted_at = case when budget_cents is not distinct from :budget_cents then budget_alerted_at end,
  priority = :priority, share = :share, updated_at = :now
where id = :campaign_id and organization_id = :organization_id and status = any (:allowed_from::text[])
returning id;

-- name: recent_callers
-- returns: list[RecentCaller]
-- row: An agent and a number that a recent campaign used.
-- List agents and numbers of the 50 newest campaigns, to suggest them for the next one.
select retell_agent_id, from_number
from campaigns
where organization_id = :organization_id
order by created_at desc, id desc
limit 50;
