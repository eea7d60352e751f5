-- Imports: the uploaded file, the runs over it, and undoing one.

-- name: create_import!
-- null: :created_by, :default_region, :size
-- Insert an import that waits for its file.
insert into imports (id, organization_id, campaign_id, file_name, size, mapping, default_region, created_by, created_at,
  updated_at)
values (:id, :organization_id, :campaign_id, :file_name, :size, :mapping::text::jsonb, :default_region, :created_by,
  :now, :now);

-- name: show_import
-- returns: ImportRow | None
-- row: An import with the name of its campaign. Mapping, sheets, zone names, counts by kind and notices are JSON text.
-- null: size, default_region, error, sheet, created_by, started_at, finished_at, undone_at
-- Read an import of an organization.
select i.id, i.organization_id, i.campaign_id, c.name as campaign_name, i.file_name, i.size, i.bytes_stored, i.chunks,
  i.mapping::text as mapping, i.default_region, i.status, i.added, i.already_there, i.refused, i.rows, i.bytes_read,
  i.refused_by_kind::text as refused_by_kind, i.notices::text as notices, i.error, i.created_by, i.created_at,
  i.updated_at, i.started_at, i.finished_at, i.undone_at, i.removed, i.sheet, i.sheets::text as sheets,
  i.zone_names::text as zone_names, i.has_header
from imports i join campaigns c on c.id = i.campaign_id
where i.id = :import_id and i.organization_id = :organization_id;

-- name: list_imports
-- returns: list[ImportRow]
-- null: size, default_region, error, sheet, created_by, started_at, finished_at, undone_at, :campaign_id, :after_at, :after_id
-- plan: custom
-- List imports of an organization, newest first. `after_at` and `after_id` are those of the last import on the previous
-- page.
select i.id, i.organization_id, i.campaign_id, c.name as campaign_name, i.file_name, i.size, i.bytes_stored, i.chunks,
  i.mapping::text as mapping, i.default_region, i.status, i.added, i.already_there, i.refused, i.rows, i.bytes_read,
  i.refused_by_kind::text as refused_by_kind, i.notices::text as notices, i.error, i.created_by, i.created_at,
  i.updated_at, i.started_at, i.finished_at, i.undone_at, i.removed, i.sheet, i.sheets::text as sheets,
  i.zone_names::text as zone_names, i.has_header
from imports i join campaigns c on c.id = i.campaign_id
where i.organization_id = :organization_id
  and (:campaign_id::uuid is null or i.campaign_id = :campaign_id)
  and (:after_at::timestamptz is null or (i.created_at, i.id) < (:after_at, :after_id::uuid))
order by i.created_at desc, i.id desc
limit :limit;

-- name: restart_upload
-- returns: UUID | None
-- null: :size
-- Restart an upload from the beginning.
update imports set status = 'uploading', bytes_stored = 0, chunks = 0, size = :size, sheets = '[]',
  error = null, updated_at = :now
where id = :import_id and organization_id = :organization_id and status in ('uploading', 'ready')
returning id;

-- name: advance_upload
-- returns: int | None
-- Reserve the next chunk of an upload, if `offset` is where it ends. Of two senders only one succeeds. Returns the
-- number of chunks.
update imports set bytes_stored = bytes_stored + :length, chunks = chunks + 1, updated_at = :now
where id = :import_id and status = 'uploading' and bytes_stored = :offset
returning chunks as id;

-- name: store_import_chunk!
-- Insert a chunk of the file.
insert into import_chunks (organization_id, import_id, number, content)
values (:organization_id, :import_id, :number, :content);

-- name: finish_upload
-- returns: UUID | None
-- Mark the file as complete.
update imports set status = 'ready', size = bytes_stored, updated_at = :now
where id = :import_id and status = 'uploading' and bytes_stored > 0
returning id;

-- name: abandon_upload
-- returns: UUID | None
-- Cancel an upload that has not continued.
update imports set status = 'cancelled', finished_at = :now, updated_at = :now
where id = :import_id and status in ('uploading', 'ready') and updated_at < :before
returning id;

