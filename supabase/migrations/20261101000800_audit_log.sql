-- Who did what. Rows are added and never changed.

create table public.audit_log (
  id bigint generated always as identity primary key,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  at timestamptz not null,
  -- A user id, or the name of the process that acted.
  actor text not null check (actor <> ''),
  action text not null check (action <> ''),
  subject_type text not null,
  subject_id text not null,
  details jsonb not null default '{}'
);
create index audit_log_organization on public.audit_log (organization_id, id desc);

create function private.refuse_change() returns trigger
language plpgsql set search_path = ''
as $$
begin
  raise exception 'rows of % are never changed', tg_table_name using errcode = 'insufficient_privilege';
end
$$;
revoke all on function private.refuse_change() from public;
create trigger audit_log_append_only before update on public.audit_log
  for each row execute function private.refuse_change();
-- Entries are deleted only together with their organization.
create trigger audit_log_kept before delete on public.audit_log
  for each row when (pg_trigger_depth() = 0) execute function private.refuse_change();

revoke all on public.audit_log from anon, authenticated, service_role;
grant select, insert on public.audit_log to service_role;

alter table public.audit_log enable row level security;
alter table public.audit_log force row level security;
grant select, insert on public.audit_log to authenticated;
grant insert on public.audit_log to outdial_dialer, outdial_webhook;
create policy members_read on public.audit_log for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy members_insert on public.audit_log for insert to authenticated
  with check (
    organization_id = any (array(select private.my_organizations('operator')))
    and actor = (select auth.uid())::text
  );
create policy dialer_inserts on public.audit_log for insert to outdial_dialer
  with check (organization_id = (select private.current_organization()) and actor = 'dialer');
create policy webhook_inserts on public.audit_log for insert to outdial_webhook with check (actor = 'webhook');
