-- Checks the constraints of the migration before, without a lock that stops imports.
alter table public.imports validate constraint imports_sheets_list;
alter table public.imports validate constraint imports_sheet_length;
