-- Imports and exports: the request, its progress, and the bytes of the file while they are needed.
--
-- outdial_jobs  workers: see only the organization that their transaction declares
--
-- The queue belongs to PgQueuer. outdial db push installs it after the migrations (src/outdial/db/queue.py). A job there
-- carries an id from one of these tables and nothing else.

do $$
begin
  create role outdial_jobs login noinherit;
exception when duplicate_object or unique_violation then
  null;
end
$$;
grant usage on schema public, private to outdial_jobs;
grant execute on function private.current_organization() to outdial_jobs;

create table public.imports (
  id uuid primary key,
  organization_id uuid not null,
  campaign_id uuid not null,
  file_name text not null check (length(trim(file_name)) between 1 and 300),
  -- Size announced by the sender, once known.
  size bigint check (size between 0 and 1073741824),
  bytes_stored bigint not null default 0 check (bytes_stored between 0 and 1073741824),
  chunks integer not null default 0 check (chunks >= 0),
  mapping jsonb not null default '{}' check (jsonb_typeof(mapping) = 'object'),
  default_region text check (default_region ~ '^[A-Z]{2}$'),
  status text not null default 'uploading' check (status in
    ('uploading', 'ready', 'queued', 'running', 'completed', 'failed', 'cancelling', 'cancelled')),
  -- Contacts this import has added to the campaign, over all of its runs. Written in the same transactions.
  added bigint not null default 0 check (added >= 0),
  -- Progress of the current or the last run.
  rows bigint not null default 0 check (rows >= 0),
  already_there bigint not null default 0 check (already_there >= 0),
  refused bigint not null default 0 check (refused >= 0),
  bytes_read bigint not null default 0 check (bytes_read >= 0),
  refused_by_kind jsonb not null default '{}' check (jsonb_typeof(refused_by_kind) = 'object'),
  notices jsonb not null default '[]' check (jsonb_typeof(notices) = 'array'),
  error text,
  -- Numbers the runs. A run that was overtaken by the next one writes nothing more.
  runs integer not null default 0 check (runs >= 0),
  heartbeat_at timestamptz,
  -- Null: requested with the service key.
  created_by uuid,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  queued_at timestamptz,
  started_at timestamptz,
  finished_at timestamptz,
  unique (organization_id, id),
  foreign key (organization_id, campaign_id) references public.campaigns (organization_id, id) on delete cascade
);
create index imports_organization on public.imports (organization_id, created_at desc, id desc);
create index imports_campaign on public.imports (campaign_id, created_at desc);
create index imports_open on public.imports (updated_at)
  where status in ('uploading', 'ready', 'queued', 'running', 'cancelling');
create index imports_finished on public.imports (finished_at) where finished_at is not null;

create trigger imports_arrow before update of status on public.imports
  for each row execute function private.check_arrow(
    'uploading>ready', 'uploading>cancelled', 'ready>uploading', 'ready>queued', 'ready>cancelled', 'queued>running',
    'queued>cancelled', 'running>completed', 'running>failed', 'running>cancelling', 'cancelling>cancelled');

-- Chunks of the file, in order. Deleted when the import ends.
create table public.import_chunks (
  organization_id uuid not null,
  import_id uuid not null,
  number integer not null check (number >= 0),
  content bytea not null check (octet_length(content) between 1 and 262144),
  primary key (import_id, number),
  foreign key (organization_id, import_id) references public.imports (organization_id, id) on delete cascade
);

-- Rejected rows: the first ten thousand of an import. The import's own row has the total.
create table public.import_refusals (
  organization_id uuid not null,
  import_id uuid not null,
  line bigint not null check (line > 0),
  value text not null,
  kind text not null,
  reason text not null,
  primary key (import_id, line),
  foreign key (organization_id, import_id) references public.imports (organization_id, id) on delete cascade
);

create table public.exports (
  id uuid primary key,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  kind text not null check (kind in ('calls', 'contacts', 'do_not_call')),
  filters jsonb not null default '{}' check (jsonb_typeof(filters) = 'object'),
  status text not null default 'queued' check (status in
    ('queued', 'running', 'completed', 'failed', 'cancelled', 'expired')),
  rows bigint not null default 0 check (rows >= 0),
  size bigint not null default 0 check (size >= 0),
  error text,
  runs integer not null default 0 check (runs >= 0),
  heartbeat_at timestamptz,
  created_by uuid,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  finished_at timestamptz,
  expires_at timestamptz,
  unique (organization_id, id)
);
create index exports_organization on public.exports (organization_id, created_at desc, id desc);
create index exports_open on public.exports (updated_at) where status in ('queued', 'running');
create index exports_expire on public.exports (expires_at) where status = 'completed';

