-- Background jobs of all organizations.

-- name: job_organization
-- returns: UUID | None
-- Return the organization of a job, None when the job is gone.
select private.job_organization(:kind, :job_id) as id;

-- name: lost_jobs
-- returns: list[LostJob]
-- row: An unfinished job that is not running.
-- List unfinished jobs of all organizations that are not running.
select kind, id from private.lost_jobs(:before, :limit);

-- name: outdated_jobs
-- returns: list[OutdatedJob]
-- row: An import or export whose data may be deleted.
-- List imports and exports of all organizations whose data may be deleted.
select kind, organization_id, id
from private.outdated_jobs(:now, :uploads_before, :refusals_before, :limit);

-- name: delete_old_idempotency_keys
-- returns: int
-- Delete old idempotency keys of all organizations. Returns how many.
select private.forget_old_keys(:before) as id;

-- name: forget_acts
-- returns: int
-- Delete acts of all organizations that are too old to be undone, or at first some of their contacts. Returns how many.
select private.forget_acts(:before, :limit) as id;

-- name: delete_queue_log!
-- Delete old entries of PgQueuer's log that it has aggregated.
delete from pgqueuer.pgqueuer_log where aggregated and created < :before;

-- name: notify_jobs
-- returns: None
-- Notify pages, on commit, that imports or exports of an organization have changed.
select pg_notify('outdial_jobs', :organization_id::uuid::text);
