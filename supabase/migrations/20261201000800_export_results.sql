-- Exports of results, as CSV, XLSX or JSON lines, with transcripts and recordings where they are asked for.

alter table public.exports
  add column format text not null default 'csv',
  add column include text[] not null default '{}';
alter table public.exports
  add constraint exports_format_known check (format in ('csv', 'xlsx', 'jsonl')) not valid,
  add constraint exports_include_known check (include <@ array['transcript', 'recording']) not valid,
  add constraint exports_kind_known check (kind in ('calls', 'contacts', 'do_not_call', 'results')) not valid,
  drop constraint exports_kind_check;

grant insert (format, include) on public.exports to authenticated;
