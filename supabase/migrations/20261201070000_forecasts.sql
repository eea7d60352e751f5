-- Forecasts of campaigns: when each finishes and what it costs, and afterwards what really happened.

create table public.campaign_forecasts (
  id uuid primary key,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  campaign_id uuid not null,
  made_at timestamptz not null,
  -- Made when the campaign started, or because someone asked for it.
  made_for text not null check (made_for in ('start', 'request')),
  contacts integer not null check (contacts >= 0),
  past_calls integer not null check (past_calls >= 0),
  -- Of the runs of the forecast, those that left contacts because a budget was used up. Null: so many that the end is
  -- not known.
  unfinished_runs integer not null default 0 check (unfinished_runs >= 0),
  finish_p10 timestamptz,
  finish_p50 timestamptz,
  finish_p90 timestamptz,
  -- Of the calls that were still to come at `made_at`.
  cost_cents_p10 numeric(14, 4) not null,
  cost_cents_p50 numeric(14, 4) not null,
  cost_cents_p90 numeric(14, 4) not null,
  calls_p10 bigint not null,
  calls_p50 bigint not null,
  calls_p90 bigint not null,
  -- What the campaign had done before.
  spent_cents numeric(14, 4) not null default 0,
  calls_made bigint not null default 0,
  -- What happened, stored after the campaign has completed: the end, and cost and number of the calls since `made_at`.
  finished_at timestamptz,
  actual_cost_cents numeric(14, 4),
  actual_calls bigint,
  check (finish_p10 <= finish_p50 and finish_p50 <= finish_p90),
  check ((finish_p10 is null) = (finish_p90 is null) and (finish_p50 is null) = (finish_p90 is null)),
  check (cost_cents_p10 <= cost_cents_p50 and cost_cents_p50 <= cost_cents_p90),
  check ((finished_at is null) = (actual_cost_cents is null) and (finished_at is null) = (actual_calls is null)),
  foreign key (organization_id, campaign_id) references public.campaigns (organization_id, id) on delete cascade
);
create index campaign_forecasts_listed on public.campaign_forecasts (campaign_id, made_at desc, id desc);
-- Several jobs processes may forecast the start of a campaign.
create unique index campaign_forecasts_start on public.campaign_forecasts (campaign_id) where made_for = 'start';
create index campaign_forecasts_organization on public.campaign_forecasts (organization_id, campaign_id);
create index campaign_forecasts_open on public.campaign_forecasts (campaign_id) where finished_at is null;

revoke all on public.campaign_forecasts from anon, authenticated, service_role;
grant select, insert, update, delete on public.campaign_forecasts to service_role;
grant select on public.campaign_forecasts to authenticated, outdial_jobs;
-- Without what happened: only jobs write that.
grant insert (id, organization_id, campaign_id, made_at, made_for, contacts, past_calls, unfinished_runs, finish_p10,
  finish_p50, finish_p90, cost_cents_p10, cost_cents_p50, cost_cents_p90, calls_p10, calls_p50, calls_p90, spent_cents, calls_made)
  on public.campaign_forecasts to authenticated, outdial_jobs;
grant update (finished_at, actual_cost_cents, actual_calls) on public.campaign_forecasts to outdial_jobs;
alter table public.campaign_forecasts enable row level security;
alter table public.campaign_forecasts force row level security;
create policy members_read on public.campaign_forecasts for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy operators_insert on public.campaign_forecasts for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy jobs_work on public.campaign_forecasts for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

-- A forecast reads what budgets and caller numbers allow.
grant select on public.organization_budgets, public.spending to outdial_jobs;
grant select (organization_id, phone, daily_cap, warm_up_days, warm_up_from) on public.phone_numbers to outdial_jobs;
grant select (organization_id, phone, rests_until) on public.number_health to outdial_jobs;
create policy jobs_read on public.organization_budgets for select to outdial_jobs
  using (organization_id = (select private.current_organization()));
create policy jobs_read on public.spending for select to outdial_jobs
  using (organization_id = (select private.current_organization()));
create policy jobs_read on public.phone_numbers for select to outdial_jobs
  using (organization_id = (select private.current_organization()));
create policy jobs_read on public.number_health for select to outdial_jobs
  using (organization_id = (select private.current_organization()));

-- A forecast reads the limits of the account, and whether calls wait for a hook.
grant select (id, organization_id, concurrency_limit, provider_limit, reserved_inbound, calls_per_second, rate_factor,
  next_start_at, backoff_until) on public.provider_accounts to outdial_jobs;
create policy jobs_read on public.provider_accounts for select to outdial_jobs
  using (organization_id = (select private.current_organization()));
grant select (organization_id, retry_at) on public.pre_dial_hooks to outdial_jobs;
create policy jobs_read on public.pre_dial_hooks for select to outdial_jobs
  using (organization_id = (select private.current_organization()));

-- Campaigns of all organizations that have started without a forecast since `p_since`, and completed ones whose
-- forecasts are still compared with nothing.
create function private.forecasts_to_make(p_since timestamptz, p_limit integer)
returns table (organization_id uuid, campaign_id uuid)
language sql stable security definer set search_path = ''
as $$
  select m.organization_id, m.id
  from public.campaigns m
  where m.status = 'active' and m.started_at >= p_since
    and not exists (select from public.campaign_forecasts f where f.campaign_id = m.id and f.made_for = 'start')
  order by m.started_at
  limit p_limit
$$;
revoke all on function private.forecasts_to_make(timestamptz, integer) from public;
grant execute on function private.forecasts_to_make(timestamptz, integer) to outdial_jobs;

create function private.forecasts_to_compare(p_before timestamptz, p_limit integer)
returns table (organization_id uuid, campaign_id uuid)
language sql stable security definer set search_path = ''
as $$
  select distinct m.organization_id, m.id
  from public.campaign_forecasts f
  join public.campaigns m on m.id = f.campaign_id
  where f.finished_at is null and m.status = 'completed' and m.finished_at < p_before
  limit p_limit
$$;
revoke all on function private.forecasts_to_compare(timestamptz, integer) from public;
grant execute on function private.forecasts_to_compare(timestamptz, integer) to outdial_jobs;
