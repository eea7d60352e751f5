-- Screening lists: numbers from outside that must not be called, such as a national do-not-call registry.

create table public.screening_lists (
  id uuid primary key,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  kind text not null check (kind in ('national', 'state', 'litigator', 'reassigned')),
  -- The country of a national list, the state or province of a state list.
  jurisdiction text,
  -- The day of the registry that the file holds.
  registry_date date not null,
  file_name text not null check (length(trim(file_name)) between 1 and 300),
  -- A list counts once its file is stored completely. Then it replaces the one before.
  status text not null default 'loading' check (status in ('loading', 'current', 'replaced', 'removed', 'failed')),
  numbers bigint not null default 0 check (numbers >= 0),
  refused bigint not null default 0 check (refused >= 0),
  -- Null: uploaded with the service key.
  created_by uuid,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  completed_at timestamptz,
  -- When the numbers of a list that no longer counts were deleted.
  cleared_at timestamptz,
  unique (organization_id, id),
  constraint screening_lists_cleared check (status <> 'current' or cleared_at is null),
  constraint screening_lists_jurisdiction check (case kind
    when 'national' then jurisdiction ~ '^[A-Z]{2}$'
    when 'state' then jurisdiction ~ '^[A-Z]{2}-[A-Z0-9]{1,3}$'
    else jurisdiction is null end)
);
create unique index screening_lists_current on public.screening_lists (organization_id, kind, coalesce(jurisdiction, ''))
  where status = 'current';
create index screening_lists_organization on public.screening_lists (organization_id, created_at desc, id desc);
create index screening_lists_uncleared on public.screening_lists (updated_at)
  where status <> 'current' and cleared_at is null;
create trigger screening_lists_arrow before update of status on public.screening_lists
  for each row execute function private.check_arrow(
    'loading>current', 'loading>failed', 'current>replaced', 'current>removed');

-- What an upload has counted is final once it has ended, and only an upload that is complete gets the time.
create function private.check_screening_list() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if old.status <> 'loading' or new.completed_at is not null and new.status <> 'current' then
    raise exception 'screening list %: its counts and the time of completion are final', old.id
      using errcode = 'check_violation', constraint = 'screening_lists_final';
  end if;
  return new;
end
$$;
revoke all on function private.check_screening_list() from public;
create trigger screening_lists_final before update of numbers, refused, completed_at on public.screening_lists
  for each row when ((new.numbers, new.refused, new.completed_at)
    is distinct from (old.numbers, old.refused, old.completed_at))
  execute function private.check_screening_list();

-- A member who runs SQL directly can put a list in force, or end that: each such change is recorded at commit. The studio
-- records the upload and the removal itself, and a list that is replaced is part of the upload of the next.
create function private.audit_direct_screening() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  author text := coalesce((select auth.uid())::text, 'unknown');
begin
  if exists (
    select from public.audit_log a
    where a.organization_id = new.organization_id and a.subject_id = new.id::text
      and a.action in ('upload_screening_list', 'remove_screening_list')
      and a.at >= pg_catalog.transaction_timestamp() and a.actor = author
  ) or new.status = 'replaced' and exists (
    select from public.screening_lists n
    where n.organization_id = new.organization_id and n.kind = new.kind
      and n.jurisdiction is not distinct from new.jurisdiction and n.status = 'current'
  ) then
    return null;
  end if;
  insert into public.audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
  values (new.organization_id, pg_catalog.clock_timestamp(), author, 'change_screening_list_directly',
    'screening_list', new.id::text, pg_catalog.jsonb_build_object('operation', 'update', 'from', old.status,
      'to', new.status, 'kind', new.kind, 'jurisdiction', new.jurisdiction, 'registry_date', new.registry_date,
      'numbers', new.numbers));
  return null;
end
$$;
revoke all on function private.audit_direct_screening() from public;
create constraint trigger screening_lists_audited after update on public.screening_lists
  deferrable initially deferred for each row
  when (current_user = 'authenticated' and new.status <> old.status and 'current' in (old.status, new.status))
  execute function private.audit_direct_screening();

create table public.screened_numbers (
  organization_id uuid not null,
  list_id uuid not null,
  phone text not null check (phone ~ '^\+[1-9][0-9]{6,14}$'),
  -- One probe finds all lists with a number.
  primary key (organization_id, phone, list_id),
  foreign key (organization_id, list_id) references public.screening_lists (organization_id, id) on delete cascade
);
create index screened_numbers_list on public.screened_numbers (list_id);

-- Lists whose numbers can be deleted: replaced and removed ones, and uploads that were interrupted.
create function private.outdated_screening_lists(p_silent_since timestamptz, p_limit integer)
returns table (organization_id uuid, id uuid)
language sql stable security definer set search_path = ''
as $$
  select l.organization_id, l.id
  from public.screening_lists l
  where l.cleared_at is null
    and (l.status in ('replaced', 'removed', 'failed') or l.status = 'loading' and l.updated_at < p_silent_since)
  order by l.updated_at
  limit p_limit
$$;
revoke all on function private.outdated_screening_lists(timestamptz, integer) from public;
grant execute on function private.outdated_screening_lists(timestamptz, integer) to outdial_jobs;

revoke all on public.screening_lists, public.screened_numbers from anon, authenticated, service_role;
grant select, insert, update, delete on public.screening_lists, public.screened_numbers to service_role;

alter table public.screening_lists enable row level security;
alter table public.screening_lists force row level security;
grant select on public.screening_lists to authenticated, outdial_dialer, outdial_jobs;
grant insert (id, organization_id, kind, jurisdiction, registry_date, file_name, created_by, created_at, updated_at)
  on public.screening_lists to authenticated;
grant update (status, numbers, refused, updated_at, completed_at) on public.screening_lists to authenticated;
grant update (status, updated_at, cleared_at) on public.screening_lists to outdial_jobs;
create policy members_read on public.screening_lists for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy operators_insert on public.screening_lists for insert to authenticated
  with check (
    organization_id = any (array(select private.my_organizations('operator'))) and created_by = (select auth.uid())
  );
create policy operators_update on public.screening_lists for update to authenticated
  using (organization_id = any (array(select private.my_organizations('operator'))))
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy dialer_reads on public.screening_lists for select to outdial_dialer
  using (organization_id = (select private.current_organization()));
create policy jobs_work on public.screening_lists for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

alter table public.screened_numbers enable row level security;
alter table public.screened_numbers force row level security;
grant select on public.screened_numbers to authenticated, outdial_dialer, outdial_jobs;
grant insert on public.screened_numbers to authenticated;
grant delete on public.screened_numbers to outdial_jobs;
create policy members_read on public.screened_numbers for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy operators_insert on public.screened_numbers for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy dialer_reads on public.screened_numbers for select to outdial_dialer
  using (organization_id = (select private.current_organization()));
create policy jobs_work on public.screened_numbers for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));
