-- The voice agents of a Retell workspace, read by a dialer together with the numbers: the studio has no API key.

create table public.agents (
  provider_account_id uuid not null,
  agent_id text not null check (agent_id <> ''),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  name text not null,
  is_suspended boolean not null default false,
  -- When a list had the agent last.
  seen_at timestamptz not null,
  primary key (provider_account_id, agent_id),
  foreign key (organization_id, provider_account_id) references public.provider_accounts (organization_id, id)
    on delete cascade
);
create index agents_organization on public.agents (organization_id, name);

alter table public.number_imports
  -- How many agents the newest list has. Null until one was read.
  add column agents_listed integer check (agents_listed >= 0);
grant update (agents_listed) on public.number_imports to outdial_dialer;

revoke all on public.agents from anon, authenticated, service_role;
grant select, insert, update, delete on public.agents to service_role;
grant select on public.agents to authenticated;
grant select, insert, delete on public.agents to outdial_dialer;
grant update (name, is_suspended, seen_at) on public.agents to outdial_dialer;
alter table public.agents enable row level security;
alter table public.agents force row level security;
create policy members_read on public.agents for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy dialer_works on public.agents for all to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));
