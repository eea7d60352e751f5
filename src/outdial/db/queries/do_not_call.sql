-- The do-not-call lists.

-- name: blocked_phones
-- returns: list[str]
-- Which of these phones are on the do-not-call list.
select phone as id from do_not_call where organization_id = :organization_id and phone = any (:phones::text[]);

-- name: block_phones
-- returns: list[str]
-- null: :reason
-- Numbers that nobody may call any more; one that is listed already brings no row back.
insert into do_not_call (organization_id, phone, source, reason, created_at)
select :organization_id, u.phone, :source, :reason, :now from unnest(:phones::text[]) as u (phone)
order by u.phone
on conflict do nothing
returning phone as id;

-- name: unblock_phones
-- returns: list[str]
-- Numbers that may be called again.
delete from do_not_call where organization_id = :organization_id and phone = any (:phones::text[])
returning phone as id;

-- name: block_phones_during_call!
-- People who asked during a call not to be called again.
insert into do_not_call (organization_id, phone, source, reason, created_at)
select u.organization_id, u.phone, 'call', 'asked during a call', :now
from unnest(:organization_ids::uuid[], :phones::text[]) as u (organization_id, phone)
order by u.organization_id, u.phone
on conflict do nothing;

-- name: recently_blocked_phones
-- returns: list[BlockedPhone]
-- null: reason
-- The do-not-call list, the newest first.
select phone, source, reason, created_at from do_not_call
where organization_id = :organization_id
order by created_at desc, phone
limit :limit;

-- name: list_blocked_phones
-- returns: list[BlockedPhone]
-- null: reason, :after
-- plan: custom
-- Numbers that nobody may call, by number: those between two numbers, after the last one of the page before.
select phone, source, reason, created_at from do_not_call
where organization_id = :organization_id and phone >= :first and phone <= :last
  and (:after::text is null or phone > :after)
order by phone
limit :limit;

-- name: export_blocked_phones
-- returns: AsyncIterator[BlockedPhone]
-- null: reason
-- Numbers that nobody may call, by number.
select phone, source, reason, created_at from do_not_call where organization_id = :organization_id order by phone;
