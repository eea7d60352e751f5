-- name: campaign_status
-- The campaign as the caller may see it; no row when it is not there or not the caller's.
select id, organization_id, status from campaigns where id = :campaign_id;

-- name: has_contacts
-- Whether a campaign has anybody to call.
select exists (select from campaign_contacts cc where cc.campaign_id = :campaign_id) as id;

-- name: start_campaign
-- Draft and scheduled campaigns start; :allowed_from comes from the machine.
update campaigns
set status = 'active', next_batch_at = :now, paused_reason = null, waiting_for = null,
  started_at = coalesce(started_at, :now), updated_at = :now
where id = :campaign_id and status = any (:allowed_from::text[])
returning id;

-- name: schedule_campaign
-- A draft waits for its time.
update campaigns
set status = 'scheduled', scheduled_at = :scheduled_at, updated_at = :now
where id = :campaign_id and status = any (:allowed_from::text[])
returning id;

-- name: pause_campaign
-- From this moment no claim begins; requests in flight come home first.
update campaigns
set status = 'pausing', paused_reason = :reason, next_batch_at = :now, updated_at = :now
where id = :campaign_id and status = any (:allowed_from::text[])
returning id;

-- name: finish_pausing
-- Paused is said only when no request is in flight: each is answered, or given up by end_overdue_requests.
update campaigns m
set status = 'paused', next_batch_at = null, waiting_for = null, updated_at = :now
where m.id = :campaign_id and m.status = 'pausing'
  and not exists (select from calls c where c.campaign_id = m.id and c.request_deadline is not null)
returning m.id;

-- name: begin_cancelling
-- No claim begins any more; the dialer cancels the pending contacts and says when it is done. One that is being
-- cancelled already may still be told to hang up.
update campaigns
set status = 'cancelling', hang_up = :hang_up, next_batch_at = :now, paused_reason = null, updated_at = :now
where id = :campaign_id and status = any (:allowed_from::text[]) and not (status = 'cancelling' and hang_up)
returning id;

-- name: cancel_pending!
-- One portion of the pending contacts of a campaign that is being cancelled.
update campaign_contacts
set status = 'cancelled', status_reason = 'campaign cancelled', updated_at = :now
where id in (
  select id from campaign_contacts where campaign_id = :campaign_id and status = 'pending' limit :limit
  for update skip locked
);

-- name: finish_cancelling
-- Cancelled is said when each contact has a final status: nobody waits, and the calls under way have come home.
update campaigns m
set status = 'cancelled', next_batch_at = null, waiting_for = null, finished_at = :now, updated_at = :now
where m.id = :campaign_id and m.status = 'cancelling'
  and not exists (select from campaign_contacts cc where cc.campaign_id = m.id and cc.status = 'pending')
  and not exists (select from campaign_contacts cc where cc.campaign_id = m.id and cc.status = 'calling')
returning m.id;

-- name: wait_for_campaign!
-- Look again soon at a campaign that is still pausing or cancelling.
update campaigns
set next_batch_at = :next_batch_at
where id = :campaign_id and status in ('pausing', 'cancelling');

-- name: ask_for_batch
-- process_batch: the campaign is due now, once with another batch size where one is given.
update campaigns
set next_batch_at = :now, next_batch_size = coalesce(:batch_size, next_batch_size), updated_at = :now
where id = :campaign_id and status = 'active'
returning id;

-- name: start_scheduled
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

-- name: scheduled_campaigns
-- Campaigns of every organization whose time has come.
select organization_id, campaign_id from private.scheduled_campaigns(:now, :limit);

-- name: record_audit!
-- Who did what.
insert into audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
values (:organization_id, :now, :actor, :action, :subject_type, :subject_id, :details::text::jsonb);

-- name: may_operate
-- Whether the signed-in caller may run campaigns of the organization.
select :organization_id = any (array(select private.my_organizations('operator'))) as id;

-- name: find_organization
-- The organization as the caller may see it.
select id from organizations where id = :organization_id;
