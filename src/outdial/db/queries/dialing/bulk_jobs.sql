-- Bulk jobs: actions on all contacts of a campaign that match the filters of the list.

-- name: count_selected_by_status
-- returns: list[SelectedStatus]
-- row: How many selected contacts have a status.
-- null: :status, :last_outcome, :first_phone, :last_phone, :first_ending, :last_ending, :name, :external_id, :text
-- null: :digits
-- plan: custom
-- Count the selected contacts of a campaign by status, without erased ones.
select cc.status, count(*)::integer as contacts
from campaign_contacts cc
join contacts k on k.id = cc.contact_id
where cc.organization_id = :organization_id and cc.campaign_id = :campaign_id and k.erased_at is null
  and (:status::text is null or cc.status = :status)
  and (:last_outcome::text is null or cc.last_outcome = :last_outcome)
  and (:first_phone::text is null or k.phone >= :first_phone and k.phone <= :last_phone)
  and (:first_ending::text is null or k.phone_reversed >= :first_ending and k.phone_reversed < :last_ending)
  and (:name::text is null or k.name_key >= lower(:name) and k.name_key < lower(:name) || :last_text)
  and (:external_id::text is null or k.external_id = :external_id)
  and (:text::text is null
    or lower(coalesce(k.name, '') || chr(10) || k.phone || chr(10) || coalesce(k.email, '') || chr(10)
      || coalesce(k.company, '') || chr(10) || coalesce(k.external_id, '')) like :text
    or lower(coalesce(k.name, '') || chr(10) || k.phone || chr(10) || coalesce(k.email, '') || chr(10)
      || coalesce(k.company, '') || chr(10) || coalesce(k.external_id, '')) like :digits)
group by cc.status
order by cc.status;

-- name: create_bulk_job
-- returns: BulkSelection
-- row: How many contacts a bulk job has in its portions, and how many matching ones have another status.
-- null: :decision, :call_at, :copy_id, :created_by, :status, :last_outcome, :first_phone, :last_phone, :first_ending
-- null: :last_ending, :name, :external_id, :text, :digits
-- plan: custom
-- Insert a queued job with its portions: the selected contacts whose status is one of `statuses`. The caller enqueues
-- the job in the same transaction.
with matching as materialized (
  select cc.id, cc.status, cc.call_count
  from campaign_contacts cc
  join contacts k on k.id = cc.contact_id
  where cc.organization_id = :organization_id and cc.campaign_id = :campaign_id and k.erased_at is null
    and (:status::text is null or cc.status = :status)
    and (:last_outcome::text is null or cc.last_outcome = :last_outcome)
    and (:first_phone::text is null or k.phone >= :first_phone and k.phone <= :last_phone)
    and (:first_ending::text is null or k.phone_reversed >= :first_ending and k.phone_reversed < :last_ending)
    and (:name::text is null or k.name_key >= lower(:name) and k.name_key < lower(:name) || :last_text)
    and (:external_id::text is null or k.external_id = :external_id)
    and (:text::text is null
      or lower(coalesce(k.name, '') || chr(10) || k.phone || chr(10) || coalesce(k.email, '') || chr(10)
        || coalesce(k.company, '') || chr(10) || coalesce(k.external_id, '')) like :text
      or lower(coalesce(k.name, '') || chr(10) || k.phone || chr(10) || coalesce(k.email, '') || chr(10)
        || coalesce(k.company, '') || chr(10) || coalesce(k.external_id, '')) like :digits)
), chosen as materialized (
  select m.id, m.status, m.call_count, (row_number() over (order by m.id) - 1) / :portion_size::integer as number
  from matching m where m.status = any (:statuses::text[])
), counted as materialized (
  select (select count(*) from chosen)::integer as selected,
    (select count(*) from matching)::integer - (select count(*) from chosen)::integer as other_status
), job as (
  insert into bulk_jobs (id, organization_id, campaign_id, action, decision, reason, call_at, filters, copy_id,
    selected, other_status, created_by, requested_by, created_at, updated_at)
  select :id, :organization_id, :campaign_id, :action, :decision, :reason, :call_at, :filters::text::jsonb, :copy_id,
    c.selected, c.other_status, :created_by, :requested_by, :now, :now
  from counted c
), portions as (
  insert into bulk_job_portions (organization_id, bulk_job_id, number, ids, statuses, calls)
  select :organization_id, :id, c.number, array_agg(c.id order by c.id), array_agg(c.status order by c.id),
    array_agg(c.call_count order by c.id)
  from chosen c group by c.number
)
select selected, other_status from counted;

