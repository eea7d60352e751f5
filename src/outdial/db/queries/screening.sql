-- Screening lists and their numbers.

-- name: create_screening_list!
-- null: :jurisdiction, :created_by
-- Insert a list whose numbers follow.
insert into screening_lists (id, organization_id, kind, jurisdiction, registry_date, file_name, created_by, created_at,
  updated_at)
values (:id, :organization_id, :kind, :jurisdiction, :registry_date, :file_name, :created_by, :now, :now);

-- name: add_screened_numbers!
-- Store numbers of a list. Returns how many are new to it.
insert into screened_numbers (organization_id, list_id, phone)
select :organization_id, :list_id, u.phone from unnest(:phones::text[]) as u (phone)
order by u.phone
on conflict do nothing;

-- name: advance_screening_list
-- returns: UUID | None
-- Store the progress of an upload. Returns None when it may not continue.
update screening_lists set numbers = numbers + :added, refused = :refused, updated_at = :now
where id = :list_id and organization_id = :organization_id and status = 'loading'
returning id;

-- name: replace_screening_lists!
-- Mark the list that a new one replaces.
update screening_lists l set status = 'replaced', updated_at = :now
from screening_lists n
where n.id = :list_id and n.organization_id = :organization_id and n.status = 'loading'
  and l.organization_id = n.organization_id and l.kind = n.kind
  and l.jurisdiction is not distinct from n.jurisdiction and l.status = 'current';

-- name: complete_screening_list
-- returns: UUID | None
-- Make a list count: all its numbers are stored. Returns None when it was given up meanwhile.
update screening_lists set status = 'current', completed_at = :now, updated_at = :now
where id = :list_id and organization_id = :organization_id and status = 'loading'
returning id;

-- name: fail_screening_list!
-- Give up an upload.
update screening_lists set status = 'failed', updated_at = :now
where id = :list_id and organization_id = :organization_id and status = 'loading';

-- name: remove_screening_list
-- returns: RemovedScreeningList | None
-- row: The list that was removed.
-- null: jurisdiction
-- Stop screening with a list. Returns None when it does not count anyway.
update screening_lists set status = 'removed', updated_at = :now
where id = :list_id and organization_id = :organization_id and status = 'current'
returning kind, jurisdiction, registry_date;

-- name: current_screening_lists
-- returns: list[CurrentScreeningList]
-- row: A complete list that screens calls.
-- null: jurisdiction
-- List the complete lists of an organization.
select id, kind, jurisdiction, registry_date, numbers from screening_lists
where organization_id = :organization_id and status = 'current'
order by kind, jurisdiction;

-- name: list_screening_lists
-- returns: list[ScreeningListRow]
-- row: A list with the progress of its upload.
-- null: jurisdiction, created_by, completed_at, :after_at, :after_id
-- plan: custom
-- List the uploads of an organization, newest first. `after_at` and `after_id` are those of the last one on the previous
-- page.
select id, kind, jurisdiction, registry_date, file_name, status, numbers, refused, created_by, created_at, completed_at
from screening_lists
where organization_id = :organization_id
  and (:after_at::timestamptz is null or (created_at, id) < (:after_at, :after_id::uuid))
order by created_at desc, id desc
limit :limit;

-- name: wake_screened_campaigns
-- returns: list[UUID]
-- Make campaigns due now that wait for a list. Returns their ids.
update campaigns set next_batch_at = :now
where id in (
  select id from campaigns
  where organization_id = :organization_id and status = 'active' and waiting_for = 'screening'
  for update skip locked
)
returning id;

-- name: outdated_screening_lists
-- returns: list[OutdatedScreeningList]
-- row: A list whose numbers can be deleted.
-- List the lists of all organizations that were replaced, removed or given up, or whose upload has been silent.
select organization_id, id from private.outdated_screening_lists(:silent_since, :limit);

-- name: give_up_screening_list
-- returns: UUID | None
-- Mark the list of a silent upload as failed, so that it cannot go on. Returns None if the numbers must stay: the upload
-- has gone on, or they are deleted already.
update screening_lists set status = case status when 'loading' then 'failed' else status end, updated_at = :now
where id = :list_id and organization_id = :organization_id and cleared_at is null
  and (status in ('replaced', 'removed', 'failed') or status = 'loading' and updated_at < :silent_since)
returning id;

-- name: delete_screened_numbers!
-- Delete a portion of the numbers of a list.
delete from screened_numbers
where organization_id = :organization_id and list_id = :list_id
  and ctid = any (array(select n.ctid from screened_numbers n where n.list_id = :list_id limit :limit));

-- name: clear_screening_list!
-- Note that the numbers of a list are deleted.
update screening_lists set cleared_at = :now, updated_at = :now
where id = :list_id and organization_id = :organization_id and status in ('replaced', 'removed', 'failed');

-- name: screening_list_status
-- returns: str | None
-- Return the status of a list of an organization.
select status as id from screening_lists where id = :list_id and organization_id = :organization_id;
