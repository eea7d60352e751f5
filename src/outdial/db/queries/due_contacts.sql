-- Pending contacts of one campaign: which are due, and what a claim makes of them.

-- name: pending_lanes
-- returns: list[PendingLane]
-- row: A lane: the pending contacts of one place and rank, and when the first of them is due.
-- List the lanes of pending contacts with their first due time. It takes one index probe per lane, not a scan of all
-- contacts.
with recursive lanes as (
  (select cc.zone_key, cc.jurisdiction_key, cc.rank, cc.next_attempt_at from campaign_contacts cc
    where cc.campaign_id = :campaign_id and cc.status = 'pending'
    order by cc.zone_key, cc.jurisdiction_key, cc.rank, cc.next_attempt_at limit 1)
  union all
  select n.zone_key, n.jurisdiction_key, n.rank, n.next_attempt_at
  from lanes l
  cross join lateral (
    select cc.zone_key, cc.jurisdiction_key, cc.rank, cc.next_attempt_at from campaign_contacts cc
    where cc.campaign_id = :campaign_id and cc.status = 'pending'
      and (cc.zone_key, cc.jurisdiction_key, cc.rank) > (l.zone_key, l.jurisdiction_key, l.rank)
    order by cc.zone_key, cc.jurisdiction_key, cc.rank, cc.next_attempt_at limit 1
  ) n
)
select zone_key, jurisdiction_key, rank, next_attempt_at as first_due_at from lanes;

-- name: due_contacts
-- returns: list[DueContact]
-- row: A due contact, locked, with what decides whether it may be called. Variables and attributes are JSON text.
-- null: name, email, company, external_id, last_number, part_due_since, callback_at, callback_late,
-- null: last_call_summary, status_reason, last_outcome
-- Lock due contacts in these lanes, by rank and then longest due first, at most :per_lane of each, with what decides
-- whether each may be called now. The limits of 1 make one probe per contact. `exists` could read all live calls of the
-- organization, or its whole do-not-call list. A call may have left its message although it changed the contact no more:
-- it was reported after a member's decision, or its end is not known. After a later refusal for the purpose, a consent
-- for any holds for other purposes only.
with candidates as (
  select d.id
  from unnest(:zone_keys::text[], :jurisdiction_keys::text[], :ranks::smallint[]) as l (zone_key, jurisdiction_key, rank)
  cross join lateral (
    select cc.id, cc.rank, cc.next_attempt_at from campaign_contacts cc
    where cc.campaign_id = :campaign_id and cc.status = 'pending' and cc.zone_key = l.zone_key
      and cc.jurisdiction_key = l.jurisdiction_key and cc.rank = l.rank and cc.next_attempt_at <= :now
    order by cc.next_attempt_at
    limit :per_lane
  ) d
  order by d.rank, d.next_attempt_at
  limit :limit
)
select cc.id, cc.contact_id, cc.phone, cc.zone_key, cc.jurisdiction_key, k.zone_source, cc.rank, cc.attempts,
  cc.call_count, cc.part_due_since, cc.voicemail_left_at is not null
  or cc.call_count > 0 and (select true from calls c where c.campaign_contact_id = cc.id and c.message_then is not null
    and (c.outcome = 'voicemail' or c.status = 'review') limit 1) is not null as has_message,
  cc.callback_at, cc.callback_tries, cc.callback_late, cc.status_reason, cc.last_outcome,
  case when cc.callback_at is not null then (select c.analysis ->> 'call_summary' from calls c
    where c.campaign_contact_id = cc.id and c.outcome = any (:asked_in::text[])
    order by c.attempt_number desc limit 1) end as last_call_summary,
  cc.variables::text as variables, k.name, k.email, k.company, k.external_id, k.attributes::text as attributes,
  (select true from do_not_call d where d.organization_id = :organization_id and d.phone = cc.phone
    and d.purpose = any (:scopes::text[]) limit 1) is not null as do_not_call,
  coalesce((select c.basis from consents c where c.organization_id = :organization_id and c.phone = cc.phone
    and c.basis in ('written', 'express') and c.scope = any (:scopes::text[]) and c.revoked_at is null
    and not exists (select from consents r where r.organization_id = c.organization_id and r.phone = c.phone
      and r.basis = 'none' and r.scope = any (:scopes::text[]) and r.given_at >= c.given_at)
    order by c.basis desc limit 1), '') as consent,
  array(select n.list_id from screened_numbers n where n.organization_id = :organization_id and n.phone = cc.phone)
    as listed_on,
  (select true from calls c where c.organization_id = :organization_id and c.phone = cc.phone
    and c.status in ('placing', 'placed', 'ongoing', 'unknown') limit 1) is not null
  or (select true from calls c where c.organization_id = :organization_id and c.phone = cc.phone
    and c.status in ('released', 'review') and c.next_check_at is not null limit 1) is not null
  or (select true from test_calls l where l.organization_id = :organization_id and l.phone = cc.phone and l.status = 'sent' limit 1)
    is not null as live,
  array(select distinct c.from_number from calls c where c.organization_id = :organization_id and c.phone = cc.phone
    and c.from_number = any (:caller_numbers::text[]) and c.outcome = 'blocked') as blocked_numbers,
  case when cardinality(:caller_numbers::text[]) > 1 then (
    select c.from_number from calls c where c.organization_id = :organization_id and c.phone = cc.phone
      and c.from_number = any (:caller_numbers::text[]) and c.status not in ('refused', 'released')
    order by c.requested_at desc limit 1) end as last_number,
  array(select c.requested_at from calls c where c.organization_id = :organization_id and c.phone = cc.phone
    and c.requested_at > :calls_since and c.status not in ('refused', 'released')
    order by c.requested_at desc limit :most_calls) as recent_calls
