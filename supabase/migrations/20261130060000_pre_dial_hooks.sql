-- The pre-dial hook: a URL of the organization that allows or denies each call before it is requested.

create table public.pre_dial_hooks (
  organization_id uuid primary key references public.organizations (id) on delete cascade,
  url text not null check (length(url) <= 2000 and url ~ '^https?://[^[:space:]]+$'),
  -- Signs the requests. Only the dialer may read it.
  secret text not null check (length(secret) between 16 and 200),
  -- Failures in a row, the last cause, and when the hook is asked again: no call of the organization starts before.
  failures integer not null default 0 check (failures >= 0),
  failing_reason text,
  retry_at timestamptz,
  -- The last response that decided about calls.
  responded_at timestamptz,
  updated_at timestamptz not null,
  check ((failures = 0) = (retry_at is null))
);

revoke all on public.pre_dial_hooks from anon, authenticated, service_role;
-- Those who configure a hook can write its secret, and never read it.
grant select (organization_id, url, failures, failing_reason, retry_at, responded_at, updated_at), delete
  on public.pre_dial_hooks to authenticated, service_role;
grant insert (organization_id, url, secret, updated_at),
  update (url, secret, failures, failing_reason, retry_at, updated_at)
  on public.pre_dial_hooks to authenticated, service_role;
grant select on public.pre_dial_hooks to outdial_dialer;
grant update (failures, failing_reason, retry_at, responded_at) on public.pre_dial_hooks to outdial_dialer;

alter table public.pre_dial_hooks enable row level security;
alter table public.pre_dial_hooks force row level security;
create policy members_read on public.pre_dial_hooks for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy admins_write on public.pre_dial_hooks for all to authenticated
  using (organization_id = any (array(select private.my_organizations('admin'))))
  with check (organization_id = any (array(select private.my_organizations('admin'))));
create policy dialer_reads on public.pre_dial_hooks for select to outdial_dialer
  using (organization_id = (select private.current_organization()));
create policy dialer_reports on public.pre_dial_hooks for update to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

create constraint trigger pre_dial_hooks_audited after insert or update or delete on public.pre_dial_hooks
  deferrable initially deferred for each row when (pg_catalog.current_setting('role') = 'authenticated')
  execute function private.audit_direct_change('pre_dial_hook', 'organization_id');

-- A call that was claimed while the organization had a hook is requested only once the hook has allowed this very call.
-- What the hook decided belongs to the decision about the call, and is stored once.
alter table public.calls
  add column needs_clearance boolean not null default false,
  add column cleared_at timestamptz,
  add column hook_result jsonb check (jsonb_typeof(hook_result) = 'object');
grant update (cleared_at, hook_result) on public.calls to outdial_dialer;

create function private.check_clearance() returns trigger
language plpgsql set search_path = ''
as $$
begin
  raise exception 'call %: the pre-dial hook decides once', new.id
    using errcode = 'check_violation', constraint = 'calls_clearance';
end
$$;
revoke all on function private.check_clearance() from public;
create trigger calls_clearance before update of cleared_at, hook_result on public.calls
  for each row when (current_user = 'outdial_dialer' and (
    old.hook_result is not null and new.hook_result is distinct from old.hook_result
    or old.cleared_at is not null and new.cleared_at is distinct from old.cleared_at
    or new.cleared_at is not null and not new.needs_clearance))
  execute function private.check_clearance();

-- A dialer of an older version knows neither calling rules nor consent nor hooks. It places no calls on this schema: the
-- decisions that it writes name no rules, and its repeated requests keep their start. The calls of an organization with a
-- hook need clearance.
create function private.check_call_of_dialer() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if not new.decision ? 'rule_ids' then
    raise exception 'call %: its decision names no calling rules; restart this dialer with the present version', new.id
      using errcode = 'check_violation', constraint = 'calls_of_dialer';
  end if;
  if not new.needs_clearance
     and exists (select from public.pre_dial_hooks h where h.organization_id = new.organization_id) then
    raise exception 'call %: the organization has a pre-dial hook, so its calls need clearance', new.id
      using errcode = 'check_violation', constraint = 'calls_of_dialer';
  end if;
  return new;
end
$$;
revoke all on function private.check_call_of_dialer() from public;
create trigger calls_of_dialer before insert on public.calls
  for each row when (current_user = 'outdial_dialer') execute function private.check_call_of_dialer();

create function private.check_repetition() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if new.requested_at <= old.requested_at then
    raise exception 'call %: a repeated request has a new start; restart this dialer with the present version', new.id
      using errcode = 'check_violation', constraint = 'calls_repetition';
  end if;
  if new.cleared_at is null and (new.needs_clearance
     or exists (select from public.pre_dial_hooks h where h.organization_id = new.organization_id)) then
    raise exception 'call %: the pre-dial hook has not allowed it, so it is not requested again', new.id
      using errcode = 'check_violation', constraint = 'calls_repetition';
  end if;
  return new;
end
$$;
revoke all on function private.check_repetition() from public;
create trigger calls_repetition before update of requests on public.calls
  for each row when (current_user = 'outdial_dialer' and new.requests > old.requests)
  execute function private.check_repetition();

-- A contact whose call the hook denies is skipped: its call was claimed, but never requested.
drop trigger campaign_contacts_arrow on public.campaign_contacts;
create trigger campaign_contacts_arrow before update of status on public.campaign_contacts
  for each row execute function private.check_arrow(
    'pending>calling', 'pending>skipped', 'pending>cancelled', 'calling>pending', 'calling>completed', 'calling>failed',
    'calling>review', 'calling>cancelled', 'calling>skipped', 'review>completed', 'review>failed', 'review>pending',
    'skipped>pending', 'pending>completed', 'pending>failed', 'pending>review');

-- A campaign may also wait for a screening list, the calling rules, keys or the hook. A later migration validates the
-- new constraint.
-- squawk-ignore ban-drop-constraint
alter table public.campaigns drop constraint campaigns_waiting_for_check;
alter table public.campaigns add constraint campaigns_waiting_for_check check (waiting_for in
  ('concurrency', 'pacing', 'calling_hours', 'calling_rules', 'keys', 'retry', 'calls', 'screening',
    'pre_dial_hook')) not valid;
