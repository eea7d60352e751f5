-- Rows of a file that an import refused.

-- name: insert_refusals!
-- Insert rows of the file that were refused.
insert into import_refusals (organization_id, import_id, line, value, kind, reason, cells)
select :organization_id, :import_id, u.line, u.value, u.kind, u.reason, u.cells::jsonb
from unnest(:lines::bigint[], :values::text[], :kinds::text[], :reasons::text[], :cells::text[])
  as u (line, value, kind, reason, cells)
on conflict do nothing;

-- name: list_refusals
-- returns: list[RefusedImportRow]
-- row: A refused row: its line in the file, its phone cell (or the start of the row) and the reason.
-- List refused rows of an import in the order of the file.
select line, value, kind, reason from import_refusals
where import_id = :import_id and organization_id = :organization_id and line > :after_line
order by line
limit :limit;

-- name: list_whole_refusals
-- returns: list[WholeRefusal]
-- row: A refused row with its cells, which are a JSON array.
-- List refused rows of an import with their cells, in the order of the file.
select line, value, kind, reason, cells::text as cells from import_refusals
where import_id = :import_id and organization_id = :organization_id and line > :after_line
order by line
limit :limit;

-- name: delete_refusals!
-- Delete the refused rows of an import.
delete from import_refusals where import_id = :import_id;
