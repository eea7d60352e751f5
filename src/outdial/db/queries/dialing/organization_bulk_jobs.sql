-- Bulk jobs of an organization: actions on all its contacts or calls that match a filter.

-- name: count_chosen_contacts
-- returns: int
-- null: :contact_ids, :first_phone, :last_phone, :name, :external_id, :words, :digits
-- plan: custom
-- Count the contacts of an organization that the filters of their list choose, and no more than `limit` of them.
select count(*) as contacts
from (
  select from contacts k
  where k.organization_id = :organization_id
    -- include: chosen_contacts
    and (:words::text[] is null or k.id = any (array(select private.search_contacts(
      :organization_id, :words, :digits, null, null, null, null, null, null, :limit))))
  limit :limit
) m;

-- name: create_contacts_job
-- returns: int
-- null: :created_by, :contact_ids, :first_phone, :last_phone, :name, :external_id, :words, :digits
-- plan: custom
-- Insert a queued job that puts contacts of an organization on the do-not-call list, with its portions: those that the
-- filters choose now. Returns how many. The caller enqueues the job in the same transaction.
with chosen as materialized (
  select k.id, (row_number() over (order by k.id) - 1) / :portion_size::integer as number
  from contacts k
  where k.organization_id = :organization_id
    -- include: chosen_contacts
    and (:words::text[] is null or k.id = any (array(select private.search_contacts(
      :organization_id, :words, :digits, null, null, null, null, null, null, :most))))
), job as (
  insert into bulk_jobs (id, organization_id, action, reason, filters, selected, other_status, created_by, requested_by,
    created_at, updated_at)
  select :id, :organization_id, 'do_not_call', :reason, :filters::text::jsonb, (select count(*) from chosen), 0,
    :created_by, :requested_by, :now, :now
), portions as (
  insert into bulk_job_portions (organization_id, bulk_job_id, number, ids, statuses, calls)
  select :organization_id, :id, c.number, array_agg(c.id order by c.id), '{}', '{}' from chosen c group by c.number
)
select count(*) as contacts from chosen;

-- name: count_selected_calls
-- returns: SelectedCallCounts
-- row: How many calls the filters select, and how many of them are reviewed.
-- null: :campaign_id, :status, :outcome, :is_reviewed, :since, :until, :first_phone, :last_phone, :contact_ids
-- plan: custom
-- Count the calls that the filters of their list select, and no more than `limit` of them.
select count(*) as calls, count(v.call_id) as reviewed
from (
  select c.id, c.organization_id from calls c
  where c.organization_id = :organization_id
    -- include: selected_calls
  limit :limit
) m
left join call_reviews v on v.organization_id = m.organization_id and v.call_id = m.id;

-- name: create_calls_job
-- returns: CallsJobSelection
-- row: How many calls a bulk job has in its portions, and how many matching ones were marked as reviewed before.
-- null: :created_by, :campaign_id, :status, :outcome, :is_reviewed, :since, :until, :first_phone, :last_phone, :contact_ids
-- plan: custom
-- Insert a queued job that marks calls as reviewed, with its portions: those that the filters select now and that no member
-- has marked. The caller enqueues the job in the same transaction.
with matching as materialized (
  select c.id, exists (
    select from call_reviews v where v.organization_id = c.organization_id and v.call_id = c.id) as is_marked
  from calls c
  where c.organization_id = :organization_id
    -- include: selected_calls
), chosen as materialized (
  select m.id, (row_number() over (order by m.id) - 1) / :portion_size::integer as number
  from matching m where not m.is_marked
), counted as materialized (
  select (select count(*) from chosen)::integer as selected,
    (select count(*) from matching where is_marked)::integer as other_status
), job as (
  insert into bulk_jobs (id, organization_id, action, reason, filters, selected, other_status, created_by, requested_by,
    created_at, updated_at)
  select :id, :organization_id, 'mark_reviewed', :reason, :filters::text::jsonb, c.selected, c.other_status,
    :created_by, :requested_by, :now, :now
  from counted c
), portions as (
  insert into bulk_job_portions (organization_id, bulk_job_id, number, ids, statuses, calls)
  select :organization_id, :id, c.number, array_agg(c.id order by c.id), '{}', '{}' from chosen c group by c.number
)
select selected, other_status from counted;
