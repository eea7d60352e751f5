-- A contact in a campaign, and the status of the work on it.

create table public.campaign_contacts (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null,
  campaign_id uuid not null,
  contact_id uuid not null,
  -- Copied from the contact, whose phone never changes, so that a claim reads a single table.
  phone text not null,
  zone_key text not null check (zone_key <> ''),
  status text not null default 'pending' check (status in
    ('pending', 'calling', 'completed', 'failed', 'review', 'skipped', 'cancelled')),
  -- Attempts that count against the cap; faults since the last attempt; all calls so far, which numbers the next.
  attempts integer not null default 0 check (attempts >= 0),
  faults integer not null default 0 check (faults >= 0),
  call_count integer not null default 0 check (call_count >= attempts),
  next_attempt_at timestamptz not null,
  last_outcome text,
  status_reason text,
  variables jsonb not null default '{}' check (jsonb_typeof(variables) = 'object'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (campaign_id, contact_id),
  unique (organization_id, id),
  foreign key (organization_id, campaign_id) references public.campaigns (organization_id, id) on delete cascade,
  foreign key (organization_id, contact_id, phone)
    references public.contacts (organization_id, id, phone) on delete cascade
);
create index campaign_contacts_pending on public.campaign_contacts (campaign_id, zone_key, next_attempt_at)
  where status = 'pending';
create index campaign_contacts_calling on public.campaign_contacts (campaign_id) where status = 'calling';
create index campaign_contacts_status on public.campaign_contacts (campaign_id, status);
create index campaign_contacts_contact on public.campaign_contacts (contact_id);

create trigger campaign_contacts_arrow before update of status on public.campaign_contacts
  for each row execute function private.check_arrow(
    'pending>calling', 'pending>skipped', 'pending>cancelled', 'calling>pending', 'calling>completed', 'calling>failed',
    'calling>review', 'calling>cancelled', 'review>completed', 'review>failed', 'pending>completed',
    'pending>failed', 'pending>review');

-- A pending contact can be added only while the campaign accepts contacts (outdial.domain.campaign, OPEN_TO_IMPORT). The
-- lock keeps the campaign from ending before the transaction does.
create function private.check_open_campaign() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  entered record;
begin
  for entered in
    select c.id, c.status from public.campaigns c
    where c.id in (select a.campaign_id from added a where a.status in ('pending', 'calling'))
    order by c.id for share
  loop
    if entered.status not in ('draft', 'scheduled', 'active', 'pausing', 'paused') then
      raise exception 'campaign % is % and takes no contacts', entered.id, entered.status
        using errcode = 'check_violation', constraint = 'campaign_contacts_open_campaign';
    end if;
  end loop;
  return null;
end
$$;
revoke all on function private.check_open_campaign() from public;
create trigger campaign_contacts_open_campaign after insert on public.campaign_contacts
  referencing new table as added for each statement execute function private.check_open_campaign();

-- A corrected zone also applies to the campaigns that the contact is already in. Rows are locked in id order.
create function private.copy_zone_key() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  with entered as materialized (
    select cc.id, a.zone_key
    from after_update a
    join before_update b on b.id = a.id and b.zone_key is distinct from a.zone_key
    join public.campaign_contacts cc on cc.contact_id = a.id and cc.status in ('pending', 'calling')
    order by cc.id
    for update of cc
  )
  update public.campaign_contacts cc set zone_key = e.zone_key from entered e where cc.id = e.id;
  return null;
end
$$;
revoke all on function private.copy_zone_key() from public;
create trigger contacts_zone_key after update on public.contacts
  referencing old table as before_update new table as after_update
  for each statement execute function private.copy_zone_key();

revoke all on public.campaign_contacts from anon, authenticated, service_role;
grant select, insert, update, delete on public.campaign_contacts to service_role;

alter table public.campaign_contacts enable row level security;
alter table public.campaign_contacts force row level security;
grant select on public.campaign_contacts to authenticated, outdial_webhook, outdial_dialer;
grant insert (id, organization_id, campaign_id, contact_id, phone, zone_key, next_attempt_at, variables, created_at,
  updated_at) on public.campaign_contacts to authenticated;
grant update (variables, updated_at) on public.campaign_contacts to authenticated;
grant update (status, attempts, faults, call_count, next_attempt_at, last_outcome, status_reason, updated_at)
  on public.campaign_contacts to outdial_dialer;
grant update (status, attempts, faults, next_attempt_at, last_outcome, status_reason, updated_at)
  on public.campaign_contacts to outdial_webhook;
create policy members_read on public.campaign_contacts for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy operators_insert on public.campaign_contacts for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy operators_update on public.campaign_contacts for update to authenticated
  using (organization_id = any (array(select private.my_organizations('operator'))))
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy dialer_works on public.campaign_contacts for all to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));
create policy webhook_reads on public.campaign_contacts for select to outdial_webhook using (true);
create policy webhook_updates on public.campaign_contacts for update to outdial_webhook using (true) with check (true);
