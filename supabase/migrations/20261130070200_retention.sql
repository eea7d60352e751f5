-- Removes personal data by age, in portions. See 20261130070000_retention_settings.sql.

-- How far each kind of data has been removed, so that no run reads what an earlier one has done.
create table public.retention_progress (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  -- transcripts, recordings, calls, events, or `unmatched:` and a credential.
  kind text not null,
  last_at timestamptz not null default '-infinity',
  last_call_id uuid not null default '00000000-0000-0000-0000-000000000000',
  last_event_id bigint not null default 0,
  primary key (organization_id, kind)
);
revoke all on public.retention_progress from anon, authenticated, service_role;
grant select, insert, update, delete on public.retention_progress to service_role;
alter table public.retention_progress enable row level security;
alter table public.retention_progress force row level security;
grant select on public.retention_progress to outdial_jobs;
create policy jobs_read on public.retention_progress for select to outdial_jobs
  using (organization_id = (select private.current_organization()));

-- Organizations with something to remove.
create function private.retaining_organizations() returns table (organization_id uuid, credentials text[])
language sql stable security definer set search_path = ''
as $$
  select o.id, array(select a.credential from public.provider_accounts a where a.organization_id = o.id)
  from public.organizations o
  where not o.legal_hold
    and coalesce(o.transcript_days, o.recording_days, o.event_days, o.call_days) is not null
  order by o.id
$$;
revoke all on function private.retaining_organizations() from public;
grant execute on function private.retaining_organizations() to outdial_jobs;

-- Removes the next portion of transcripts, recordings or calls of an organization that are older than it keeps, and
-- returns how many calls it has read. The order is that of calls_organization. A live call stops the removal of calls.
create function private.expire_calls(p_organization_id uuid, p_kind text, p_limit integer, p_now timestamptz)
returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  days integer;
  before timestamptz;
  reached public.retention_progress;
  portion uuid[];
begin
  perform private.check_sweep(p_organization_id);
  select case p_kind when 'transcripts' then o.transcript_days when 'recordings' then o.recording_days
    when 'calls' then o.call_days end
  into days from public.organizations o where o.id = p_organization_id;
  if days is null then
    return 0;
  end if;
  before := p_now - pg_catalog.make_interval(days => days);
  if p_kind = 'calls' then
    select least(before, min(c.created_at)) into before from public.calls c
    where c.organization_id = p_organization_id and c.status in ('placing', 'placed', 'ongoing', 'unknown');
  end if;
  insert into public.retention_progress (organization_id, kind) values (p_organization_id, p_kind)
  on conflict do nothing;
  select r.* into reached from public.retention_progress r
  where r.organization_id = p_organization_id and r.kind = p_kind for update;
  select pg_catalog.array_agg(n.id order by n.created_at, n.id) into portion from (
    select c.id, c.created_at from public.calls c
    where c.organization_id = p_organization_id and c.created_at < before
      and (c.created_at, c.id) > (reached.last_at, reached.last_call_id)
    order by c.created_at, c.id
    limit p_limit
  ) n;
  if portion is null then
    return 0;
  end if;
  perform from public.calls c where c.id = any (portion) order by c.id for update;
  update public.calls c
  set transcript_removed_at = case when p_kind <> 'recordings' then coalesce(c.transcript_removed_at, p_now)
      else c.transcript_removed_at end,
    recording_removed_at = case when p_kind <> 'transcripts' then coalesce(c.recording_removed_at, p_now)
      else c.recording_removed_at end,
    erased_at = case when p_kind = 'calls' then coalesce(c.erased_at, p_now) else c.erased_at end
  where c.id = any (portion);
  update public.retention_progress r
  set last_at = c.created_at, last_call_id = c.id
  from public.calls c
  where r.organization_id = p_organization_id and r.kind = p_kind and c.id = portion[cardinality(portion)];
  return cardinality(portion);
