-- Batches: which campaign is due, who claims for it, and when its next batch is.

-- name: database_time
-- returns: datetime
-- Read the database's own clock, which all dialers follow.
select clock_timestamp() as now;

-- name: due_campaigns
-- returns: list[DueCampaign]
-- List the campaigns that are due, the organizations and their accounts in turn, and those that a notification has
-- named.
select organization_id, provider_account_id, campaign_id, status, failures
from private.campaigns_in_turn(:now, :limit, :named::uuid[]);

-- name: admission_facts
-- returns: list[AdmissionFactsRow]
-- null: scheduled_at, paused_reason, next_batch_at, waiting_for, failing_reason, campaign_limit, backoff_until,
-- null: hook_retry_at, hook_failing_reason
-- Read what decides whether each of these campaigns may call now. That is its status and settings, its places with
-- pending contacts, and the limits and live calls of its account. Places are read for active campaigns only.
select m.id as campaign_id, m.organization_id, m.lists_required, m.status, m.scheduled_at, m.paused_reason,
  m.next_batch_at, m.waiting_for, m.failures, m.failing_reason, a.id as provider_account_id,
  array_prepend(m.from_number, m.more_numbers) as caller_numbers, m.calling_hours::text as calling_hours, m.purpose,
  m.keep_open, coalesce(m.next_batch_size, m.batch_size) as batch_size, m.max_concurrency as campaign_limit,
  least(a.concurrency_limit, coalesce(a.provider_limit, a.concurrency_limit)) as concurrency_limit,
  a.reserved_inbound, a.calls_per_second, a.rate_factor, a.next_start_at, a.backoff_until,
  live.account_live + (select count(*) from test_calls t where t.provider_account_id = a.id and t.status = 'sent')
    as account_live,
  live.campaign_live, coalesce(h.failures, 0) as hook_failures, h.failing_reason as hook_failing_reason,
  h.retry_at as hook_retry_at, h.organization_id is not null as has_hook,
  o.stopped_at is not null as is_stopped,
  wanting.sharers, wanting.total_weight, m.share << (m.priority - 1) as weight,
  pending.zone_keys, pending.jurisdiction_keys, pending.first_due_ats, pending.first_reasons
from campaigns m
join provider_accounts a on a.id = m.provider_account_id
join organizations o on o.id = m.organization_id
left join pre_dial_hooks h on h.organization_id = m.organization_id
cross join lateral (
  select count(*) as account_live, count(*) filter (where c.campaign_id = m.id) as campaign_live
  from (
    select campaign_id from calls
    where provider_account_id = a.id and status in ('placing', 'placed', 'ongoing', 'unknown')
    union all
    select campaign_id from calls
    where provider_account_id = a.id and status in ('released', 'review') and next_check_at is not null
  ) c
) live
cross join lateral (
  select count(*) as sharers, coalesce(sum(s.share << (s.priority - 1)), 1)::bigint as total_weight
  from campaigns s
  where s.provider_account_id = a.id and s.status = 'active'
    and (s.id = m.id or coalesce(s.waiting_for, 'pacing') in ('concurrency', 'pacing'))
) wanting
cross join lateral (
  with recursive lanes as (
    (select cc.zone_key, cc.jurisdiction_key, cc.rank, cc.next_attempt_at, cc.status_reason from campaign_contacts cc
      where cc.campaign_id = m.id and cc.status = 'pending' and m.status = 'active'
      order by cc.zone_key, cc.jurisdiction_key, cc.rank, cc.next_attempt_at limit 1)
    union all
    select n.zone_key, n.jurisdiction_key, n.rank, n.next_attempt_at, n.status_reason
    from lanes l
    cross join lateral (
      select cc.zone_key, cc.jurisdiction_key, cc.rank, cc.next_attempt_at, cc.status_reason from campaign_contacts cc
      where cc.campaign_id = m.id and cc.status = 'pending'
        and (cc.zone_key, cc.jurisdiction_key, cc.rank) > (l.zone_key, l.jurisdiction_key, l.rank)
      order by cc.zone_key, cc.jurisdiction_key, cc.rank, cc.next_attempt_at limit 1
    ) n
  ), places as (
    select distinct on (zone_key, jurisdiction_key) zone_key, jurisdiction_key, next_attempt_at, status_reason
    from lanes
    order by zone_key, jurisdiction_key, next_attempt_at
  )
  select coalesce(array_agg(zone_key), '{}') as zone_keys,
    coalesce(array_agg(jurisdiction_key), '{}') as jurisdiction_keys,
    coalesce(array_agg(next_attempt_at), '{}') as first_due_ats,
    coalesce(array_agg(coalesce(status_reason, '')), '{}') as first_reasons
  from places
) pending
where m.id = any (:campaign_ids::uuid[]);

