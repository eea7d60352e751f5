-- name: create_import!
-- An import that waits for its file.
insert into imports (id, organization_id, campaign_id, file_name, size, mapping, default_region, created_by, created_at,
  updated_at)
values (:id, :organization_id, :campaign_id, :file_name, :size, :mapping::text::jsonb, :default_region, :created_by,
  :now, :now);

-- name: show_import
-- One import of the organization with all that is known of it.
select i.id, i.organization_id, i.campaign_id, c.name as campaign_name, i.file_name, i.size, i.bytes_stored, i.chunks,
  i.mapping::text as mapping, i.default_region, i.status, i.added, i.already_there, i.refused, i.rows, i.bytes_read,
  i.refused_by_kind::text as refused_by_kind, i.notices::text as notices, i.error, i.created_by, i.created_at,
  i.updated_at, i.started_at, i.finished_at
from imports i join campaigns c on c.id = i.campaign_id
where i.id = :import_id and i.organization_id = :organization_id;

-- name: list_imports
-- Imports of the organization, the newest first, after the last one of the page before.
select i.id, i.organization_id, i.campaign_id, c.name as campaign_name, i.file_name, i.size, i.bytes_stored, i.chunks,
  i.mapping::text as mapping, i.default_region, i.status, i.added, i.already_there, i.refused, i.rows, i.bytes_read,
  i.refused_by_kind::text as refused_by_kind, i.notices::text as notices, i.error, i.created_by, i.created_at,
  i.updated_at, i.started_at, i.finished_at
from imports i join campaigns c on c.id = i.campaign_id
where i.organization_id = :organization_id
  and (:campaign_id::uuid is null or i.campaign_id = :campaign_id)
  and (:after_at::timestamptz is null or (i.created_at, i.id) < (:after_at, :after_id::uuid))
order by i.created_at desc, i.id desc
limit :limit;

-- name: restart_upload
-- A file is sent from its beginning: what was stored of an earlier one does not count.
update imports set status = 'uploading', bytes_stored = 0, chunks = 0, size = :size, updated_at = :now
where id = :import_id and organization_id = :organization_id and status in ('uploading', 'ready')
returning id;

-- name: advance_upload
-- A chunk is taken as the next one only by whoever knows how much is there: of two senders one goes on.
update imports set bytes_stored = bytes_stored + :length, chunks = chunks + 1, updated_at = :now
where id = :import_id and status = 'uploading' and bytes_stored = :offset
returning chunks as id;

-- name: store_import_chunk!
-- Bytes of the file.
insert into import_chunks (organization_id, import_id, number, content)
values (:organization_id, :import_id, :number, :content);

-- name: finish_upload
-- The file is there in full.
update imports set status = 'ready', size = bytes_stored, updated_at = :now
where id = :import_id and status = 'uploading' and bytes_stored > 0
returning id;

-- name: queue_import
-- The import may begin; whoever changes it thus also puts it into the queue, in the same transaction.
update imports set status = 'queued', mapping = :mapping::text::jsonb, default_region = :default_region,
  queued_at = :now, updated_at = :now
where id = :import_id and organization_id = :organization_id and status = 'ready'
returning id;

-- name: cancel_import
-- An import that has not begun ends here; one that runs ends with the chunk of rows under way.
update imports
set status = case when status = 'running' then 'cancelling' else 'cancelled' end,
  finished_at = case when status = 'running' then null else :now::timestamptz end, updated_at = :now
where id = :import_id and organization_id = :organization_id and status in ('uploading', 'ready', 'queued', 'running')
returning id;

-- name: delete_import_chunks!
-- The bytes of a file that nobody needs any more.
delete from import_chunks where import_id = :import_id;

-- name: import_chunk
-- The bytes at one place of the file.
select content as id from import_chunks where import_id = :import_id and number = :number;

-- name: first_import_chunks
-- The beginning of the file.
select content as id from import_chunks where import_id = :import_id and number < :chunks order by number;

-- name: job_organization
-- Whose job it is; null when it is gone.
select private.job_organization(:kind, :job_id) as id;