-- name: queue_import
-- returns: UUID | None
-- null: :default_region, :sheet
-- Queue an import whose file has `bytes` in `chunks`. The caller enqueues its job in the same transaction, and keeps only
-- the chunks of the sheet.
update imports set status = 'queued', mapping = :mapping::text::jsonb, default_region = :default_region,
  zone_names = :zone_names::text::jsonb, has_header = :has_header, sheet = :sheet, bytes_stored = :bytes,
  size = :bytes, chunks = :chunks, queued_at = :now, updated_at = :now
where id = :import_id and organization_id = :organization_id and status = 'ready'
returning id;

-- name: cancel_import
-- returns: UUID | None
-- Cancel an import. One that runs ends after the current chunk of rows.
update imports
set status = case when status = 'running' then 'cancelling' else 'cancelled' end,
  finished_at = case when status = 'running' then null else :now::timestamptz end, updated_at = :now
where id = :import_id and organization_id = :organization_id and status in ('uploading', 'ready', 'queued', 'running')
returning id;

-- name: undo_import
-- returns: UndoneImport | None
-- null: last_id, :after
-- row: A portion: `removed` contacts, or 0 because `called` were called; `last_id` is its last contact if more follow.
-- Remove a portion of the contacts that an import added to a campaign, unless one of them was called.
select removed, called, last_id
from private.undo_import(:organization_id, :campaign_id, :import_id, :after, :limit, :now);

-- name: import_chunk
-- returns: bytes | None
-- Read a chunk of the file.
select content as id from import_chunks where import_id = :import_id and number = :number;

-- name: first_import_chunks
-- returns: list[bytes]
-- Read `chunks` chunks of the file from number `first` on.
select content as id from import_chunks
where import_id = :import_id and number >= :first and number < :first::integer + :chunks::integer
order by number;

-- name: delete_import_chunks!
-- Delete the file.
delete from import_chunks where import_id = :import_id;

-- name: begin_import
-- returns: ImportRun | None
-- row: An import that a run has taken. `added` counts the contacts that earlier runs added.
-- null: default_region, created_by
-- Begin a run of an import that is queued, was released, or whose run has been silent since `silent_since`.
update imports
set status = 'running', runs = runs + 1, heartbeat_at = :now, started_at = coalesce(started_at, :now), updated_at = :now
where id = :import_id
  and (status = 'queued' or (status = 'running' and (heartbeat_at is null or heartbeat_at < :silent_since)))
returning id, organization_id, campaign_id, mapping::text as mapping, zone_names::text as zone_names, has_header,
  default_region, chunks, runs, added, created_by;

-- name: end_cancelled_import
-- returns: UUID | None
-- End an import that was cancelled while no run was active.
update imports set status = 'cancelled', finished_at = :now, heartbeat_at = null, updated_at = :now
where id = :import_id and status = 'cancelling' and (heartbeat_at is null or heartbeat_at < :silent_since)
returning id;

-- name: record_import
-- returns: UUID | None
-- Store the progress of a run together with the contacts it added. Returns None when the run may not continue.
update imports
set added = added + :added, rows = :rows, refused = :refused, bytes_read = greatest(bytes_read, :bytes_read),
  already_there = greatest(0, :rows::bigint - :refused::bigint - added - :added::bigint), heartbeat_at = :now,
  updated_at = :now
where id = :import_id and runs = :run and status = 'running'
returning id;

-- name: release_import!
-- Release an import, so that the next run can begin at once.
update imports set heartbeat_at = null, updated_at = :now
where id = :import_id and runs = :run and status in ('running', 'cancelling');

-- name: finish_import
-- returns: UUID | None
-- null: :error
-- Store the result of an import. One that is being cancelled becomes cancelled, however far its run got.
update imports
set status = case status when 'cancelling' then 'cancelled' else :status::text end, rows = :rows, refused = :refused,
  bytes_read = greatest(bytes_read, :bytes_read),
  already_there = greatest(0, :rows::bigint - :refused::bigint - added), refused_by_kind = :refused_by_kind::text::jsonb,
  notices = :notices::text::jsonb, header = :header::text::jsonb, error = :error, heartbeat_at = null,
  finished_at = :now, updated_at = :now
where id = :import_id and runs = :run and status in ('running', 'cancelling')
returning id;

-- name: import_header
-- returns: str | None
-- Read the names of the columns of an import, a JSON array.
select header::text as id from imports where id = :import_id and organization_id = :organization_id;
