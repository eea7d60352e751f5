-- Stopping all calls of an organization, and resuming them.

-- name: stop_organization
-- returns: bool
-- null: :reason
-- Stop all calls of an organization. Returns False when they are stopped already.
select private.stop_organization(:organization_id, :stopped_by, :reason, :now) as changed;

-- name: resume_organization
-- returns: bool
-- Allow calls again. Returns False when they are not stopped.
select private.resume_organization(:organization_id) as changed;

-- name: is_stopped
-- returns: bool
-- Return whether the calls of an organization are stopped. Read it under the lock of the account: a stop takes that lock.
select stopped_at is not null as is_stopped from organizations where id = :organization_id;

-- name: show_stop
-- returns: StopRow | None
-- row: Whether the calls of an organization are stopped, with the number of requests that are still in flight.
-- null: stopped_at, stopped_by, stop_reason
-- Read whether the calls of an organization are stopped. No request is in flight after its deadline.
select o.stopped_at, o.stopped_by, o.stop_reason,
  (select count(*) from calls c where c.organization_id = o.id and c.request_deadline > :now)
    + (select count(*) from test_calls t where t.organization_id = o.id and t.request_deadline > :now) as requests
from organizations o where o.id = :organization_id;
