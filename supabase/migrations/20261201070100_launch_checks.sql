-- The launch check of a campaign: what its workspace at the provider has, and which variables its contacts lack. Members
-- request it; a dialer, which has the API key, carries it out.

create table public.launch_checks (
  campaign_id uuid primary key,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  requested_at timestamptz not null,
  -- A dialer is at it until a minute after this.
  taken_at timestamptz,
  checked_at timestamptz,
  -- A list of {code, level, text}.
  findings jsonb not null default '[]' check (jsonb_typeof(findings) = 'array'),
  foreign key (organization_id, campaign_id) references public.campaigns (organization_id, id) on delete cascade
);
create index launch_checks_organization on public.launch_checks (organization_id, campaign_id);
create index launch_checks_due on public.launch_checks (requested_at) where checked_at is null;

revoke all on public.launch_checks from anon, authenticated, service_role;
grant select, insert, update, delete on public.launch_checks to service_role;
grant select, insert (campaign_id, organization_id, requested_at), update (requested_at, taken_at, checked_at)
  on public.launch_checks to authenticated;
grant select, update (taken_at, checked_at, findings) on public.launch_checks to outdial_dialer;
alter table public.launch_checks enable row level security;
alter table public.launch_checks force row level security;
create policy members_read on public.launch_checks for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy operators_request on public.launch_checks for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy operators_repeat on public.launch_checks for update to authenticated
  using (organization_id = any (array(select private.my_organizations('operator'))))
  with check (organization_id = any (array(select private.my_organizations('operator'))) and checked_at is null);
create policy dialer_works on public.launch_checks for all to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

create function private.launch_checks_due(p_now timestamptz, p_limit integer)
returns table (organization_id uuid, campaign_id uuid)
language sql stable security definer set search_path = ''
as $$
  select c.organization_id, c.campaign_id from public.launch_checks c
  where c.checked_at is null and (c.taken_at is null or c.taken_at < p_now - interval '1 minute')
  order by c.requested_at
  limit p_limit
$$;
revoke all on function private.launch_checks_due(timestamptz, integer) from public;
grant execute on function private.launch_checks_due(timestamptz, integer) to outdial_dialer;