-- name: begin_import
-- A run takes an import that waits, or one whose run has been silent for too long or has given it back.
update imports
set status = 'running', runs = runs + 1, heartbeat_at = :now, started_at = coalesce(started_at, :now), updated_at = :now
where id = :import_id
  and (status = 'queued' or (status = 'running' and (heartbeat_at is null or heartbeat_at < :silent_since)))
returning id, organization_id, campaign_id, mapping::text as mapping, default_region, chunks, runs, added, created_by;

-- name: end_cancelled_import
-- An import that was cancelled while nobody was at work on it.
update imports set status = 'cancelled', finished_at = :now, heartbeat_at = null, updated_at = :now
where id = :import_id and status = 'cancelling' and (heartbeat_at is null or heartbeat_at < :silent_since)
returning id;

-- name: record_import
-- How far a run has come, written with the contacts that it has added; no row for one that may not go on.
update imports
set added = added + :added, rows = :rows, refused = :refused, bytes_read = greatest(bytes_read, :bytes_read),
  already_there = greatest(0, :rows::bigint - :refused::bigint - added - :added::bigint), heartbeat_at = :now,
  updated_at = :now
where id = :import_id and runs = :run and status = 'running'
returning id;

-- name: release_import!
-- A run that has to stop lets the next one begin at once.
update imports set heartbeat_at = null, updated_at = :now
where id = :import_id and runs = :run and status in ('running', 'cancelling');

-- name: finish_import
-- What the import came to; one that somebody wanted to stop is called cancelled, wherever its last run had got to.
update imports
set status = case status when 'cancelling' then 'cancelled' else :status::text end, rows = :rows, refused = :refused,
  bytes_read = greatest(bytes_read, :bytes_read),
  already_there = greatest(0, :rows::bigint - :refused::bigint - added), refused_by_kind = :refused_by_kind::text::jsonb,
  notices = :notices::text::jsonb, error = :error, heartbeat_at = null, finished_at = :now, updated_at = :now
where id = :import_id and runs = :run and status in ('running', 'cancelling')
returning id;

-- name: forget_refusals!
-- The refused rows of an import: of an earlier run, or kept for long enough.
delete from import_refusals where import_id = :import_id;

-- name: keep_refusals!
-- Rows that did not go in.
insert into import_refusals (organization_id, import_id, line, value, kind, reason)
select :organization_id, :import_id, u.line, u.value, u.kind, u.reason
from unnest(:lines::bigint[], :values::text[], :kinds::text[], :reasons::text[]) as u (line, value, kind, reason)
on conflict do nothing;

-- name: list_refusals
-- Refused rows of an import, in the order of the file.
select line, value, kind, reason from import_refusals
where import_id = :import_id and organization_id = :organization_id and line > :after_line
order by line
limit :limit;

-- name: create_export!
-- An export that waits; whoever adds it also puts it into the queue, in the same transaction.
insert into exports (id, organization_id, kind, filters, created_by, created_at, updated_at)
values (:id, :organization_id, :kind, :filters::text::jsonb, :created_by, :now, :now);

-- name: show_export
-- One export of the organization.
select id, organization_id, kind, filters::text as filters, status, rows, size, error, created_by, created_at,
  updated_at, finished_at, expires_at
from exports where id = :export_id and organization_id = :organization_id;

-- name: list_exports
-- Exports of the organization, the newest first, after the last one of the page before.
select id, organization_id, kind, filters::text as filters, status, rows, size, error, created_by, created_at,
  updated_at, finished_at, expires_at
from exports
where organization_id = :organization_id
  and (:after_at::timestamptz is null or (created_at, id) < (:after_at, :after_id::uuid))
order by created_at desc, id desc
limit :limit;

-- name: cancel_export
-- An export that nobody wants any more: its run finds out at its next chunk.
update exports set status = 'cancelled', finished_at = :now, updated_at = :now
where id = :export_id and organization_id = :organization_id and status in ('queued', 'running')
returning id;