create trigger exports_arrow before update of status on public.exports
  for each row execute function private.check_arrow(
    'queued>running', 'queued>cancelled', 'running>completed', 'running>failed', 'running>cancelled',
    'completed>expired');

create table public.export_chunks (
  organization_id uuid not null,
  export_id uuid not null,
  number integer not null check (number >= 0),
  content bytea not null,
  primary key (export_id, number),
  foreign key (organization_id, export_id) references public.exports (organization_id, id) on delete cascade
);

-- Organization of a job. The worker then declares it.
create function private.job_organization(p_kind text, p_id uuid) returns uuid
language sql stable security definer set search_path = ''
as $$
  select i.organization_id from public.imports i where p_kind = 'import' and i.id = p_id
  union all
  select e.organization_id from public.exports e where p_kind = 'export' and e.id = p_id
$$;
revoke all on function private.job_organization(text, uuid) from public;
grant execute on function private.job_organization(text, uuid) to outdial_jobs;

-- Jobs of all organizations whose heartbeat is overdue: their queue entry may be lost.
create function private.lost_jobs(p_before timestamptz, p_limit integer) returns table (kind text, id uuid)
language sql stable security definer set search_path = ''
as $$
  (
    select 'import', i.id from public.imports i
    where i.status in ('queued', 'running', 'cancelling') and coalesce(i.heartbeat_at, i.updated_at) < p_before
    order by i.updated_at
    limit p_limit
  )
  union all
  (
    select 'export', e.id from public.exports e
    where e.status in ('queued', 'running') and coalesce(e.heartbeat_at, e.updated_at) < p_before
    order by e.updated_at
    limit p_limit
  )
$$;
revoke all on function private.lost_jobs(timestamptz, integer) from public;
grant execute on function private.lost_jobs(timestamptz, integer) to outdial_jobs;

-- Expired data: files of exports, uploads that were never started, rejected rows of imports.
create function private.outdated_jobs(
  p_now timestamptz, p_uploads_before timestamptz, p_refusals_before timestamptz, p_limit integer
)
returns table (kind text, organization_id uuid, id uuid)
language sql stable security definer set search_path = ''
as $$
  (
    select 'export', e.organization_id, e.id from public.exports e
    where e.status = 'completed' and e.expires_at <= p_now
    order by e.expires_at
    limit p_limit
  )
  union all
  (
    select 'upload', i.organization_id, i.id from public.imports i
    where i.status in ('uploading', 'ready') and i.updated_at < p_uploads_before
    order by i.updated_at
    limit p_limit
  )
  union all
  (
    select 'refusals', i.organization_id, i.id from public.imports i
    where i.finished_at < p_refusals_before
      and exists (select from public.import_refusals r where r.import_id = i.id)
    order by i.finished_at
    limit p_limit
  )
$$;
revoke all on function private.outdated_jobs(timestamptz, timestamptz, timestamptz, integer) from public;
grant execute on function private.outdated_jobs(timestamptz, timestamptz, timestamptz, integer) to outdial_jobs;

-- Expired idempotency keys of all organizations.
create function private.forget_old_keys(p_before timestamptz) returns bigint
language sql security definer set search_path = ''
as $$
  with gone as (delete from public.idempotency_keys k where k.created_at < p_before returning 1)
  select count(*) from gone
$$;
revoke all on function private.forget_old_keys(timestamptz) from public;
grant execute on function private.forget_old_keys(timestamptz) to outdial_jobs;

revoke all on public.imports, public.import_chunks, public.import_refusals, public.exports, public.export_chunks
  from anon, authenticated, service_role;
grant select, insert, update, delete
  on public.imports, public.import_chunks, public.import_refusals, public.exports, public.export_chunks
  to service_role;

alter table public.imports enable row level security;
alter table public.imports force row level security;
grant select on public.imports to authenticated, outdial_jobs;
grant insert (id, organization_id, campaign_id, file_name, size, mapping, default_region, created_by, created_at,
  updated_at) on public.imports to authenticated;
grant update (status, file_name, size, bytes_stored, chunks, mapping, default_region, updated_at, queued_at,
  finished_at) on public.imports to authenticated;
