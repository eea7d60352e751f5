-- Exports: their runs and the files they write.

-- name: create_export!
-- null: :created_by
-- An export that waits; whoever adds it also puts it into the queue, in the same transaction.
insert into exports (id, organization_id, kind, filters, created_by, created_at, updated_at)
values (:id, :organization_id, :kind, :filters::text::jsonb, :created_by, :now, :now);

-- name: show_export
-- returns: ExportRow | None
-- null: error, created_by, finished_at, expires_at
-- One export of the organization.
select id, organization_id, kind, filters::text as filters, status, rows, size, error, created_by, created_at,
  updated_at, finished_at, expires_at
from exports where id = :export_id and organization_id = :organization_id;

-- name: list_exports
-- returns: list[ExportRow]
-- null: error, created_by, finished_at, expires_at, :after_at, :after_id
-- plan: custom
-- Exports of the organization, the newest first, after the last one of the page before.
select id, organization_id, kind, filters::text as filters, status, rows, size, error, created_by, created_at,
  updated_at, finished_at, expires_at
from exports
where organization_id = :organization_id
  and (:after_at::timestamptz is null or (created_at, id) < (:after_at, :after_id::uuid))
order by created_at desc, id desc
limit :limit;

-- name: cancel_export
-- returns: UUID | None
-- An export that nobody wants any more: its run finds out at its next chunk.
update exports set status = 'cancelled', finished_at = :now, updated_at = :now
where id = :export_id and organization_id = :organization_id and status in ('queued', 'running')
returning id;

-- name: begin_export
-- returns: ExportRun | None
-- A run takes an export that waits, or one whose run has been silent for too long or has given it back.
update exports set status = 'running', runs = runs + 1, rows = 0, size = 0, heartbeat_at = :now, updated_at = :now
where id = :export_id
  and (status = 'queued' or (status = 'running' and (heartbeat_at is null or heartbeat_at < :silent_since)))
returning id, organization_id, kind, filters::text as filters, runs;

-- name: record_export
-- returns: UUID | None
-- How far a run has come; no row for one that may not go on.
update exports set rows = :rows, size = :size, heartbeat_at = :now, updated_at = :now
where id = :export_id and runs = :run and status = 'running'
returning id;

-- name: release_export!
-- A run that has to stop lets the next one begin at once.
update exports set heartbeat_at = null, updated_at = :now
where id = :export_id and runs = :run and status = 'running';

-- name: finish_export
-- returns: UUID | None
-- null: :error, :expires_at
-- What the export came to.
update exports
set status = :status, rows = :rows, size = :size, error = :error, heartbeat_at = null, finished_at = :now,
  updated_at = :now, expires_at = :expires_at
where id = :export_id and runs = :run and status = 'running'
returning id;

-- name: expire_export!
-- The file of an export is no longer kept.
update exports set status = 'expired', updated_at = :now
where id = :export_id and status = 'completed' and expires_at <= :now;

-- name: store_export_chunk!
-- Bytes of the file.
insert into export_chunks (organization_id, export_id, number, content)
values (:organization_id, :export_id, :number, :content);

-- name: export_chunk
-- returns: bytes | None
-- The bytes at one place of the file.
select content as id from export_chunks where export_id = :export_id and number = :number;

-- name: delete_export_chunks!
-- The bytes of a file that nobody may fetch any more, or of a run that did not end.
delete from export_chunks where export_id = :export_id;
