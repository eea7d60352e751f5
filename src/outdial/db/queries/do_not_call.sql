-- The do-not-call lists.

-- name: blocked_phones
-- returns: list[str]
-- Return those of the given phones that are on the do-not-call list.
select phone as id from do_not_call where organization_id = :organization_id and phone = any (:phones::text[]);

-- name: block_phones
-- returns: list[str]
-- null: :reason
-- Add phones to the do-not-call list. Returns those that were not on it.
insert into do_not_call (organization_id, phone, source, reason, created_at)
select :organization_id, u.phone, :source, :reason, :now from unnest(:phones::text[]) as u (phone)
order by u.phone
on conflict do nothing
returning phone as id;

-- name: unblock_phones
-- returns: list[str]
-- Remove phones from the do-not-call list. Returns those that were on it.
delete from do_not_call where organization_id = :organization_id and phone = any (:phones::text[])
returning phone as id;

-- name: block_phones_during_call!
-- Add phones to the do-not-call list whose owners asked for it during a call.
insert into do_not_call (organization_id, phone, source, reason, created_at)
select u.organization_id, u.phone, 'call', 'asked during a call', :now
from unnest(:organization_ids::uuid[], :phones::text[]) as u (organization_id, phone)
order by u.organization_id, u.phone
on conflict do nothing;

-- name: recently_blocked_phones
-- returns: list[BlockedNumber]
-- row: A number on the do-not-call list; `source` is manual, import or call.
-- null: reason
-- List the do-not-call list, newest first.
select phone, source, reason, created_at from do_not_call
where organization_id = :organization_id
order by created_at desc, phone
limit :limit;

-- name: list_blocked_phones
-- returns: list[BlockedNumber]
-- null: reason, :digits, :after
-- plan: custom
-- List entries of the do-not-call list that contain digits, ordered by phone.
select phone, source, reason, created_at from do_not_call
where organization_id = :organization_id and (:digits::text is null or phone like '%' || :digits || '%')
  and (:after::text is null or phone > :after)
order by phone
limit :limit;

-- name: export_blocked_phones
-- returns: AsyncIterator[BlockedNumber]
-- null: reason
-- Stream the do-not-call list, ordered by phone.
select phone, source, reason, created_at from do_not_call where organization_id = :organization_id order by phone;
