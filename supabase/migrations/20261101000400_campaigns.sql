-- Campaigns: agent, caller number, calling hours, retry policy and progress.

create table public.campaigns (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  provider_account_id uuid not null,
  name text not null check (length(trim(name)) between 1 and 200),
  status text not null default 'draft' check (status in
    ('draft', 'scheduled', 'active', 'pausing', 'paused', 'completed', 'cancelling', 'cancelled')),
  retell_agent_id text not null check (retell_agent_id <> ''),
  from_number text not null check (from_number ~ '^\+[1-9][0-9]{6,14}$'),
  batch_size integer not null default 10 check (batch_size between 1 and 1000),
  -- Size of a single batch requested by process_batch. The next claim uses it up.
  next_batch_size integer check (next_batch_size between 1 and 1000),
  max_concurrency integer check (max_concurrency > 0),
  calling_hours jsonb not null default '{}' check (jsonb_typeof(calling_hours) = 'object'),
  retry_policy jsonb not null default '{}' check (jsonb_typeof(retry_policy) = 'object'),
  max_attempts integer not null default 3 check (max_attempts between 1 and 50),
  dynamic_variables jsonb not null default '{}' check (jsonb_typeof(dynamic_variables) = 'object'),
  scheduled_at timestamptz,
  next_batch_at timestamptz,
  -- Why no call is being placed right now, in one word. Null while calls are placed.
  waiting_for text check (waiting_for in ('concurrency', 'pacing', 'calling_hours', 'retry', 'calls')),
  paused_reason text,
  hang_up boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  unique (organization_id, id),
  foreign key (organization_id, provider_account_id) references public.provider_accounts (organization_id, id),
  -- A campaign with work to do is always due at some time.
  constraint campaigns_looked_at check
    (status not in ('active', 'pausing', 'cancelling') or next_batch_at is not null)
);
create index campaigns_organization on public.campaigns (organization_id, created_at desc);
create index campaigns_account on public.campaigns (provider_account_id) where status = 'active';
create index campaigns_due on public.campaigns (next_batch_at) where status in ('active', 'pausing', 'cancelling');
create index campaigns_scheduled on public.campaigns (scheduled_at) where status = 'scheduled';

create trigger campaigns_arrow before update of status on public.campaigns
  for each row execute function private.check_arrow(
    'draft>scheduled', 'draft>active', 'scheduled>active', 'active>pausing', 'pausing>paused', 'pausing>active',
    'paused>active', 'active>completed', 'draft>cancelling', 'scheduled>cancelling', 'active>cancelling',
    'pausing>cancelling', 'paused>cancelling', 'cancelling>cancelled');

-- Due campaigns of all organizations, and those named by a notification. The dialer then declares the organization of
-- each.
create function private.due_campaigns(p_now timestamptz, p_limit integer, p_named uuid[])
returns table (organization_id uuid, campaign_id uuid, status text)
language sql stable security definer set search_path = ''
as $$
  select d.organization_id, d.id, d.status
  from (
    (
      select c.organization_id, c.id, c.status, c.next_batch_at
      from public.campaigns c
      where c.status in ('active', 'pausing', 'cancelling') and c.next_batch_at <= p_now
      order by c.next_batch_at
      limit p_limit
    )
    union
    select c.organization_id, c.id, c.status, c.next_batch_at
    from public.campaigns c
    where c.status in ('active', 'pausing', 'cancelling') and c.id = any (p_named)
  ) d
  order by d.next_batch_at
$$;

create function private.scheduled_campaigns(p_now timestamptz, p_limit integer)
returns table (organization_id uuid, campaign_id uuid)
language sql stable security definer set search_path = ''
as $$
  select c.organization_id, c.id
  from public.campaigns c
  where c.status = 'scheduled' and c.scheduled_at <= p_now
  order by c.scheduled_at
  limit p_limit
$$;
revoke all on function private.due_campaigns(timestamptz, integer, uuid[]) from public;
revoke all on function private.scheduled_campaigns(timestamptz, integer) from public;
grant execute on function private.due_campaigns(timestamptz, integer, uuid[]) to outdial_dialer;
grant execute on function private.scheduled_campaigns(timestamptz, integer) to outdial_dialer;

revoke all on public.campaigns from anon, authenticated, service_role;
grant select, insert, update, delete on public.campaigns to service_role;

alter table public.campaigns enable row level security;
alter table public.campaigns force row level security;
grant select on public.campaigns to authenticated, outdial_webhook, outdial_dialer;
grant insert (id, organization_id, provider_account_id, name, retell_agent_id, from_number, batch_size, max_concurrency,
  calling_hours, retry_policy, max_attempts, dynamic_variables, scheduled_at, created_at, updated_at)
  on public.campaigns to authenticated;
grant update (name, status, retell_agent_id, from_number, batch_size, next_batch_size, max_concurrency, calling_hours,
  retry_policy, max_attempts, dynamic_variables, scheduled_at, next_batch_at, waiting_for, paused_reason, hang_up,
  started_at, finished_at, updated_at)
  on public.campaigns to authenticated;
grant update (status, next_batch_at, next_batch_size, waiting_for, paused_reason, started_at, finished_at, updated_at)
  on public.campaigns to outdial_dialer;
grant update (status, next_batch_at, paused_reason, updated_at) on public.campaigns to outdial_webhook;
create policy members_read on public.campaigns for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy operators_insert on public.campaigns for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy operators_update on public.campaigns for update to authenticated
  using (organization_id = any (array(select private.my_organizations('operator'))))
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy dialer_works on public.campaigns for all to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));
create policy webhook_reads on public.campaigns for select to outdial_webhook using (true);
create policy webhook_updates on public.campaigns for update to outdial_webhook using (true) with check (true);
