-- Status changes of campaigns. Each is guarded by the statuses it may start from.

-- name: campaign_status
-- returns: CampaignState | None
-- The campaign as the caller may see it; no row when it is not there or not the caller's.
select id, organization_id, status from campaigns where id = :campaign_id;

-- name: lock_campaign_for_import
-- returns: CampaignState | None
-- Contacts are added while the campaign is open to them; it cannot complete until the transaction ends.
select id, organization_id, status from campaigns where id = :campaign_id for share;

-- name: start_campaign
-- returns: UUID | None
-- Draft and scheduled campaigns start; :allowed_from comes from the machine.
update campaigns
set status = 'active', next_batch_at = :now, paused_reason = null, waiting_for = null,
  started_at = coalesce(started_at, :now), updated_at = :now
where id = :campaign_id and status = any (:allowed_from::text[])
returning id;

-- name: schedule_campaign
-- returns: UUID | None
-- A draft waits for its time.
update campaigns
set status = 'scheduled', scheduled_at = :scheduled_at, updated_at = :now
where id = :campaign_id and status = any (:allowed_from::text[])
returning id;

-- name: scheduled_campaigns
-- returns: list[ScheduledCampaign]
-- Campaigns of every organization whose time has come.
select organization_id, campaign_id from private.scheduled_campaigns(:now, :limit);

-- name: start_scheduled_campaigns
-- returns: list[StartedCampaign]
-- null: :organization_id, :campaign_id
-- Scheduled campaigns whose time has come, among those that the caller may change.
update campaigns
set status = 'active', next_batch_at = :now, started_at = coalesce(started_at, :now), updated_at = :now
where id in (
  select id from campaigns
  where status = 'scheduled' and scheduled_at <= :now
    and (:organization_id::uuid is null or organization_id = :organization_id)
    and (:campaign_id::uuid is null or id = :campaign_id)
  order by scheduled_at limit 1000 for update skip locked
)
returning id, organization_id;

-- name: pause_campaign
-- returns: UUID | None
-- From this moment no claim begins; requests in flight come home first.
update campaigns
set status = 'pausing', paused_reason = :reason, next_batch_at = :now, updated_at = :now
where id = :campaign_id and status = any (:allowed_from::text[])
returning id;

-- name: pause_account_campaigns!
-- The provider refuses the whole account: its campaigns stop, with the reason for a person to read.
update campaigns
set status = 'pausing', paused_reason = :reason, next_batch_at = :now, updated_at = :now
where id in (
  select id from campaigns where provider_account_id = :provider_account_id and status = 'active' order by id for update
);

-- name: finish_pausing
-- returns: UUID | None
-- Paused is said only when no request is in flight: each is answered, or given up by end_overdue_requests.
update campaigns m
set status = 'paused', next_batch_at = null, waiting_for = null, updated_at = :now
where m.id = :campaign_id and m.status = 'pausing'
  and not exists (select from calls c where c.campaign_id = m.id and c.request_deadline is not null)
returning m.id;

-- name: begin_cancelling
-- returns: UUID | None
-- No claim begins any more; the dialer cancels the pending contacts and says when it is done. One that is being
-- cancelled already may still be told to hang up.
update campaigns
set status = 'cancelling', hang_up = :hang_up, next_batch_at = :now, paused_reason = null, updated_at = :now
where id = :campaign_id and status = any (:allowed_from::text[]) and not (status = 'cancelling' and hang_up)
returning id;

-- name: campaign_account
-- returns: CampaignAccount
-- The account that a campaign calls through, and whether its calls are to be hung up.
select a.id, a.credential, m.hang_up
from campaigns m join provider_accounts a on a.id = m.provider_account_id
where m.id = :campaign_id;

-- name: finish_cancelling
-- returns: UUID | None
-- Cancelled is said when each contact has a final status: nobody waits, and the calls under way have come home.
update campaigns m
set status = 'cancelled', next_batch_at = null, waiting_for = null, finished_at = :now, updated_at = :now
where m.id = :campaign_id and m.status = 'cancelling'
  and not exists (select from campaign_contacts cc where cc.campaign_id = m.id and cc.status = 'pending')
  and not exists (select from campaign_contacts cc where cc.campaign_id = m.id and cc.status = 'calling')
returning m.id;

-- name: complete_campaign
-- returns: UUID
-- Only under lock_campaign, and only when each contact has a final status: a trigger refuses anything else.
update campaigns
set status = 'completed', finished_at = :now, next_batch_at = null, waiting_for = null, updated_at = :now
where id = :campaign_id and status = 'active'
returning id;

-- name: share_active_campaign
-- returns: UUID | None
-- Whether the campaign may send requests; a pause waits until the transaction ends.
select id from campaigns where id = :campaign_id and status = 'active' for share;