grant update (status, added, rows, already_there, refused, bytes_read, refused_by_kind, notices, error, runs,
  heartbeat_at, updated_at, started_at, finished_at) on public.imports to outdial_jobs;
create policy members_read on public.imports for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy operators_insert on public.imports for insert to authenticated
  with check (
    organization_id = any (array(select private.my_organizations('operator'))) and created_by = (select auth.uid())
  );
-- Callers may not set what only a run may set.
create policy operators_update on public.imports for update to authenticated
  using (organization_id = any (array(select private.my_organizations('operator'))))
  with check (
    organization_id = any (array(select private.my_organizations('operator')))
    and status in ('uploading', 'ready', 'queued', 'cancelling', 'cancelled')
  );
create policy jobs_work on public.imports for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

alter table public.import_chunks enable row level security;
alter table public.import_chunks force row level security;
grant select, insert, delete on public.import_chunks to authenticated;
grant select, delete on public.import_chunks to outdial_jobs;
create policy operators_read on public.import_chunks for select to authenticated
  using (organization_id = any (array(select private.my_organizations('operator'))));
create policy operators_insert on public.import_chunks for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy operators_delete on public.import_chunks for delete to authenticated
  using (organization_id = any (array(select private.my_organizations('operator'))));
create policy jobs_work on public.import_chunks for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

alter table public.import_refusals enable row level security;
alter table public.import_refusals force row level security;
grant select on public.import_refusals to authenticated;
grant select, insert, delete on public.import_refusals to outdial_jobs;
create policy members_read on public.import_refusals for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy jobs_work on public.import_refusals for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

alter table public.exports enable row level security;
alter table public.exports force row level security;
grant select on public.exports to authenticated, outdial_jobs;
grant insert (id, organization_id, kind, filters, created_by, created_at, updated_at)
  on public.exports to authenticated;
grant update (status, updated_at, finished_at) on public.exports to authenticated;
grant update (status, rows, size, error, runs, heartbeat_at, updated_at, finished_at, expires_at)
  on public.exports to outdial_jobs;
create policy members_read on public.exports for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy operators_insert on public.exports for insert to authenticated
  with check (
    organization_id = any (array(select private.my_organizations('operator'))) and created_by = (select auth.uid())
  );
create policy operators_update on public.exports for update to authenticated
  using (organization_id = any (array(select private.my_organizations('operator'))))
  with check (
    organization_id = any (array(select private.my_organizations('operator'))) and status in ('queued', 'cancelled')
  );
create policy jobs_work on public.exports for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

alter table public.export_chunks enable row level security;
alter table public.export_chunks force row level security;
grant select on public.export_chunks to authenticated;
grant select, insert, delete on public.export_chunks to outdial_jobs;
create policy members_read on public.export_chunks for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy jobs_work on public.export_chunks for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

-- Imports write, and exports read, with the rights of an operator of the declared organization.
grant select on public.organizations, public.campaigns, public.contacts, public.campaign_contacts, public.calls,
  public.do_not_call to outdial_jobs;
grant update (next_batch_at) on public.campaigns to outdial_jobs;
grant insert on public.contacts to outdial_jobs;
grant update (name, email, company, notes, external_id, timezone, zone_key, zone_source, updated_at)
  on public.contacts to outdial_jobs;
grant insert (id, organization_id, campaign_id, contact_id, phone, zone_key, next_attempt_at, variables, created_at,
  updated_at) on public.campaign_contacts to outdial_jobs;
grant update (variables, updated_at) on public.campaign_contacts to outdial_jobs;
grant insert on public.audit_log to outdial_jobs;
create policy jobs_read on public.organizations for select to outdial_jobs
  using (id = (select private.current_organization()));
create policy jobs_work on public.campaigns for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));
create policy jobs_work on public.contacts for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));
create policy jobs_work on public.campaign_contacts for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));
create policy jobs_read on public.calls for select to outdial_jobs
  using (organization_id = (select private.current_organization()));
create policy jobs_read on public.do_not_call for select to outdial_jobs
  using (organization_id = (select private.current_organization()));
-- On behalf of the user who requested the import.
create policy jobs_insert on public.audit_log for insert to outdial_jobs
  with check (
    organization_id = (select private.current_organization())
    and (actor in ('jobs', 'service') or exists (select from public.imports i where i.created_by::text = actor))
  );
