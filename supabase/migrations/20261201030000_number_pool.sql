-- Caller numbers as a pool: how many calls a day each may make, how it fares, and when it rests.

alter table public.phone_numbers
  -- Most calls in 24 hours. Null for no cap.
  add column daily_cap integer check (daily_cap between 1 and 100000),
  -- The cap grows in even steps from warm_up_from until so many days later (outdial.domain.policies.number_pool).
  add column warm_up_days smallint not null default 0 check (warm_up_days between 0 and 90),
  add column warm_up_from timestamptz,
  -- Set while the provider lists the number. Null for one that was typed.
  add column imported_at timestamptz;

grant update (daily_cap, warm_up_days, warm_up_from) on public.phone_numbers to authenticated;
-- The dialer imports the numbers of the provider.
grant insert (id, organization_id, provider_account_id, phone, nickname, retell_agent_id, country, daily_cap, warm_up_days,
  warm_up_from, imported_at, created_at) on public.phone_numbers to outdial_dialer;
grant update (imported_at) on public.phone_numbers to outdial_dialer;
create policy dialer_imports on public.phone_numbers for insert to outdial_dialer
  with check (organization_id = (select private.current_organization()));
create policy dialer_marks on public.phone_numbers for update to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

-- The rest of a number and its figures. A campaign may call from a number that is not in phone_numbers, so the phone is
-- the key.
create table public.number_health (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  phone text not null check (phone ~ '^\+[1-9][0-9]{6,14}$'),
  -- No call starts from the number before this time. Its latest calls are judged from here on.
  rests_until timestamptz,
  rest_reason text check (rest_reason in ('blocked_in_a_row', 'blocked_share', 'few_answers', 'by_member')),
  rests_since timestamptz,
  -- Calls that ended within the 7 days before measured_at.
  calls integer not null default 0 check (calls >= 0),
  answered integer not null default 0 check (answered >= 0),
  voicemail integer not null default 0 check (voicemail >= 0),
  blocked integer not null default 0 check (blocked >= 0),
  measured_at timestamptz,
  primary key (organization_id, phone),
  check ((rests_until is null) = (rest_reason is null) and (rests_until is null) = (rests_since is null))
);

revoke all on public.number_health from anon, authenticated, service_role;
grant select, insert, update, delete on public.number_health to service_role;
grant select on public.number_health to authenticated, outdial_dialer;
grant insert (organization_id, phone, rests_until, rest_reason, rests_since) on public.number_health to authenticated;
grant update (rests_until, rest_reason, rests_since) on public.number_health to authenticated;
grant insert on public.number_health to outdial_dialer;
grant update (rests_until, rest_reason, rests_since, calls, answered, voicemail, blocked, measured_at)
  on public.number_health to outdial_dialer;
alter table public.number_health enable row level security;
alter table public.number_health force row level security;
create policy members_read on public.number_health for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy operators_insert on public.number_health for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy operators_update on public.number_health for update to authenticated
  using (organization_id = any (array(select private.my_organizations('operator'))))
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy dialer_works on public.number_health for all to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

create constraint trigger number_health_audited after insert or update on public.number_health
  deferrable initially deferred for each row when (pg_catalog.current_setting('role') = 'authenticated')
  execute function private.audit_direct_change('caller_number', 'phone');

-- The latest ended calls of a number, for its figures, its cap and its rest. It has ended calls only, so that most
-- changes of a call do not write it.
-- The runner keeps a migration in one transaction, where an index cannot be built concurrently.
-- squawk-ignore require-concurrent-index-creation
create index calls_caller_number on public.calls (organization_id, from_number, requested_at desc) include (outcome)
  where outcome is not null;

-- Organizations whose numbers are in use and were not measured since p_before.
create function private.organizations_to_measure(p_before timestamptz, p_limit integer)
returns table (organization_id uuid)
language sql stable security definer set search_path = ''
as $$
  select m.organization_id
  from public.campaigns m
  where m.status in ('active', 'pausing', 'paused')
    and not exists (
      select from public.number_health h
      where h.organization_id = m.organization_id and h.phone = m.from_number and h.measured_at > p_before
    )
  group by m.organization_id
  order by m.organization_id
  limit p_limit
$$;
revoke all on function private.organizations_to_measure(timestamptz, integer) from public;
grant execute on function private.organizations_to_measure(timestamptz, integer) to outdial_dialer;

-- A request to import the numbers that the provider lists for an account, and how it went.
create table public.number_imports (
  provider_account_id uuid primary key,
  organization_id uuid not null,
  requested_at timestamptz not null,
  -- When the dialer tries next. Null once the import has ended.
  next_try_at timestamptz,
  finished_at timestamptz,
  listed integer,
  added integer,
  error text,
  foreign key (organization_id, provider_account_id)
    references public.provider_accounts (organization_id, id) on delete cascade
);
create index number_imports_due on public.number_imports (next_try_at) where next_try_at is not null;
create index number_imports_organization on public.number_imports (organization_id, provider_account_id);

revoke all on public.number_imports from anon, authenticated, service_role;
grant select, insert, update, delete on public.number_imports to service_role;
grant select on public.number_imports to authenticated, outdial_dialer;
grant insert (provider_account_id, organization_id, requested_at, next_try_at) on public.number_imports to authenticated;
grant update (requested_at, next_try_at, finished_at, error) on public.number_imports to authenticated;
grant update (next_try_at, finished_at, listed, added, error) on public.number_imports to outdial_dialer;
alter table public.number_imports enable row level security;
alter table public.number_imports force row level security;
create policy members_read on public.number_imports for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy admins_insert on public.number_imports for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('admin'))));
create policy admins_update on public.number_imports for update to authenticated
  using (organization_id = any (array(select private.my_organizations('admin'))))
  with check (organization_id = any (array(select private.my_organizations('admin'))));
create policy dialer_works on public.number_imports for all to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

create function private.number_imports_due(p_now timestamptz, p_limit integer)
returns table (organization_id uuid, provider_account_id uuid)
language sql stable security definer set search_path = ''
as $$
  select n.organization_id, n.provider_account_id
  from public.number_imports n
  where n.next_try_at <= p_now
  order by n.next_try_at
  limit p_limit
$$;
revoke all on function private.number_imports_due(timestamptz, integer) from public;
grant execute on function private.number_imports_due(timestamptz, integer) to outdial_dialer;
