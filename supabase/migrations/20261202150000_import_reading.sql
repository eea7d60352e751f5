-- How an import reads its file beyond the mapping: the zones of names such as Eastern, and whether the first line has the
-- names of the columns. A worker of the version before refuses those rows, or the file, and says why.
alter table public.imports
  add column zone_names jsonb not null default '{}',
  add column has_header boolean not null default true,
  add constraint imports_zone_names_object check (jsonb_typeof(zone_names) = 'object') not valid;

grant update (zone_names, has_header) on public.imports to authenticated;
