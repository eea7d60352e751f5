-- Bulk jobs: actions on all contacts of a campaign that match a filter, and what all bulk jobs have in common.

-- name: count_selected_by_status
-- returns: list[SelectedStatus]
-- row: How many selected contacts have a status.
-- null: :status, :last_outcome, :reached, :first_phone, :last_phone, :first_ending, :last_ending, :name, :external_id, :words
-- null: :contact_ids, :digits
-- plan: custom
-- Count the selected contacts of a campaign by status, without erased ones, and no more than `limit` of them.
select m.status, count(*)::integer as contacts
from (
  select cc.status
  from campaign_contacts cc
  join contacts k on k.id = cc.contact_id
  where cc.organization_id = :organization_id and cc.campaign_id = :campaign_id and k.erased_at is null
    -- include: selected_contacts
  limit :limit
) m
group by m.status
order by m.status;

-- name: count_all_by_status
-- returns: list[SelectedStatus]
-- Count all contacts of a campaign by status, without erased ones, from an index alone. The phone of an erased contact
-- begins with a word, which sorts after all numbers.
select s.status, (s.contacts - coalesce(e.contacts, 0))::integer as contacts
from private.count_campaign_contacts(array[:campaign_id::uuid]) s
left join (
  select cc.status, count(*) as contacts
  from contacts k join campaign_contacts cc on cc.contact_id = k.id and cc.campaign_id = :campaign_id
  where k.organization_id = :organization_id and k.phone >= 'e' and k.erased_at is not null
  group by cc.status
) e on e.status = s.status
where s.contacts > coalesce(e.contacts, 0)
order by s.status;

-- name: count_found_by_status
-- returns: list[SelectedStatus]
-- null: :status, :last_outcome, :digits
-- plan: custom
-- Count the contacts of a campaign that have each of some words in any of the contact's columns by status, and no more
-- than `limit` of them. See list_by_words.
select cc.status, count(*)::integer as contacts
from contacts k join campaign_contacts cc on cc.contact_id = k.id and cc.campaign_id = :campaign_id
where k.organization_id = :organization_id and k.erased_at is null
  and k.id = any (array(select private.search_contacts(
    :organization_id, :words, :digits, :campaign_id, :status, :last_outcome, null, null, null, :limit)))
group by cc.status
order by cc.status;

-- name: create_bulk_job
-- returns: BulkSelection
-- row: How many contacts a bulk job has in its portions, and how many matching ones have another status.
-- null: :decision, :call_at, :copy_id, :created_by, :status, :last_outcome, :reached, :first_phone, :last_phone, :first_ending
-- null: :last_ending, :name, :external_id, :words, :contact_ids, :digits
-- plan: custom
-- Insert a queued job with its portions: the selected contacts whose status is one of `statuses`. The caller enqueues
-- the job in the same transaction.
with matching as materialized (
  select cc.id, cc.status, cc.call_count
  from campaign_contacts cc
  join contacts k on k.id = cc.contact_id
  where cc.organization_id = :organization_id and cc.campaign_id = :campaign_id and k.erased_at is null
    -- include: selected_contacts
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
-- null: campaign_id, decision, call_at, copy_id, undoes, error, created_by, finished_at
-- Read a bulk job of an organization.
select id, organization_id, campaign_id, action, decision, reason, call_at, filters::text as filters, copy_id, undoes,
  status, selected, other_status, done, left_out, error, created_by, requested_by, created_at, updated_at, finished_at
from bulk_jobs where id = :bulk_job_id and organization_id = :organization_id;

-- name: list_bulk_jobs
-- returns: list[BulkJobRow]
-- null: campaign_id, decision, call_at, copy_id, undoes, error, created_by, finished_at, :campaign_id, :after_at, :after_id
-- plan: custom
-- List bulk jobs of a campaign, or those without one, newest first. `after_at` and `after_id` are those of the last one on the previous page.
select id, organization_id, campaign_id, action, decision, reason, call_at, filters::text as filters, copy_id, undoes,
  status, selected, other_status, done, left_out, error, created_by, requested_by, created_at, updated_at, finished_at
from bulk_jobs
where organization_id = :organization_id
  and (campaign_id = :campaign_id or :campaign_id::uuid is null and campaign_id is null)
  and (:after_at::timestamptz is null or (created_at, id) < (:after_at, :after_id::uuid))
order by created_at desc, id desc
limit :limit;

-- name: latest_change
-- returns: BulkJobRow | None
-- null: campaign_id, decision, call_at, copy_id, undoes, error, created_by, finished_at
-- Read the newest bulk job without a campaign that does `action`, and that is unfinished or was requested after `since`.
select id, organization_id, campaign_id, action, decision, reason, call_at, filters::text as filters, copy_id, undoes,
  status, selected, other_status, done, left_out, error, created_by, requested_by, created_at, updated_at, finished_at
from bulk_jobs
where organization_id = :organization_id and campaign_id is null and action = :action
  and (status in ('queued', 'running') or created_at > :since)
order by created_at desc, id desc
limit 1;

-- name: list_left_out
-- returns: list[LeftOutRow]
-- row: A contact that a bulk job has not acted on, or the contact of a call, with the reason. One that is gone has no phone.
-- null: phone, name, status, :after_id
-- plan: custom
-- List the contacts that a bulk job has left out, by their ids.
select l.campaign_contact_id as id, k.phone, k.name, cc.status, l.kind, l.reason
from bulk_job_left_out l
left join campaign_contacts cc on cc.id = l.campaign_contact_id and cc.organization_id = l.organization_id
left join calls c on c.id = l.campaign_contact_id and c.organization_id = l.organization_id
left join contacts k on k.id = coalesce(cc.contact_id, c.contact_id, l.campaign_contact_id)
  and k.organization_id = l.organization_id
where l.bulk_job_id = :bulk_job_id and l.organization_id = :organization_id
  and (:after_id::uuid is null or l.campaign_contact_id > :after_id)
order by l.campaign_contact_id
limit :limit;

-- name: cancel_bulk_job
-- returns: CancelledBulkJob | None
-- row: How far a bulk job was when it was cancelled.
-- null: campaign_id
-- Cancel a bulk job. Its run notices at the next portion.
update bulk_jobs set status = 'cancelled', finished_at = :now, updated_at = :now
where id = :bulk_job_id and organization_id = :organization_id and status in ('queued', 'running')
returning campaign_id, selected, done, left_out;
