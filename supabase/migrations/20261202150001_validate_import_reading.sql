-- Checks the constraint of the migration before, without a lock that stops imports.
alter table public.imports validate constraint imports_zone_names_object;
