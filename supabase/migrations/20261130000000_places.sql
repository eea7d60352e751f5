-- Where a contact may be, and what a campaign calls for: the law of the place decides when a call may start.

alter table public.contacts
  add column country text check (country ~ '^[A-Z]{2}$'),
  -- The state or province, without the country: TX, ON.
  add column region text check (region ~ '^[A-Z0-9]{1,3}$'),
  add column postal_code text check (length(postal_code) between 1 and 12),
  -- ISO 3166 codes joined with '|', whose rules all apply: US-TX, CA-ON, GB. Empty while not computed.
  add column jurisdiction_key text not null default '' check (jurisdiction_key ~ '^([A-Z]{2}(-[A-Z0-9]{1,3})?([|](?!$)|$))*$'),
  -- The version of the data that the keys were computed with. Older ones are computed again in the background.
  add column keys_version integer not null default 0;

alter table public.campaign_contacts
  -- Copied from the contact, like the zone key.
  add column jurisdiction_key text not null default '';

-- A claim reads one entry per place. With a million contacts, the table is locked for a few seconds while the index is built.
-- squawk-ignore require-concurrent-index-creation
create index campaign_contacts_places on public.campaign_contacts
  (campaign_id, zone_key, jurisdiction_key, next_attempt_at) where status = 'pending';

alter table public.campaigns
  add column purpose text not null default 'sales'
    check (purpose in ('sales', 'informational', 'survey', 'collection')),
  -- The consent that a contact must have given.
  add column consent_required text not null default 'none' check (consent_required in ('none', 'express', 'written')),
  -- Kinds of screening lists that must be current.
  add column lists_required text[] not null default '{}'
    check (lists_required <@ array['national', 'state', 'litigator', 'reassigned']);

-- Corrected keys also apply to the campaigns that the contact is already in, and may still be called in. A contact that was
-- skipped because of its place is pending again: the claim decides about the new place. The campaigns of such contacts are
-- locked first, so that none completes meanwhile, and then contacts, both in id order. The reasons are those of
-- outdial.domain.contact.
create or replace function private.copy_zone_key() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform from public.campaigns m
  where m.status in ('draft', 'scheduled', 'active', 'pausing', 'paused') and m.id in (
    select cc.campaign_id
    from after_update a
    join before_update b on b.id = a.id
      and (b.zone_key, b.jurisdiction_key) is distinct from (a.zone_key, a.jurisdiction_key)
    join public.campaign_contacts cc on cc.contact_id = a.id and cc.status = 'skipped'
  )
  order by m.id
  for share;
  with entered as materialized (
    select cc.id, a.zone_key, a.jurisdiction_key
    from after_update a
    join before_update b on b.id = a.id
      and (b.zone_key, b.jurisdiction_key) is distinct from (a.zone_key, a.jurisdiction_key)
    join public.campaign_contacts cc on cc.contact_id = a.id
      and cc.status in ('pending', 'calling', 'skipped', 'review')
    order by cc.id
    for update of cc
  )
  update public.campaign_contacts cc set zone_key = e.zone_key, jurisdiction_key = e.jurisdiction_key
  from entered e where cc.id = e.id;
  -- A statement of its own: it sees contacts that a claim skipped while the one above waited for it.
  update public.campaign_contacts cc
  set status = 'pending', status_reason = null, updated_at = a.updated_at
  from after_update a
  join before_update b on b.id = a.id
    and (b.zone_key, b.jurisdiction_key) is distinct from (a.zone_key, a.jurisdiction_key)
  where cc.contact_id = a.id and cc.status = 'skipped'
    and (cc.status_reason in (
        'its time zones are never open together in the campaign''s calling hours',
        'the calling rules of its place allow no call within the campaign''s calling hours')
      or cc.status_reason like 'calls for the purpose of the campaign are forbidden by the calling rule %')
    and exists (select from public.campaigns m where m.id = cc.campaign_id
      and m.status in ('draft', 'scheduled', 'active', 'pausing', 'paused'));
  return null;
end
$$;

grant update (country, region, postal_code, jurisdiction_key, keys_version) on public.contacts
  to authenticated, outdial_jobs;
grant insert (jurisdiction_key) on public.campaign_contacts to authenticated, outdial_jobs;
grant insert (purpose, consent_required, lists_required) on public.campaigns to authenticated;
grant update (purpose, consent_required, lists_required) on public.campaigns to authenticated;
