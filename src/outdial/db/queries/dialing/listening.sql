-- Listening to calls: the calls beside one in a list, and the reviews of members.

-- name: calls_beside
-- returns: CallsBeside
-- row: The calls before and after one in a list, how many there are up to a limit, and whether the list has it.
-- null: newer_id, older_id, :campaign_id, :status, :outcome, :is_reviewed, :since, :until, :first_phone, :last_phone,
-- null: :contact_ids
-- plan: custom
-- Find the calls next to one in the list that the filters select. Each side is counted up to the limit.
with newer as (
  select c.id, c.created_at from calls c
  where c.organization_id = :organization_id and (c.created_at, c.id) > (:created_at, :call_id::uuid)
    -- include: selected_calls
  order by c.created_at, c.id
  limit :limit
), older as (
  select c.id, c.created_at from calls c
  where c.organization_id = :organization_id and (c.created_at, c.id) < (:created_at, :call_id::uuid)
    -- include: selected_calls
  order by c.created_at desc, c.id desc
  limit :limit
)
select (select n.id from newer n order by n.created_at, n.id limit 1) as newer_id,
  (select o.id from older o order by o.created_at desc, o.id desc limit 1) as older_id,
  (select count(*) from newer) as newer_count, (select count(*) from older) as older_count,
  exists (
    select from calls c
    where c.organization_id = :organization_id and c.id = :call_id::uuid
      -- include: selected_calls
  ) as is_listed;

-- name: find_review
-- returns: CallReviewRow | None
-- row: The mark that a member has listened to a call.
-- null: note
-- Read the review of a call.
select reviewed_by, reviewed_at, note from call_reviews
where call_id = :call_id and organization_id = :organization_id;

-- name: review_call
-- returns: UUID | None
-- null: :note
-- Mark a call as reviewed, or change its note. A call without a transcript any more keeps no note. Returns None when the
-- organization has no such call.
insert into call_reviews (call_id, organization_id, reviewed_by, reviewed_at, note)
select c.id, c.organization_id, :reviewed_by, :now,
  case when c.erased_at is null and c.transcript_removed_at is null then :note end
from calls c
where c.id = :call_id and c.organization_id = :organization_id
on conflict (organization_id, call_id) do update
set reviewed_by = excluded.reviewed_by, reviewed_at = excluded.reviewed_at, note = excluded.note
returning call_id as id;

-- name: unreview_call
-- returns: UUID | None
-- Remove the mark of a call, with its note. Returns None when it has none.
delete from call_reviews where call_id = :call_id and organization_id = :organization_id returning call_id as id;

-- name: reviews_of_phone
-- returns: list[ReviewOfPhone]
-- row: The review of a call as JSON text.
-- Read the reviews of the calls to a phone.
select r.call_id as id, jsonb_strip_nulls(to_jsonb(r) - 'organization_id')::text as data
from call_reviews r join calls c on c.id = r.call_id
where r.organization_id = :organization_id and c.organization_id = :organization_id and c.phone = :phone
order by r.reviewed_at, r.call_id;
