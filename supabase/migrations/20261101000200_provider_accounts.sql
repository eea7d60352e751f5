-- Retell workspaces with their limits and pacing, and their caller numbers.

create table public.provider_accounts (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  name text not null check (length(trim(name)) between 1 and 200),
  -- Selects the environment variables with the secrets: 'default' reads RETELL_API_KEY and RETELL_WEBHOOK_SECRET,
  -- 'acme' reads RETELL_API_KEY_ACME and RETELL_WEBHOOK_SECRET_ACME. One workspace has one limit, hence one row.
  credential text not null default 'default' unique check (credential ~ '^[a-z][a-z0-9_]{0,62}$'),
  concurrency_limit integer not null default 20 check (concurrency_limit >= 0),
  reserved_inbound integer not null default 0 check (reserved_inbound >= 0),
  calls_per_second double precision not null default 1 check (calls_per_second > 0),
  -- Last value reported by get-concurrency. The smaller of the two limits applies.
  provider_limit integer check (provider_limit >= 0),
  -- Pacing state, read and written under the lock of this row.
  rate_factor double precision not null default 1 check (rate_factor > 0 and rate_factor <= 1),
  next_start_at timestamptz not null default '1970-01-01 00:00:00+00',
  backoff_until timestamptz,
  created_at timestamptz not null default now(),
  unique (organization_id, id)
);

create table public.phone_numbers (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  provider_account_id uuid not null,
  phone text not null check (phone ~ '^\+[1-9][0-9]{6,14}$'),
  nickname text,
  retell_agent_id text,
  country text check (country ~ '^[A-Z]{2}$'),
  created_at timestamptz not null default now(),
  unique (organization_id, phone),
  foreign key (organization_id, provider_account_id)
    references public.provider_accounts (organization_id, id) on delete cascade
);
create index phone_numbers_account on public.phone_numbers (provider_account_id);

revoke all on public.provider_accounts, public.phone_numbers from anon, authenticated, service_role;
grant select, insert, update, delete on public.provider_accounts, public.phone_numbers to service_role;

alter table public.provider_accounts enable row level security;
alter table public.provider_accounts force row level security;
grant select on public.provider_accounts to authenticated, outdial_dialer;
grant select (id, organization_id, credential) on public.provider_accounts to outdial_webhook;
-- Only the service may create accounts: naming a credential is enough to call with its key.
grant update (name, concurrency_limit, reserved_inbound, calls_per_second) on public.provider_accounts to authenticated;
grant update (provider_limit, rate_factor, next_start_at, backoff_until) on public.provider_accounts to outdial_dialer;
create policy members_read on public.provider_accounts for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy admins_update on public.provider_accounts for update to authenticated
  using (organization_id = any (array(select private.my_organizations('admin'))))
  with check (organization_id = any (array(select private.my_organizations('admin'))));
create policy dialer_works on public.provider_accounts for all to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));
create policy webhook_reads on public.provider_accounts for select to outdial_webhook using (true);

alter table public.phone_numbers enable row level security;
alter table public.phone_numbers force row level security;
grant select, insert, delete on public.phone_numbers to authenticated;
grant update (provider_account_id, nickname, retell_agent_id, country) on public.phone_numbers to authenticated;
grant select on public.phone_numbers to outdial_dialer;
create policy members_read on public.phone_numbers for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy admins_write on public.phone_numbers for all to authenticated
  using (organization_id = any (array(select private.my_organizations('admin'))))
  with check (organization_id = any (array(select private.my_organizations('admin'))));
create policy dialer_reads on public.phone_numbers for select to outdial_dialer
  using (organization_id = (select private.current_organization()));
