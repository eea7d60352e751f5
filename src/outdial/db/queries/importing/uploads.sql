-- Uploads of imports: a file that has arrived becomes ready, and the chunks of one sheet become the file.

-- name: receive_upload
-- returns: UUID | None
-- Note that all `stored` bytes of an upload have arrived. Returns None when the upload has changed.
update imports set size = bytes_stored, updated_at = :now
where id = :import_id and status = 'uploading' and bytes_stored = :stored
returning id;

-- name: received_upload
-- returns: int | None
-- Return the size of an upload that has arrived but is not ready.
select size as id from imports
where id = :import_id and status = 'uploading' and size = bytes_stored and size > 0;

-- name: reject_upload
-- returns: UUID | None
-- Empty an upload of `stored` bytes that cannot be read: another file may follow. Returns None when the upload has
-- changed.
update imports set bytes_stored = 0, chunks = 0, size = null, error = :error, updated_at = :now
where id = :import_id and status = 'uploading' and bytes_stored = :stored
returning id;

-- name: replace_upload
-- returns: UUID | None
-- Mark an upload of `stored` bytes as complete in another form: the sheets of a workbook, of which the first one has
-- `bytes` in `chunks`. The caller replaces the chunks in the same transaction. Returns None when the upload has changed.
update imports set status = 'ready', bytes_stored = :bytes, size = :bytes, chunks = :chunks,
  sheets = :sheets::text::jsonb, updated_at = :now
where id = :import_id and status = 'uploading' and bytes_stored = :stored
returning id;

-- name: delete_chunks_outside!
-- Delete the chunks of a file before number `first` and from `following` on.
delete from import_chunks where import_id = :import_id and (number < :first or number >= :following);

-- name: copy_chunks_to_start!
-- Copy the chunks of a file from number `first` on to its start.
insert into import_chunks (organization_id, import_id, number, content)
select organization_id, import_id, number - :first::integer, content from import_chunks
where import_id = :import_id and number >= :first;

-- name: has_called_contact
-- returns: bool
-- Return whether one of the contacts that an import has added was called, as far as the last 1,000 calls show: the
-- undoing of the import checks all of them.
select exists (
  select from (
    select campaign_contact_id from calls where campaign_id = :campaign_id order by created_at desc limit 1000
  ) k join campaign_contacts cc on cc.id = k.campaign_contact_id
  where cc.import_id = :import_id
) as id;
