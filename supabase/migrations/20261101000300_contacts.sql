-- Contacts, one row per phone number of an organization, and the do-not-call list.

create table public.contacts (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  phone text not null check (phone ~ '^\+[1-9][0-9]{6,14}$'),
  name text,
  email text,
  company text,
  notes text,
  external_id text,
  timezone text,
  -- Time zones that this phone may be in: one name, or several joined with '|', all of which must be open.
  zone_key text not null check (zone_key <> ''),
  zone_source text not null check (zone_source in ('contact', 'number')),
  attributes jsonb not null default '{}' check (jsonb_typeof(attributes) = 'object'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (organization_id, phone),
  unique (organization_id, id, phone)
);

create table public.do_not_call (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  phone text not null check (phone ~ '^\+[1-9][0-9]{6,14}$'),
  source text not null check (source in ('manual', 'import', 'call')),
  reason text,
  created_at timestamptz not null default now(),
  primary key (organization_id, phone)
);

revoke all on public.contacts, public.do_not_call from anon, authenticated, service_role;
grant select, insert, update, delete on public.contacts, public.do_not_call to service_role;

alter table public.contacts enable row level security;
alter table public.contacts force row level security;
grant select, insert on public.contacts to authenticated;
grant update (name, email, company, notes, external_id, timezone, zone_key, zone_source, attributes, updated_at)
  on public.contacts to authenticated;
grant select on public.contacts to outdial_dialer;
create policy members_read on public.contacts for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy operators_insert on public.contacts for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy operators_update on public.contacts for update to authenticated
  using (organization_id = any (array(select private.my_organizations('operator'))))
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy dialer_reads on public.contacts for select to outdial_dialer
  using (organization_id = (select private.current_organization()));

alter table public.do_not_call enable row level security;
alter table public.do_not_call force row level security;
grant select, insert, delete on public.do_not_call to authenticated;
grant update (source, reason) on public.do_not_call to authenticated;
grant select on public.do_not_call to outdial_dialer;
grant select, insert on public.do_not_call to outdial_webhook;
create policy members_read on public.do_not_call for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy operators_insert on public.do_not_call for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy operators_update on public.do_not_call for update to authenticated
  using (organization_id = any (array(select private.my_organizations('operator'))))
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy admins_delete on public.do_not_call for delete to authenticated
  using (organization_id = any (array(select private.my_organizations('admin'))));
create policy dialer_reads on public.do_not_call for select to outdial_dialer
  using (organization_id = (select private.current_organization()));
create policy webhook_reads on public.do_not_call for select to outdial_webhook using (true);
create policy webhook_inserts on public.do_not_call for insert to outdial_webhook with check (source = 'call');
