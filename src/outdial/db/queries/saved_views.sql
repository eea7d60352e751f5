-- Saved views of lists: filters and an order with a name, of one member or shared with the organization.

-- name: saved_views
-- returns: list[SavedViewRow]
-- row: A view of a list. `filters` is JSON text; `is_mine`: the caller may change it.
-- null: :user_id
-- List the views of a list that the caller may open: their own, then those that others share.
select id, name, filters::text as filters, is_shared, user_id is not distinct from :user_id as is_mine
from saved_views
where organization_id = :organization_id and list = :listed and (is_shared or user_id = :user_id)
order by user_id is distinct from :user_id, lower(name), id
limit :limit;

-- name: count_views
-- returns: int
-- Count the views that a member has of a list.
select count(*) as views from saved_views
where organization_id = :organization_id and list = :listed and user_id = :user_id;

-- name: save_view
-- returns: UUID | None
-- Save a view. Returns None when the member has one of this name on the list, or `most` of them.
insert into saved_views (id, organization_id, user_id, list, name, filters, is_shared, created_at, updated_at)
select :id, :organization_id, :user_id, :listed, :name, :filters::text::jsonb, :is_shared, :now, :now
where (
  select count(*) from saved_views v
  where v.organization_id = :organization_id and v.list = :listed and v.user_id = :user_id
) < :most
on conflict do nothing
returning id;

-- name: change_view
-- returns: UUID | None
-- Rename a view of the caller, share it or not, and give it other filters. Returns None unless it is the caller's, and
-- when another one of theirs has the name.
update saved_views v
set name = :name, is_shared = :is_shared, filters = :filters::text::jsonb, updated_at = :now
where v.id = :view_id and v.organization_id = :organization_id and v.user_id = :user_id
  and not exists (
    select from saved_views o
    where o.organization_id = v.organization_id and o.list = v.list and o.user_id = v.user_id and o.id <> v.id
      and lower(o.name) = lower(:name)
  )
returning v.id;

-- name: find_view
-- returns: FoundView | None
-- row: A view with its owner. `filters` is JSON text.
-- Find a view that the caller may see.
select id, list as listed, name, filters::text as filters, is_shared, user_id from saved_views
where id = :view_id and organization_id = :organization_id;

-- name: delete_view
-- returns: UUID | None
-- Delete a view that the caller may delete.
delete from saved_views where id = :view_id and organization_id = :organization_id returning id;
