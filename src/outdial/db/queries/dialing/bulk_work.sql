-- The work of bulk jobs, portion by portion.

-- name: begin_bulk_job
-- returns: BulkJobRun | None
-- row: A bulk job that a run has taken.
-- null: campaign_id, decision, call_at, copy_id, undoes, created_by
-- Begin a run of a job that is queued, was released, or whose run has been silent since `silent_since`.
update bulk_jobs set status = 'running', runs = runs + 1, heartbeat_at = :now, updated_at = :now
where id = :bulk_job_id
  and (status = 'queued' or (status = 'running' and (heartbeat_at is null or heartbeat_at < :silent_since)))
returning id, organization_id, campaign_id, action, decision, reason, call_at, copy_id, undoes, created_by,
  requested_by, runs, failures;

-- name: take_portion
-- returns: BulkPortion | None
-- row: Contacts that a bulk job acts on in one transaction.
-- Remove the next portion of a bulk job, whose run holds it.
with next as (
  select p.number from bulk_job_portions p where p.bulk_job_id = :bulk_job_id order by p.number limit 1
)
delete from bulk_job_portions p using next
where p.bulk_job_id = :bulk_job_id and p.number = next.number
returning p.number, p.ids, p.statuses, p.calls;

-- name: lock_target_campaign
-- returns: TargetCampaign | None
-- row: The campaign that a portion changes.
-- Lock a campaign against completion, as retry_contacts does.
select id, status, max_attempts from campaigns where id = :campaign_id for no key update;

-- name: lock_portion_contacts
-- returns: list[PortionContact]
-- row: A contact of a portion, with what the action on it depends on.
-- Lock the contacts of a portion that are in the campaign of its job, in the order of their ids. After an erasure that the lock
-- has waited for, only the locked rows are read again: so an erased one is known by its phone.
select cc.id, cc.contact_id, cc.status, cc.call_count, cc.attempts, cc.phone like 'erased:%' as is_erased,
  exists (select from do_not_call d where d.organization_id = cc.organization_id and d.phone = cc.phone
    and d.purpose in ('any', m.purpose)) as do_not_call
from campaign_contacts cc
join campaigns m on m.id = cc.campaign_id
where cc.id = any (:ids::uuid[]) and cc.campaign_id = :campaign_id
order by cc.id
for update of cc;

-- name: decide_reviews
-- returns: list[UUID]
-- null: :note
-- Decide contacts in review. Returns those that are decided now.
select private.decide_reviews(
  :organization_id, :ids::uuid[], :decision, :note, :decided_by, :reason, :call_at, :now
) as id;

-- name: block_listed_contacts
-- returns: list[UUID]
-- Put the numbers of contacts of an organization on the do-not-call list; their act remembers which. Returns the contacts
-- whose number was not on it for all calls.
select private.block_listed_contacts(:organization_id, :act_id, :ids::uuid[], :reason, :now) as id;

-- name: mark_calls_of_act
-- returns: list[UUID]
-- null: :note
-- Mark calls as reviewed that no member has marked yet; their act remembers which. Returns them.
select private.mark_calls_of_act(:organization_id, :act_id, :ids::uuid[], :reviewed_by, :note, :now) as id;

-- name: kept_contacts
-- returns: list[UUID]
-- Return those of the contacts that have not been erased.
select id from contacts where id = any (:ids::uuid[]) and organization_id = :organization_id and erased_at is null;

-- name: kept_calls
-- returns: list[UUID]
-- Return those of the calls that have not been deleted.
select id from calls where id = any (:ids::uuid[]) and organization_id = :organization_id;

-- name: store_left_out!
-- Store the contacts that a portion has left out.
insert into bulk_job_left_out (organization_id, bulk_job_id, campaign_contact_id, kind, reason)
select :organization_id, :bulk_job_id, u.id, u.kind, u.reason
from unnest(:ids::uuid[], :kinds::text[], :reasons::text[]) as u (id, kind, reason);

-- name: record_portion
-- returns: UUID | None
-- Count what a run has done, and hold the job until the transaction ends. Returns None when the run may not continue.
update bulk_jobs
set done = done + :done, left_out = left_out + :left_out, failures = 0, heartbeat_at = :now, updated_at = :now
where id = :bulk_job_id and runs = :run and status = 'running'
returning id;

-- name: release_bulk_job!
-- Release a job, so that the next run can begin at once.
update bulk_jobs set heartbeat_at = null, failures = failures + :failures, updated_at = :now
where id = :bulk_job_id and runs = :run and status = 'running';

-- name: finish_bulk_job
-- returns: UUID | None
-- null: :error
-- Store the result of a bulk job.
update bulk_jobs set status = :status, error = :error, heartbeat_at = null, finished_at = :now, updated_at = :now
where id = :bulk_job_id and runs = :run and status = 'running'
returning id;

-- name: delete_portions!
-- Delete the portions of a bulk job that has ended: a cancelled one may have some left.
delete from bulk_job_portions p using bulk_jobs b
where p.bulk_job_id = :bulk_job_id and b.id = p.bulk_job_id and b.status not in ('queued', 'running');
