-- name: due_campaigns
-- Campaigns of every organization that have something to do, and those that a notification has named.
select organization_id, campaign_id, status from private.due_campaigns(:now, :limit, :named::uuid[]);

-- name: lock_campaign
-- The claim begins here: until it ends nobody else claims for this campaign, and a pause waits.
select id, organization_id, provider_account_id, status, retell_agent_id, from_number,
  coalesce(next_batch_size, batch_size) as batch_size, max_concurrency, calling_hours::text as calling_hours,
  max_attempts, dynamic_variables::text as dynamic_variables
from campaigns
where id = :campaign_id and status = 'active'
for update skip locked;

-- name: lock_account
-- The row that owns the limits: everything counted against them is counted under this lock.
select id, credential, least(concurrency_limit, coalesce(provider_limit, concurrency_limit)) as concurrency_limit,
  reserved_inbound, calls_per_second, rate_factor, next_start_at, backoff_until
from provider_accounts
where id = :provider_account_id
for update;

-- name: count_live
-- Live calls of the account and of the campaign, how many campaigns want its slots, and the cap per phone. A call that
-- was given up is still asked about when evidence of it came late: it takes a slot as well.
select live.of_account as account_live, live.of_campaign as campaign_live,
  (select count(*) from campaigns m where m.provider_account_id = :provider_account_id and m.status = 'active'
    and (m.id = :campaign_id or coalesce(m.waiting_for, 'pacing') in ('concurrency', 'pacing'))) as sharers,
  (select o.daily_call_cap from organizations o where o.id = :organization_id) as daily_call_cap
from (
  select count(*) as of_account, count(*) filter (where c.campaign_id = :campaign_id) as of_campaign
  from (
    select campaign_id from calls
    where provider_account_id = :provider_account_id and status in ('placing', 'placed', 'ongoing', 'unknown')
    union all
    select campaign_id from calls
    where provider_account_id = :provider_account_id and status in ('released', 'review') and next_check_at is not null
  ) c
) live;

-- name: pending_zones
-- The zone keys of the pending contacts, each with its first due time: one index probe per zone, not a scan of all.
with recursive zones as (
  (select cc.zone_key, cc.next_attempt_at from campaign_contacts cc
    where cc.campaign_id = :campaign_id and cc.status = 'pending'
    order by cc.zone_key, cc.next_attempt_at limit 1)
  union all
  select n.zone_key, n.next_attempt_at
  from zones z
  cross join lateral (
    select cc.zone_key, cc.next_attempt_at from campaign_contacts cc
    where cc.campaign_id = :campaign_id and cc.status = 'pending' and cc.zone_key > z.zone_key
    order by cc.zone_key, cc.next_attempt_at limit 1
  ) n
)
select zone_key, next_attempt_at as first_due_at from zones;

-- name: due_contacts
-- Due contacts in open zones, the longest due first, with what decides whether each may be called now. The limits of 1
-- make a probe per contact, where `exists` may read all live calls of the organization, or its whole do-not-call list.
with candidates as (
  select d.id
  from unnest(:zones::text[]) as z (zone_key)
  cross join lateral (
    select cc.id, cc.next_attempt_at from campaign_contacts cc
    where cc.campaign_id = :campaign_id and cc.status = 'pending' and cc.zone_key = z.zone_key
      and cc.next_attempt_at <= :now
    order by cc.next_attempt_at
    limit :limit
  ) d
  order by d.next_attempt_at
  limit :limit
)
select cc.id, cc.contact_id, cc.phone, cc.zone_key, k.zone_source, cc.attempts, cc.call_count,
  cc.variables::text as variables, k.name, k.email, k.company, k.external_id, k.attributes::text as attributes,
  (select true from do_not_call d where d.organization_id = :organization_id and d.phone = cc.phone limit 1)
    is not null as do_not_call,
  (select true from calls c where c.organization_id = :organization_id and c.phone = cc.phone
    and c.status in ('placing', 'placed', 'ongoing', 'unknown') limit 1) is not null
  or (select true from calls c where c.organization_id = :organization_id and c.phone = cc.phone
    and c.status in ('released', 'review') and c.next_check_at is not null limit 1) is not null as live,
  array(select c.requested_at from calls c where c.organization_id = :organization_id and c.phone = cc.phone
    and c.requested_at > :day_ago and c.status not in ('refused', 'released')
    order by c.requested_at desc limit 100) as calls_of_the_day