end
$$;
revoke all on function private.expire_calls(uuid, text, integer, timestamptz) from public;
grant execute on function private.expire_calls(uuid, text, integer, timestamptz) to outdial_jobs;

-- Removes the next portion of event bodies that are older than the organization keeps: those of its calls, or with a
-- credential those that matched no call. Returns how many events it has read. The order is that of the ids. The first
-- event that is younger, or still to be applied, ends the portion, so that no later one is passed over.
create function private.expire_events(p_organization_id uuid, p_credential text, p_limit integer, p_now timestamptz)
returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  name text := case when p_credential is null then 'events' else 'unmatched:' || p_credential end;
  days integer;
  reached bigint;
  event_ids bigint[];
  portion bigint[];
begin
  perform private.check_sweep(p_organization_id);
  select o.event_days into days from public.organizations o where o.id = p_organization_id;
  if days is null or p_credential is not null and not exists (
    select from public.provider_accounts a where a.organization_id = p_organization_id and a.credential = p_credential
  ) then
    return 0;
  end if;
  insert into public.retention_progress (organization_id, kind) values (p_organization_id, name)
  on conflict do nothing;
  select r.last_event_id into reached from public.retention_progress r
  where r.organization_id = p_organization_id and r.kind = name for update;
  -- Two queries, because each reads another index.
  if p_credential is null then
    event_ids := array(
      select e.id from public.webhook_events e
      where e.organization_id = p_organization_id and e.id > reached
      order by e.id limit p_limit
    );
  else
    event_ids := array(
      select e.id from public.webhook_events e
      where e.organization_id is null and e.credential = p_credential and e.id > reached
      order by e.id limit p_limit
    );
  end if;
  select pg_catalog.array_agg(n.id order by n.id) into portion from (
    select e.id, pg_catalog.bool_and(
        e.status <> 'pending' and e.received_at < p_now - pg_catalog.make_interval(days => days)
      ) over (order by e.id) as is_due
    from public.webhook_events e where e.id = any (event_ids)
  ) n
  where n.is_due;
  if portion is null then
    return 0;
  end if;
  perform from public.webhook_events e where e.id = any (portion) order by e.id for update;
  update public.webhook_events e
  set body_removed_at = p_now
  where e.id = any (portion) and e.body_removed_at is null and e.status <> 'pending';
  update public.retention_progress r set last_event_id = portion[cardinality(portion)]
  where r.organization_id = p_organization_id and r.kind = name;
  return cardinality(portion);
end
$$;
revoke all on function private.expire_events(uuid, text, integer, timestamptz) from public;
grant execute on function private.expire_events(uuid, text, integer, timestamptz) to outdial_jobs;

-- Expired data of organizations without a legal hold: files of exports, uploads that were never started, refused rows of
-- imports.
create or replace function private.outdated_jobs(
  p_now timestamptz, p_uploads_before timestamptz, p_refusals_before timestamptz, p_limit integer
)
returns table (kind text, organization_id uuid, id uuid)
language sql stable security definer set search_path = ''
as $$
  (
    select 'export', e.organization_id, e.id
    from public.exports e join public.organizations o on o.id = e.organization_id and not o.legal_hold
    where e.status = 'completed' and e.expires_at <= p_now
    order by e.expires_at
    limit p_limit
  )
  union all
  (
    select 'upload', i.organization_id, i.id
    from public.imports i join public.organizations o on o.id = i.organization_id and not o.legal_hold
    where i.status in ('uploading', 'ready') and i.updated_at < p_uploads_before
    order by i.updated_at
    limit p_limit
  )
  union all
  (
    select 'refusals', i.organization_id, i.id
    from public.imports i join public.organizations o on o.id = i.organization_id and not o.legal_hold
    where i.finished_at < p_refusals_before
      and exists (select from public.import_refusals r where r.import_id = i.id)
    order by i.finished_at
    limit p_limit
  )
$$;
