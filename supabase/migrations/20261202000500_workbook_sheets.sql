-- The sheets of an uploaded workbook, and the one that an import reads. A worker completes uploads whose process died
-- between the last byte and the conversion.
alter table public.imports
  add column sheets jsonb not null default '[]',
  add column sheet text,
  add constraint imports_sheets_list check (jsonb_typeof(sheets) = 'array') not valid,
  add constraint imports_sheet_length check (length(sheet) <= 100) not valid;

grant update (sheets, sheet, error) on public.imports to authenticated;
grant update (size, bytes_stored, chunks, sheets) on public.imports to outdial_jobs;
grant insert on public.import_chunks to outdial_jobs;

-- Jobs of all organizations whose heartbeat is overdue: their queue entry may be lost. An upload that is complete but
-- not ready is one of them; converting a workbook takes less than five minutes.
create or replace function private.lost_jobs(p_before timestamptz, p_limit integer) returns table (kind text, id uuid)
language sql stable security definer set search_path = ''
as $$
  (
    select 'import', i.id from public.imports i
    where (i.status in ('queued', 'running', 'cancelling') and coalesce(i.heartbeat_at, i.updated_at) < p_before)
      or (i.status = 'uploading' and i.size = i.bytes_stored and i.size > 0
        and i.updated_at < p_before - interval '5 minutes')
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
  union all
  (
    select 'bulk', b.id from public.bulk_jobs b
    where b.status in ('queued', 'running') and coalesce(b.heartbeat_at, b.updated_at) < p_before
    order by b.updated_at
    limit p_limit
  )
$$;