from campaign_contacts cc
join contacts k on k.id = cc.contact_id
where cc.id in (select id from candidates) and cc.status = 'pending'
for update of cc skip locked;

-- name: insert_calls
-- The intent, committed before any request leaves. A phone that is live elsewhere brings no row back. The order of
-- phones keeps two accounts of an organization from waiting for each other.
insert into calls (id, organization_id, campaign_id, campaign_contact_id, contact_id, provider_account_id,
  attempt_number, phone, from_number, request, decision, requested_at, request_deadline, next_check_at, created_at,
  updated_at)
select u.id, :organization_id, :campaign_id, u.campaign_contact_id, u.contact_id, :provider_account_id,
  u.attempt_number, u.phone, :from_number, u.request::jsonb, u.decision::jsonb, u.start_at, u.deadline, u.deadline,
  :now, :now
from unnest(:ids::uuid[], :campaign_contact_ids::uuid[], :contact_ids::uuid[], :attempt_numbers::integer[],
  :phones::text[], :requests::text[], :decisions::text[], :start_ats::timestamptz[], :deadlines::timestamptz[])
  as u (id, campaign_contact_id, contact_id, attempt_number, phone, request, decision, start_at, deadline)
order by u.phone
on conflict do nothing
returning id;

-- name: mark_calling!
-- The contacts whose calls were inserted.
update campaign_contacts
set status = 'calling', call_count = call_count + 1, status_reason = null, updated_at = :now
where id = any (:ids::uuid[]) and status = 'pending';

-- name: skip_contacts!
-- Contacts that must not be called at all.
update campaign_contacts
set status = 'skipped', status_reason = :reason, updated_at = :now
where id = any (:ids::uuid[]) and status = 'pending';

-- name: skip_zones!
-- Contacts whose zones are never open together within the campaign's calling hours; one that an event holds is skipped
-- at the next look.
update campaign_contacts
set status = 'skipped', status_reason = :reason, updated_at = :now
where id in (
  select id from campaign_contacts
  where campaign_id = :campaign_id and zone_key = any (:zones::text[]) and status = 'pending'
  for update skip locked
);

-- name: defer_contacts!
-- Contacts that may be called later only: over the daily cap, or on the phone for another campaign.
update campaign_contacts cc
set next_attempt_at = u.next_attempt_at, status_reason = u.reason, updated_at = :now
from unnest(:ids::uuid[], :next_attempt_ats::timestamptz[], :reasons::text[]) as u (id, next_attempt_at, reason)
where cc.id = u.id and cc.status = 'pending';

-- name: spend_pace!
-- The account's pacing after a claim, a refusal for capacity, or a recovery; under lock_account.
update provider_accounts
set next_start_at = :next_start_at, rate_factor = :rate_factor, backoff_until = :backoff_until
where id = :provider_account_id;

-- name: set_next_batch!
-- When to look at the campaign again, and why not now.
update campaigns
set next_batch_at = :next_batch_at, waiting_for = :waiting_for, next_batch_size = null
where id = :campaign_id;

-- name: open_contacts
-- Whether a campaign still has contacts to call, or on the phone. The order makes it one probe of the index, where
-- statistics from the campaign's beginning would have all contacts read.
select
  (select true from campaign_contacts cc where cc.campaign_id = :campaign_id and cc.status = 'pending'
    order by cc.zone_key, cc.next_attempt_at limit 1) is not null as pending,
  exists (select from campaign_contacts cc where cc.campaign_id = :campaign_id and cc.status = 'calling') as calling;

-- name: complete_campaign
-- Only under lock_campaign, and only when each contact has a final status: a trigger refuses anything else.
update campaigns
set status = 'completed', finished_at = :now, next_batch_at = null, waiting_for = null, updated_at = :now
where id = :campaign_id and status = 'active'
returning id;
