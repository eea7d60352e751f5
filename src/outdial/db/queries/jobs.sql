-- Background jobs of all organizations.

-- name: job_organization
-- returns: UUID | None
-- Whose job it is; null when it is gone.
select private.job_organization(:kind, :job_id) as id;

-- name: lost_jobs
-- returns: list[LostJob]
-- Jobs of all organizations that nobody seems to be doing.
select kind, id from private.lost_jobs(:before, :limit);

-- name: outdated_jobs
-- returns: list[OutdatedJob]
-- What has been kept for long enough, of all organizations.
select kind, organization_id, id
from private.outdated_jobs(:now, :uploads_before, :refusals_before, :limit);

-- name: delete_old_idempotency_keys
-- returns: int
-- How many idempotency keys, of all organizations, have been forgotten.
select private.forget_old_keys(:before) as id;

-- name: delete_queue_log!
-- What PgQueuer has written of jobs that are long over, and has counted.
delete from pgqueuer.pgqueuer_log where aggregated and created < :before;

-- name: notify_jobs
-- returns: None
-- Tells pages, when the transaction commits, that imports or exports of the organization have moved.
select pg_notify('outdial_jobs', :organization_id::uuid::text);
