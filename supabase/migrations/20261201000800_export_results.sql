-- Exports of results, as CSV, XLSX or JSON lines, with transcripts and recordings where they are asked for.

alter table public.exports
  add column format text not null default 'csv',
  add column include text[] not null default '{}';
alter table public.exports
  add constraint exports_format_known check (format in ('csv', 'xlsx', 'jsonl')) not valid,
  add constraint exports_include_known check (include <@ array['transcript', 'recording']) not valid,
  add constraint exports_kind_known check (kind in ('calls', 'contacts', 'do_not_call', 'results')) not valid;
-- The constraint above allows more kinds.
-- squawk-ignore ban-drop-constraint
alter table public.exports drop constraint exports_kind_check;

grant insert (format, include) on public.exports to authenticated;

-- Deletes the files of exports that contain the phone. A phone never spans two chunks, which end with a row. An XLSX file
-- is compressed: its phones are in chunks of their own. What was searched for may name the person, so no finished export
-- keeps it.
create or replace function private.sweep_exports(p_erasure_id uuid, p_now timestamptz) returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  owner_id uuid;
  phone bytea;
  export_ids uuid[];
begin
  select e.organization_id, pg_catalog.convert_to(e.phone, 'UTF8') into owner_id, phone
  from public.erasures e where e.id = p_erasure_id;
  perform private.check_sweep(owner_id);
  select coalesce(pg_catalog.array_agg(distinct c.export_id), '{}') into export_ids
  from public.exports x join public.export_chunks c on c.export_id = x.id
  where x.organization_id = owner_id and position(phone in c.content) > 0;
  perform from public.exports x where x.id = any (export_ids) order by x.id for update;
  delete from public.export_chunks c where c.export_id = any (export_ids);
  update public.exports x set status = 'expired', updated_at = p_now
  where x.id = any (export_ids) and x.status = 'completed';
  update public.exports x
  set filters = x.filters - array['search', 'phone', 'phone_ends', 'name', 'external_id'], updated_at = p_now
  where x.organization_id = owner_id and x.status not in ('queued', 'running')
    and x.filters ?| array['search', 'phone', 'phone_ends', 'name', 'external_id'];
  return cardinality(export_ids);
end
$$;
revoke all on function private.sweep_exports(uuid, timestamptz) from public;
grant execute on function private.sweep_exports(uuid, timestamptz) to outdial_jobs;

-- What was searched for may name a person: it goes when the export fails or is cancelled, or with the file.
create function private.forget_search() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.filters := new.filters - array['search', 'phone', 'phone_ends', 'name', 'external_id'];
  return new;
end
$$;
revoke all on function private.forget_search() from public;
create trigger exports_forget_search before update of status on public.exports
  for each row when (new.status in ('failed', 'cancelled', 'expired')) execute function private.forget_search();
