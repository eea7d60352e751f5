-- Rejected rows keep all their cells, and their import its header, so that they can be corrected and imported again.
alter table public.imports
  add column header jsonb not null default '[]' check (jsonb_typeof(header) = 'array');
alter table public.import_refusals
  add column cells jsonb not null default '[]' check (jsonb_typeof(cells) = 'array');

grant update (header) on public.imports to outdial_jobs;
