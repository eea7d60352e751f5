-- Status changes of campaigns. Each is guarded by the statuses it may start from.

-- name: campaign_status
-- returns: CampaignState | None
-- row: A campaign with its status, and whether contacts may come later, or again.
-- null: reentry_after
-- Read the status of a campaign. Returns None when it does not exist or the caller may not see it.
select id, organization_id, status, keep_open, reentry_after from campaigns where id = :campaign_id;

-- name: lock_campaign_for_import
-- returns: CampaignState | None
-- null: reentry_after
-- Keep a campaign from ending until the transaction ends, while contacts are added. Claims and changes of its status and
-- its settings go on meanwhile: the status may be another one when the contacts are inserted.
select id, organization_id, status, keep_open, reentry_after from campaigns where id = :campaign_id for key share;

-- name: lock_to_end
-- returns: UUID | None
-- Lock a campaign against transactions that add contacts, before it completes or is cancelled. Returns None while one is
-- open. Only statements after this one see all contacts.
select id from campaigns where id = :campaign_id and status in ('active', 'cancelling') for update skip locked;

-- name: start_campaign
-- returns: UUID | None
-- Start or resume a campaign.
update campaigns
set status = 'active', next_batch_at = :now, paused_reason = null, waiting_for = null,
  started_at = coalesce(started_at, :now), updated_at = :now
where id = :campaign_id and status = any (:allowed_from::text[])
returning id;

-- name: archive_campaign
-- returns: UUID | None
-- Archive a campaign.
update campaigns
set archived_at = :now, updated_at = :now
where id = :campaign_id and archived_at is null and status = any (:allowed_from::text[])
returning id;

-- name: unarchive_campaign
-- returns: UUID | None
-- Unarchive a campaign.
update campaigns
set archived_at = null, updated_at = :now
where id = :campaign_id and archived_at is not null
returning id;

-- name: schedule_campaign
-- returns: UUID | None
-- Schedule a draft.
update campaigns
set status = 'scheduled', scheduled_at = :scheduled_at, updated_at = :now
where id = :campaign_id and status = any (:allowed_from::text[])
returning id;

-- name: scheduled_campaigns
-- returns: list[ScheduledCampaign]
-- List scheduled campaigns of all organizations whose time has come.
select organization_id, campaign_id from private.scheduled_campaigns(:now, :limit);

-- name: start_scheduled_campaigns
-- returns: list[StartedCampaign]
-- null: :organization_id, :campaign_id
-- Start the scheduled campaigns whose time has come and that the caller may change.
update campaigns
set status = 'active', next_batch_at = :now, started_at = coalesce(started_at, :now), updated_at = :now
where id in (
  select id from campaigns
  where status = 'scheduled' and scheduled_at <= :now
    and (:organization_id::uuid is null or organization_id = :organization_id)
    and (:campaign_id::uuid is null or id = :campaign_id)
  order by scheduled_at limit 1000 for no key update skip locked
)
returning id, organization_id;

-- name: begin_pausing
-- returns: UUID | None
-- Begin to pause a campaign. No claim begins after this, and requests in flight finish first.
update campaigns
set status = 'pausing', paused_reason = :reason, paused_automatically = :is_automatic, next_batch_at = :now,
  updated_at = :now
where id = :campaign_id and status = any (:allowed_from::text[])
returning id;

-- name: pause_account_campaigns!
-- Begin to pause all active campaigns of an account that the provider rejects.
update campaigns
set status = 'pausing', paused_reason = :reason, paused_automatically = true, next_batch_at = :now, updated_at = :now
where id in (
  select id from campaigns where provider_account_id = :provider_account_id and status = 'active' order by id
  for no key update
);

-- name: finish_pausing
-- returns: UUID | None
-- Pause a campaign when no request is in flight. Requests end with a response, or with end_overdue_requests.
update campaigns m
set status = 'paused', next_batch_at = null, waiting_for = null, updated_at = :now
where m.id = :campaign_id and m.status = 'pausing'
  and not exists (select from calls c where c.campaign_id = m.id and c.request_deadline is not null)
returning m.id;

-- name: begin_cancelling
-- returns: UUID | None
-- Begin to cancel a campaign. The dialer cancels the pending contacts and finishes it. `hang_up` can still be set while
-- it is being cancelled.
update campaigns
set status = 'cancelling', hang_up = :hang_up, next_batch_at = :now, paused_reason = null, updated_at = :now
where id = :campaign_id and status = any (:allowed_from::text[]) and not (status = 'cancelling' and hang_up)
returning id;

-- name: campaign_account
-- returns: CampaignAccount
-- row: The account of a campaign, and whether its calls are to be ended.
-- Read the account of a campaign, and whether its calls are to be ended.
select a.id, a.credential, m.hang_up
from campaigns m join provider_accounts a on a.id = m.provider_account_id
where m.id = :campaign_id;

-- name: finish_cancelling
-- returns: UUID | None
-- Cancel a campaign when every contact has a final status. Needs lock_to_end.
update campaigns m
set status = 'cancelled', next_batch_at = null, waiting_for = null, finished_at = :now, updated_at = :now
where m.id = :campaign_id and m.status = 'cancelling'
  and not exists (select from campaign_contacts cc where cc.campaign_id = m.id and cc.status = 'pending')
  and not exists (select from campaign_contacts cc where cc.campaign_id = m.id and cc.status = 'calling')
returning m.id;

-- name: close_campaign
-- returns: UUID | None
-- Let an open campaign complete: the dialer looks at it now.
update campaigns
set keep_open = false, next_batch_at = case when status = 'active' then :now else next_batch_at end, updated_at = :now
where id = :campaign_id and keep_open and status = any (:allowed_from::text[])
returning id;

-- name: complete_campaign
-- returns: UUID
-- Complete a campaign. Needs lock_to_end. A trigger refuses it while a contact has no final status.
update campaigns
set status = 'completed', finished_at = :now, next_batch_at = null, waiting_for = null, updated_at = :now
where id = :campaign_id and status = 'active'
returning id;

-- name: share_active_campaign
-- returns: UUID | None
-- Take a shared lock on an active campaign, so that a pause waits until the transaction ends.
select id from campaigns where id = :campaign_id and status = 'active' for share;

-- name: live_calls
-- returns: list[LiveCall]
-- List calls of a campaign that can be ended, last those in a former workspace.
select l.id, l.retell_call_id, l.workspace
from (
  select c.id, c.retell_call_id,
    private.workspace_of_call(c.provider_account_id, c.created_at, c.created_at, :now) as workspace
  from calls c
  where c.provider_account_id = :provider_account_id and c.campaign_id = :campaign_id
    and c.status in ('placed', 'ongoing') and c.retell_call_id is not null
) l
order by l.workspace = 'former'
limit :limit;
