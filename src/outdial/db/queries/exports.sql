-- Exports: their runs and the files they write.

-- name: create_export!
-- null: :created_by
-- Insert a queued export. The caller enqueues its job in the same transaction.
insert into exports (id, organization_id, kind, format, include, filters, created_by, created_at, updated_at)
values (:id, :organization_id, :kind, :format, :include, :filters::text::jsonb, :created_by, :now, :now);

-- name: show_export
-- returns: ExportRow | None
-- row: An export. The filters are JSON text.
-- null: error, created_by, finished_at, expires_at
-- Read an export of an organization.
select id, organization_id, kind, format, include, filters::text as filters, status, rows, size, error, created_by,
  created_at, updated_at, finished_at, expires_at
from exports where id = :export_id and organization_id = :organization_id;

-- name: list_exports
-- returns: list[ExportRow]
-- null: error, created_by, finished_at, expires_at, :after_at, :after_id
-- plan: custom
-- List exports of an organization, newest first. `after_at` and `after_id` are those of the last export on the previous
-- page.
select id, organization_id, kind, format, include, filters::text as filters, status, rows, size, error, created_by,
  created_at, updated_at, finished_at, expires_at
from exports
where organization_id = :organization_id
  and (:after_at::timestamptz is null or (created_at, id) < (:after_at, :after_id::uuid))
order by created_at desc, id desc
limit :limit;

-- name: cancel_export
-- returns: UUID | None
-- Cancel an export. Its run notices at the next chunk.
update exports set status = 'cancelled', finished_at = :now, updated_at = :now
where id = :export_id and organization_id = :organization_id and status in ('queued', 'running')
returning id;

-- name: begin_export
-- returns: ExportRun | None
-- row: An export that a run has taken. The filters are JSON text.
-- Begin a run of an export that is queued, was released, or whose run has been silent since `silent_since`.
update exports set status = 'running', runs = runs + 1, rows = 0, size = 0, heartbeat_at = :now, updated_at = :now
where id = :export_id
  and (status = 'queued' or (status = 'running' and (heartbeat_at is null or heartbeat_at < :silent_since)))
returning id, organization_id, kind, format, include, filters::text as filters, runs;

-- name: record_export
-- returns: UUID | None
-- Store the progress of a run. Returns None when the run may not continue.
update exports set rows = :rows, size = :size, heartbeat_at = :now, updated_at = :now
where id = :export_id and runs = :run and status = 'running'
returning id;

-- name: release_export!
-- Release an export, so that the next run can begin at once.
update exports set heartbeat_at = null, updated_at = :now
where id = :export_id and runs = :run and status = 'running';

-- name: finish_export
-- returns: UUID | None
-- null: :error, :expires_at
-- Store the result of an export.
update exports
set status = :status, rows = :rows, size = :size, error = :error, heartbeat_at = null, finished_at = :now,
  updated_at = :now, expires_at = :expires_at
where id = :export_id and runs = :run and status = 'running'
returning id;

-- name: expire_export!
-- Mark an export whose file is deleted.
update exports set status = 'expired', updated_at = :now
where id = :export_id and status = 'completed' and expires_at <= :now;

-- name: store_export_chunk!
-- Insert a chunk of the file.
insert into export_chunks (organization_id, export_id, number, content)
values (:organization_id, :export_id, :number, :content);

-- name: export_chunk
-- returns: bytes | None
-- Read a chunk of the file.
select content as id from export_chunks where export_id = :export_id and number = :number;

-- name: delete_export_chunks!
-- Delete the file.
delete from export_chunks where export_id = :export_id;

-- name: export_calls
-- returns: AsyncIterator[ExportedCall]
-- row: A call in the columns of an export.
-- null: name, outcome, disconnection_reason, started_at, ended_at, duration_ms, cost_cents, recording_url,
-- null: retell_call_id, :campaign_id, :status, :outcome, :is_reviewed, :since, :until, :first_phone, :last_phone,
-- null: :contact_ids, :call_ids, :words, :digits
-- plan: custom
-- Stream the selected calls of an organization, newest first.
select c.id, m.name as campaign, k.name, c.phone, c.from_number, c.attempt_number, c.status, c.outcome,
  c.disconnection_reason, c.requested_at, c.started_at, c.ended_at, c.duration_ms, c.cost_cents, c.recording_url,
  c.retell_call_id
from calls c join campaigns m on m.id = c.campaign_id join contacts k on k.id = c.contact_id
where c.organization_id = :organization_id
  -- include: selected_calls
  and (:call_ids::uuid[] is null or c.id = any (:call_ids))
  -- include: words_of_contacts
order by c.created_at desc, c.id desc;
