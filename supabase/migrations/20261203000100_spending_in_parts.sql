-- What the calls of a campaign cost on a day is kept in eight parts, of which a session adds to one. With one row for each
-- campaign and day, the batches of events of a campaign waited for each other's commits, because each changed that row.

alter table public.spending add column part smallint not null default 0;
-- The table has a row for each campaign and day, and its rows change in batches of calls: this takes milliseconds.
-- squawk-ignore ban-drop-constraint
alter table public.spending drop constraint spending_pkey;
-- squawk-ignore adding-serial-primary-key-field, constraint-missing-not-valid
alter table public.spending add primary key (campaign_id, day, part);

create or replace function private.count_reservations() returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  insert into public.spending as s (organization_id, campaign_id, day, part, spent_cents, reserved_cents)
  select c.organization_id, c.campaign_id, coalesce(c.spent_on, (c.created_at at time zone 'UTC')::date),
    pg_catalog.pg_backend_pid() % 8,
    coalesce(sum(c.cost_cents), 0),
    sum(case when c.cost_cents is not null or c.status in ('refused', 'released')
      or c.status = 'ended' and c.started_at is null and c.disconnection_reason is not null then 0
      else coalesce(c.reserved_cents, 0) end)
  from new_calls c
  where c.reserved_cents is not null or c.cost_cents is not null
  group by 1, 2, 3
  -- In this order, so that two statements never wait for each other.
  order by 2, 3
  on conflict (campaign_id, day, part) do update
  set spent_cents = s.spent_cents + excluded.spent_cents, reserved_cents = s.reserved_cents + excluded.reserved_cents;
  return null;
end
$$;

create or replace function private.count_costs() returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  insert into public.spending as s (organization_id, campaign_id, day, part, spent_cents, reserved_cents)
  select d.organization_id, d.campaign_id, d.day, pg_catalog.pg_backend_pid() % 8, d.spent, d.reserved
  from (
    select c.organization_id, c.campaign_id, coalesce(c.spent_on, (c.created_at at time zone 'UTC')::date) as day,
      coalesce(sum(c.sign * c.cost_cents), 0) as spent,
      sum(case when c.cost_cents is not null or c.status in ('released', 'refused')
        or c.status = 'ended' and c.started_at is null and c.disconnection_reason is not null then 0
        else c.sign * coalesce(c.reserved_cents, 0) end) as reserved
    from (
      select 1 as sign, organization_id, campaign_id, spent_on, created_at, cost_cents, reserved_cents, status,
        started_at, disconnection_reason
      from new_calls
      union all
      select -1, organization_id, campaign_id, spent_on, created_at, cost_cents, reserved_cents, status,
        started_at, disconnection_reason
      from old_calls
    ) c
    where c.reserved_cents is not null or c.cost_cents is not null
    group by 1, 2, 3
  ) d
  where d.spent <> 0 or d.reserved <> 0
  order by 2, 3
  on conflict (campaign_id, day, part) do update
  set spent_cents = s.spent_cents + excluded.spent_cents, reserved_cents = s.reserved_cents + excluded.reserved_cents;
  return null;
end
$$;
