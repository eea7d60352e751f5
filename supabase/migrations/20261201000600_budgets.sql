-- Budgets: what the calls of a campaign, and those of an organization on a day and in a month, may cost. A claim reserves
-- an estimate for each call, and the cost of the call replaces it.

create table public.organization_budgets (
  organization_id uuid primary key references public.organizations (id) on delete cascade,
  -- Days and months of the budget begin at midnight in this zone.
  time_zone text not null default 'UTC' check (length(time_zone) between 1 and 100),
  day_cents bigint check (day_cents between 0 and 1000000000000),
  month_cents bigint check (month_cents between 0 and 1000000000000),
  -- The day and the first day of the month whose budget was last reported as nearly used up.
  day_alerted_on date,
  month_alerted_on date,
  updated_at timestamptz not null
);
revoke all on public.organization_budgets from anon, authenticated, service_role;
grant select on public.organization_budgets to authenticated, service_role, outdial_dialer;
grant insert (organization_id, time_zone, day_cents, month_cents, updated_at),
  update (time_zone, day_cents, month_cents, day_alerted_on, month_alerted_on, updated_at)
  on public.organization_budgets to authenticated, service_role;
-- The claim locks the row: claims of several accounts count against it.
grant update (day_alerted_on, month_alerted_on) on public.organization_budgets to outdial_dialer;
alter table public.organization_budgets enable row level security;
alter table public.organization_budgets force row level security;
create policy members_read on public.organization_budgets for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy admins_insert on public.organization_budgets for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('admin'))));
create policy admins_update on public.organization_budgets for update to authenticated
  using (organization_id = any (array(select private.my_organizations('admin'))))
  with check (organization_id = any (array(select private.my_organizations('admin'))));
create policy dialer_reads on public.organization_budgets for select to outdial_dialer
  using (organization_id = (select private.current_organization()));
create policy dialer_alerts on public.organization_budgets for update to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));
create constraint trigger organization_budgets_audited
  after insert or update or delete on public.organization_budgets
  deferrable initially deferred for each row when (pg_catalog.current_setting('role') = 'authenticated')
  execute function private.audit_direct_change('organization_budget', 'organization_id');

-- What the calls of a campaign claimed on a day cost so far, and what is reserved for those whose cost is not known.
-- A trigger keeps it, so that a claim adds up a few rows and not a million calls.
create table public.spending (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  campaign_id uuid not null references public.campaigns (id) on delete cascade,
  day date not null,
  spent_cents numeric not null default 0,
  reserved_cents numeric not null default 0,
  primary key (campaign_id, day)
);
create index spending_organization on public.spending (organization_id, day);
revoke all on public.spending from anon, authenticated, service_role;
grant select on public.spending to authenticated, service_role, outdial_dialer;
alter table public.spending enable row level security;
alter table public.spending force row level security;
create policy members_read on public.spending for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy dialer_reads on public.spending for select to outdial_dialer
  using (organization_id = (select private.current_organization()));

alter table public.campaigns
  -- When 80 % of the budget were reported as used. Null again when the budget changes.
  add column budget_alerted_at timestamptz;
grant update (budget_alerted_at) on public.campaigns to authenticated, outdial_dialer;

alter table public.calls
  -- The estimate that the claim reserved; null while no budget applied. It is constant.
  add column reserved_cents bigint,
  -- The day of the budget that the call counts for, in the organization's zone.
  add column spent_on date;

-- Returns what is reserved for a call: nothing once its cost is known, or once it is certain that no call was connected.
create function private.still_reserved(
  p_reserved bigint, p_cost numeric, p_status text, p_started_at timestamptz, p_reason text
) returns bigint
language sql immutable set search_path = ''
as $$
  select case when p_cost is not null or p_status in ('refused', 'released')
    or p_status = 'ended' and p_started_at is null and p_reason is not null then 0 else coalesce(p_reserved, 0) end
$$;
revoke all on function private.still_reserved(bigint, numeric, text, timestamptz, text) from public;
grant execute on function private.still_reserved(bigint, numeric, text, timestamptz, text)
  to authenticated, service_role, outdial_dialer;

create function private.count_reservations() returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  insert into public.spending as s (organization_id, campaign_id, day, spent_cents, reserved_cents)
  select n.organization_id, n.campaign_id, n.day, sum(n.spent), sum(n.reserved)
  from (
    select c.organization_id, c.campaign_id,
      coalesce(c.spent_on, (c.created_at at time zone 'UTC')::date) as day, coalesce(c.cost_cents, 0) as spent,
      private.still_reserved(c.reserved_cents, c.cost_cents, c.status, c.started_at, c.disconnection_reason) as reserved
    from new_calls c
    where c.reserved_cents is not null or c.cost_cents is not null
  ) n
  group by n.organization_id, n.campaign_id, n.day
  order by n.campaign_id, n.day
  on conflict (campaign_id, day) do update
  set spent_cents = s.spent_cents + excluded.spent_cents, reserved_cents = s.reserved_cents + excluded.reserved_cents;
  return null;
end
$$;
revoke all on function private.count_reservations() from public;

create function private.count_costs() returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  insert into public.spending as s (organization_id, campaign_id, day, spent_cents, reserved_cents)
  select d.organization_id, d.campaign_id, d.day, sum(d.spent), sum(d.reserved)
  from (
    select n.organization_id, n.campaign_id,
      coalesce(n.spent_on, (n.created_at at time zone 'UTC')::date) as day,
      coalesce(n.cost_cents, 0) - coalesce(o.cost_cents, 0) as spent,
      private.still_reserved(n.reserved_cents, n.cost_cents, n.status, n.started_at, n.disconnection_reason)
        - private.still_reserved(o.reserved_cents, o.cost_cents, o.status, o.started_at, o.disconnection_reason)
        as reserved
    from old_calls o join new_calls n on n.id = o.id
    where n.cost_cents is distinct from o.cost_cents or n.reserved_cents is not null
  ) d
  where d.spent <> 0 or d.reserved <> 0
  group by d.organization_id, d.campaign_id, d.day
  -- In this order, so that two statements never wait for each other.
  order by d.campaign_id, d.day
  on conflict (campaign_id, day) do update
  set spent_cents = s.spent_cents + excluded.spent_cents, reserved_cents = s.reserved_cents + excluded.reserved_cents;
  return null;
end
$$;
revoke all on function private.count_costs() from public;

create trigger calls_reserved after insert on public.calls
  referencing new table as new_calls for each statement execute function private.count_reservations();
create trigger calls_spent after update on public.calls
  referencing old table as old_calls new table as new_calls for each statement execute function private.count_costs();

-- The triggers hold off other writers until the end of this transaction, so no cost is counted twice or left out.
insert into public.spending (organization_id, campaign_id, day, spent_cents)
select organization_id, campaign_id, (created_at at time zone 'UTC')::date, sum(cost_cents)
from public.calls
where cost_cents is not null
group by organization_id, campaign_id, (created_at at time zone 'UTC')::date;
