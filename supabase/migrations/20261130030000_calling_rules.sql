-- The calling rules of an organization: its own, and a copy of each shipped rule that has decided about one of its calls.
-- Rows are added and never changed: a change of law is a new rule, and a rule ends by being switched off.

create table public.calling_rules (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  rule_id text not null check (length(rule_id) between 1 and 100),
  -- The date of the rule pack that a copy was taken from, such as 2026-11-29; null for a rule of the organization itself.
  pack_date text check (pack_date ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'),
  -- The rule as a pack file has it.
  body jsonb not null check (jsonb_typeof(body) = 'object'),
  -- A user id, or the name of the process that acted.
  created_by text not null check (created_by <> ''),
  created_at timestamptz not null,
  -- The time of the database. Members have no right to set it, whatever time they state.
  recorded_at timestamptz not null default now(),
  unique nulls not distinct (organization_id, rule_id, pack_date),
  -- Decisions name rules by their id, so no rule of an organization may have the id of a shipped one.
  constraint calling_rules_own_id check ((rule_id like 'OWN-%') = (pack_date is null))
);
create trigger calling_rules_append_only before update on public.calling_rules
  for each row execute function private.refuse_change();

revoke all on public.calling_rules from anon, authenticated, service_role;
grant select, insert on public.calling_rules to service_role;
alter table public.calling_rules enable row level security;
alter table public.calling_rules force row level security;
grant select on public.calling_rules to authenticated, outdial_dialer, outdial_jobs;
grant insert (id, organization_id, rule_id, body, created_by, created_at) on public.calling_rules to authenticated;
grant insert (organization_id, rule_id, pack_date, body, created_by, created_at) on public.calling_rules
  to outdial_dialer;
create policy members_read on public.calling_rules for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy admins_insert on public.calling_rules for insert to authenticated
  with check (
    organization_id = any (array(select private.my_organizations('admin')))
    and created_by = (select auth.uid())::text
  );
create policy dialer_reads on public.calling_rules for select to outdial_dialer
  using (organization_id = (select private.current_organization()));
create policy dialer_copies on public.calling_rules for insert to outdial_dialer
  with check (
    organization_id = (select private.current_organization()) and pack_date is not null and created_by = 'dialer'
  );
create policy jobs_read on public.calling_rules for select to outdial_jobs
  using (organization_id = (select private.current_organization()));

-- Each row switches a rule off, or on again; the latest one counts. Rows are added and never changed.
create table public.rule_switches (
  id bigint generated always as identity primary key,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  rule_id text not null check (length(rule_id) between 1 and 100),
  is_off boolean not null,
  reason text not null check (length(btrim(reason)) between 1 and 1000),
  -- A user id, or the name of the process that acted.
  actor text not null check (actor <> ''),
  at timestamptz not null,
  -- The time of the database. Members have no right to set it, whatever time they state.
  recorded_at timestamptz not null default now()
);
create index rule_switches_latest on public.rule_switches (organization_id, rule_id, id desc);
create trigger rule_switches_append_only before update on public.rule_switches
  for each row execute function private.refuse_change();

revoke all on public.rule_switches from anon, authenticated, service_role;
grant select, insert on public.rule_switches to service_role;
alter table public.rule_switches enable row level security;
alter table public.rule_switches force row level security;
grant select on public.rule_switches to authenticated, outdial_dialer, outdial_jobs;
grant insert (organization_id, rule_id, is_off, reason, actor, at) on public.rule_switches to authenticated;
create policy members_read on public.rule_switches for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy admins_insert on public.rule_switches for insert to authenticated
  with check (
    organization_id = any (array(select private.my_organizations('admin')))
    and actor = (select auth.uid())::text
  );
create policy dialer_reads on public.rule_switches for select to outdial_dialer
  using (organization_id = (select private.current_organization()));
create policy jobs_read on public.rule_switches for select to outdial_jobs
  using (organization_id = (select private.current_organization()));

-- Changes that members make with SQL directly are recorded, too.
create constraint trigger calling_rules_audited after insert on public.calling_rules
  deferrable initially deferred for each row when (pg_catalog.current_setting('role') = 'authenticated')
  execute function private.audit_direct_change('calling_rule', 'rule_id');
-- The entry about a switch says what it did, and the time that the member stated.
create function private.audit_direct_switch() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  author text := coalesce((select auth.uid())::text, 'unknown');
begin
  if exists (
    select from public.audit_log a
    where a.organization_id = new.organization_id and a.subject_id = new.rule_id
      and a.action = case when new.is_off then 'switch_off_calling_rule' else 'switch_on_calling_rule' end
      and a.at >= pg_catalog.transaction_timestamp() and a.actor = author
  ) then
    return null;
  end if;
  insert into public.audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
  values (new.organization_id, pg_catalog.clock_timestamp(), author, 'change_calling_rule_directly', 'calling_rule',
    new.rule_id, pg_catalog.jsonb_build_object('operation', 'insert', 'is_off', new.is_off, 'reason', new.reason,
      'stated_at', new.at));
  return null;
end
$$;
revoke all on function private.audit_direct_switch() from public;
create constraint trigger rule_switches_audited after insert on public.rule_switches
  deferrable initially deferred for each row when (pg_catalog.current_setting('role') = 'authenticated')
  execute function private.audit_direct_switch();