from campaign_contacts cc
join contacts k on k.id = cc.contact_id
where cc.id in (select id from candidates) and cc.status = 'pending'
order by cc.rank, cc.next_attempt_at
for update of cc skip locked;

-- name: mark_calling!
-- Mark the contacts whose calls were inserted.
update campaign_contacts
set status = 'calling', call_count = call_count + 1, status_reason = null, part_due_since = null, updated_at = :now
where id = any (:ids::uuid[]) and status = 'pending';

-- name: skip_contacts!
-- Skip contacts that must not be called.
update campaign_contacts
set status = 'skipped', status_reason = :reason, updated_at = :now
where id = any (:ids::uuid[]) and status = 'pending';

-- name: skip_places!
-- Skip a portion of the contacts whose places are never open within the calling hours of the campaign. Contacts that an
-- event has locked are skipped next time.
update campaign_contacts
set status = 'skipped', status_reason = :reason, updated_at = :now
where id in (
  select cc.id
  from unnest(:zone_keys::text[], :jurisdiction_keys::text[]) as p (zone_key, jurisdiction_key)
  join campaign_contacts cc on cc.campaign_id = :campaign_id and cc.zone_key = p.zone_key
    and cc.jurisdiction_key = p.jurisdiction_key and cc.status = 'pending'
  limit :limit for update of cc skip locked
);

-- name: defer_contacts!
-- Defer contacts that are over the daily cap or in a call of another campaign.
update campaign_contacts cc
set next_attempt_at = u.next_attempt_at, status_reason = u.reason, updated_at = :now
from unnest(:ids::uuid[], :next_attempt_ats::timestamptz[], :reasons::text[]) as u (id, next_attempt_at, reason)
where cc.id = u.id and cc.status = 'pending';

-- name: cancel_pending_contacts!
-- Cancel a portion of the pending contacts of a campaign that is being cancelled.
update campaign_contacts
set status = 'cancelled', status_reason = 'campaign cancelled', updated_at = :now
where id in (
  select id from campaign_contacts where campaign_id = :campaign_id and status = 'pending' limit :limit
  for update skip locked
);

-- name: remaining_contacts
-- returns: RemainingContacts
-- row: Whether a campaign has pending contacts, and contacts in a call.
-- Return whether a campaign has contacts that are pending, and contacts in a call. The order makes it one index probe.
-- Old statistics would make Postgres read all contacts otherwise.
select
  (select true from campaign_contacts cc where cc.campaign_id = :campaign_id and cc.status = 'pending'
    order by cc.zone_key, cc.jurisdiction_key, cc.rank, cc.next_attempt_at limit 1) is not null as pending,
  exists (select from campaign_contacts cc where cc.campaign_id = :campaign_id and cc.status = 'calling') as calling;