-- name: lock_campaign
-- returns: LockedCampaign | None
-- row: An active campaign, locked for a claim. Calling hours and variables are JSON text.
-- null: campaign_limit, waiting_for, budget_cents, budget_alerted_at
-- Lock an active campaign and begin the claim. Until the transaction ends, no one else claims for it and a pause waits.
-- Contacts can be added meanwhile.
select id, organization_id, provider_account_id, status, waiting_for, retell_agent_id,
  array_prepend(from_number, more_numbers) as caller_numbers,
  coalesce(next_batch_size, batch_size) as batch_size, max_concurrency as campaign_limit,
  calling_hours::text as calling_hours,
  max_attempts, dynamic_variables::text as dynamic_variables, purpose, consent_required, lists_required,
  day_parts, voicemail_policy::text as voicemail_policy, retry_policy::text as retry_policy, keep_open, budget_cents,
  budget_alerted_at
from campaigns
where id = :campaign_id and status = 'active'
for no key update skip locked;

-- name: set_next_batch!
-- null: :waiting_for
-- Store when to look at the campaign again, and why not now.
update campaigns
set next_batch_at = :next_batch_at, waiting_for = :waiting_for, next_batch_size = null
where id = :campaign_id;

-- name: postpone_batch!
-- Schedule the next look at a campaign that is pausing or cancelling.
update campaigns
set next_batch_at = :next_batch_at
where id = :campaign_id and status in ('pausing', 'cancelling');

-- name: set_back_campaign!
-- Postpone a campaign that failed, unless it is no longer due. One that another transaction has locked stays due.
update campaigns
set next_batch_at = :next_batch_at, failures = failures + 1, failing_reason = :reason
where id in (
  select id from campaigns
  where id = :campaign_id and status in ('active', 'pausing', 'cancelling') and next_batch_at <= :now
  for no key update skip locked
);

-- name: end_failures!
-- Note that the dialer can work on a campaign again.
update campaigns set failures = 0, failing_reason = null where id = :campaign_id and failures > 0;

-- name: request_batch
-- returns: UUID | None
-- null: :batch_size
-- Make an active campaign due now, once with another batch size if one is given.
update campaigns
set next_batch_at = :now, next_batch_size = coalesce(:batch_size, next_batch_size), updated_at = :now
where id = :campaign_id and status = 'active'
returning id;

-- name: wake_campaign!
-- Make an active campaign due now, because it has new contacts.
update campaigns set next_batch_at = :now where id = :campaign_id and status = 'active' and next_batch_at > :now;

-- name: announce_contacts
-- returns: None
-- Make an active campaign due now because it has new contacts, and notify the dialers on commit. One that waits for its
-- pace is due soon anyway. One that another transaction has locked is not waited for: the notification is enough.
with woken as (
  update campaigns
  set next_batch_at = :now
  where id in (
    select id from campaigns
    where id = :campaign_id and status = 'active' and next_batch_at > :now and waiting_for is distinct from 'pacing'
      and (waiting_for is not null or next_batch_at > :now + interval '1 second')
    for no key update skip locked
  )
)
select pg_notify('outdial_campaigns', :campaign_id::uuid::text);

-- name: wake_campaigns_of_organization
-- returns: list[UUID]
-- Make the active campaigns of an organization due now, because the keys of its contacts have changed. A campaign that a
-- claim has locked is left out: it is about to look again.
update campaigns
set next_batch_at = :now
where id in (
  select id from campaigns
  where organization_id = :organization_id and status = 'active' and next_batch_at > :now
  for no key update skip locked
)
returning id;

-- name: wake_campaigns_of_account!
-- Make the active campaigns of an account due now, because it has a new API key. Unlike wake_campaigns it waits for a claim
-- that has locked one: that claim may have decided to wait for the key.
update campaigns
set next_batch_at = :now
where id in (
  select id from campaigns
  where provider_account_id = :provider_account_id and status = 'active' and next_batch_at > :now
  order by id
  for no key update
);

-- name: wake_campaigns!
-- Make campaigns due now, because a call ended and freed a slot. That includes campaigns of the same account that wait
-- for a slot or for a caller number. A campaign that a claim has locked is skipped, because waiting for it could deadlock. Its dialer gets the
-- notification anyway.
update campaigns
set next_batch_at = :now
where id in (
  select id from campaigns
  where (id = any (:ids::uuid[]) and status in ('active', 'pausing', 'cancelling')
      or provider_account_id = any (:provider_account_ids::uuid[]) and status = 'active'
        and waiting_for in ('concurrency', 'numbers'))
    and next_batch_at > :now
  for no key update skip locked
);

-- name: notify_campaigns
-- returns: None
-- Notify dialers, on commit, that these campaigns are due.
select pg_notify('outdial_campaigns', u.id::text) from unnest(:ids::uuid[]) as u (id);