-- name: show_bulk_job
-- returns: BulkJobRow | None
-- row: A bulk job. The filters are JSON text.
-- null: decision, call_at, copy_id, error, created_by, finished_at
-- Read a bulk job of an organization.
select id, organization_id, campaign_id, action, decision, reason, call_at, filters::text as filters, copy_id, status,
  selected, other_status, done, left_out, error, created_by, requested_by, created_at, updated_at, finished_at
from bulk_jobs where id = :bulk_job_id and organization_id = :organization_id;

-- name: list_bulk_jobs
-- returns: list[BulkJobRow]
-- null: decision, call_at, copy_id, error, created_by, finished_at, :after_at, :after_id
-- plan: custom
-- List bulk jobs of a campaign, newest first. `after_at` and `after_id` are those of the last one on the previous page.
select id, organization_id, campaign_id, action, decision, reason, call_at, filters::text as filters, copy_id, status,
  selected, other_status, done, left_out, error, created_by, requested_by, created_at, updated_at, finished_at
from bulk_jobs
where campaign_id = :campaign_id and organization_id = :organization_id
  and (:after_at::timestamptz is null or (created_at, id) < (:after_at, :after_id::uuid))
order by created_at desc, id desc
limit :limit;

-- name: list_left_out
-- returns: list[LeftOutRow]
-- row: A contact that a bulk job has not acted on, with the reason. One that has left the campaign has no phone.
-- null: phone, name, status, :after_id
-- plan: custom
-- List the contacts that a bulk job has left out, by their ids.
select l.campaign_contact_id as id, k.phone, k.name, cc.status, l.kind, l.reason
from bulk_job_left_out l
left join campaign_contacts cc on cc.id = l.campaign_contact_id and cc.organization_id = l.organization_id
left join contacts k on k.id = cc.contact_id
where l.bulk_job_id = :bulk_job_id and l.organization_id = :organization_id
  and (:after_id::uuid is null or l.campaign_contact_id > :after_id)
order by l.campaign_contact_id
limit :limit;

-- name: cancel_bulk_job
-- returns: UUID | None
-- Cancel a bulk job. Its run notices at the next portion.
update bulk_jobs set status = 'cancelled', finished_at = :now, updated_at = :now
where id = :bulk_job_id and organization_id = :organization_id and status in ('queued', 'running')
returning id;

-- name: begin_bulk_job
-- returns: BulkJobRun | None
-- row: A bulk job that a run has taken.
-- null: decision, call_at, copy_id, created_by
-- Begin a run of a job that is queued, was released, or whose run has been silent since `silent_since`.
update bulk_jobs set status = 'running', runs = runs + 1, heartbeat_at = :now, updated_at = :now
where id = :bulk_job_id
  and (status = 'queued' or (status = 'running' and (heartbeat_at is null or heartbeat_at < :silent_since)))
returning id, organization_id, campaign_id, action, decision, reason, call_at, copy_id, created_by, requested_by, runs,
  failures;

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
-- Lock a campaign against completion, as call_contacts_again does.
select id, status, max_attempts from campaigns where id = :campaign_id for no key update;

-- name: lock_portion_contacts
-- returns: list[PortionContact]
-- row: A contact of a portion, with what the action on it depends on.
-- Lock the contacts of a portion, in the order of their ids.
select cc.id, cc.contact_id, cc.status, cc.call_count, cc.attempts, k.erased_at is not null as is_erased,
  exists (select from do_not_call d where d.organization_id = cc.organization_id and d.phone = cc.phone
    and d.purpose in ('any', m.purpose)) as do_not_call
from campaign_contacts cc
join campaigns m on m.id = cc.campaign_id
join contacts k on k.id = cc.contact_id
where cc.id = any (:ids::uuid[])
order by cc.id
for update of cc;

-- name: decide_reviews
-- returns: list[UUID]
-- null: :note
-- Decide contacts in review. Returns those that are decided now.
select private.decide_reviews(
  :organization_id, :ids::uuid[], :decision, :note, :decided_by, :reason, :call_at, :now
) as id;

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
