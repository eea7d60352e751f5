-- Listening to calls: the calls beside one in a list, and the reviews of members.

-- name: calls_beside
-- returns: CallsBeside
-- row: The calls before and after one in a list, and how many there are up to a limit.
-- null: newer_id, older_id, :campaign_id, :status, :outcome, :since, :until, :first_phone, :last_phone, :contact_ids
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
  (select count(*) from newer) as newer_count, (select count(*) from older) as older_count;