-- name: begin_export
-- A run takes an export that waits, or one whose run has been silent for too long or has given it back.
update exports set status = 'running', runs = runs + 1, rows = 0, size = 0, heartbeat_at = :now, updated_at = :now
where id = :export_id
  and (status = 'queued' or (status = 'running' and (heartbeat_at is null or heartbeat_at < :silent_since)))
returning id, organization_id, kind, filters::text as filters, runs;

-- name: record_export
-- How far a run has come; no row for one that may not go on.
update exports set rows = :rows, size = :size, heartbeat_at = :now, updated_at = :now
where id = :export_id and runs = :run and status = 'running'
returning id;

-- name: release_export!
-- A run that has to stop lets the next one begin at once.
update exports set heartbeat_at = null, updated_at = :now
where id = :export_id and runs = :run and status = 'running';

-- name: finish_export
-- What the export came to.
update exports
set status = :status, rows = :rows, size = :size, error = :error, heartbeat_at = null, finished_at = :now,
  updated_at = :now, expires_at = :expires_at
where id = :export_id and runs = :run and status = 'running'
returning id;

-- name: expire_export
-- The file of an export is no longer kept.
update exports set status = 'expired', updated_at = :now
where id = :export_id and status = 'completed' and expires_at <= :now
returning id;

-- name: store_export_chunk!
-- Bytes of the file.
insert into export_chunks (organization_id, export_id, number, content)
values (:organization_id, :export_id, :number, :content);

-- name: export_chunk
-- The bytes at one place of the file.
select content as id from export_chunks where export_id = :export_id and number = :number;

-- name: delete_export_chunks!
-- The bytes of a file that nobody may fetch any more, or of a run that did not end.
delete from export_chunks where export_id = :export_id;

-- name: lost_jobs
-- Jobs of all organizations that nobody seems to be doing.
select kind, id from private.lost_jobs(:before, :limit);

-- name: outdated_jobs
-- What has been kept for long enough, of all organizations.
select kind, organization_id, id
from private.outdated_jobs(:now, :uploads_before, :refusals_before, :limit);

-- name: abandon_upload
-- An upload that nobody has gone on with.
update imports set status = 'cancelled', finished_at = :now, updated_at = :now
where id = :import_id and status in ('uploading', 'ready') and updated_at < :before
returning id;

-- name: forget_old_keys
-- How many idempotency keys, of all organizations, have been forgotten.
select private.forget_old_keys(:before) as id;

-- name: notify_jobs
-- Tells pages, when the transaction commits, that imports or exports of the organization have moved.
select pg_notify('outdial_jobs', :organization_id::uuid::text);

-- name: export_contacts
-- People of the organization, or those of one campaign, by phone.
select k.phone, k.name, k.email, k.company, k.notes, k.external_id, k.timezone, k.zone_key, k.created_at
from contacts k
where k.organization_id = :organization_id
  and (:campaign_id::uuid is null or exists (
    select from campaign_contacts cc where cc.campaign_id = :campaign_id and cc.contact_id = k.id))
order by k.phone;

-- name: export_calls
-- Calls of the organization, or of one campaign, that were asked for in a span of time, the newest first.
select c.id, m.name as campaign, k.name, c.phone, c.from_number, c.attempt_number, c.status, c.outcome,
  c.disconnection_reason, c.requested_at, c.started_at, c.ended_at, c.duration_ms, c.cost_cents, c.recording_url,
  c.retell_call_id
from calls c join campaigns m on m.id = c.campaign_id join contacts k on k.id = c.contact_id
where c.organization_id = :organization_id
  and (:campaign_id::uuid is null or c.campaign_id = :campaign_id)
  and (:outcome::text is null or c.outcome = :outcome)
  and (:since::timestamptz is null or c.created_at >= :since)
  and (:until::timestamptz is null or c.created_at < :until)
order by c.created_at desc, c.id desc;

-- name: export_do_not_call
-- Numbers that nobody may call, by number.
select phone, source, reason, created_at from do_not_call where organization_id = :organization_id order by phone;

-- name: forget_queue_log!
-- What PgQueuer has written of jobs that are long over, and has counted.
delete from pgqueuer.pgqueuer_log where aggregated and created < :before;
