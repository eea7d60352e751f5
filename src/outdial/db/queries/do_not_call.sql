-- The do-not-call lists.

-- name: blocked_phones
-- returns: list[str]
-- Return those of the given phones that a campaign may not call: on the do-not-call list for its purpose or for all.
select distinct d.phone as id from do_not_call d
where d.organization_id = :organization_id and d.phone = any (:phones::text[])
  and d.purpose in ('any', (select m.purpose from campaigns m where m.id = :campaign_id));

-- name: block_phones
-- returns: list[str]
-- null: :reason
-- Add phones to the do-not-call list for a purpose, or for `any`. Returns those that were not on it for that.
insert into do_not_call (organization_id, phone, purpose, source, reason, created_at)
select :organization_id, u.phone, :purpose, :source, :reason, :now from unnest(:phones::text[]) as u (phone)
order by u.phone
on conflict do nothing
returning phone as id;

-- name: unblock_phones
-- returns: list[RemovedNumber]
-- row: An entry that was on the do-not-call list. `repeated_at` is when it was to be added once more.
-- null: reason, repeated_at, :purpose
-- Remove phones from the do-not-call list, for one purpose or altogether. Returns the entries that were on it.
delete from do_not_call
where organization_id = :organization_id and phone = any (:phones::text[])
  and (:purpose::text is null or purpose = :purpose)
returning phone, purpose, source, reason, created_at, repeated_at;

-- name: block_phones_during_call!
-- Add phones to the do-not-call list, for all purposes, whose owners asked for it during a call.
insert into do_not_call (organization_id, phone, purpose, source, reason, created_at)
select u.organization_id, u.phone, 'any', 'call', 'asked during a call', :now
from unnest(:organization_ids::uuid[], :phones::text[]) as u (organization_id, phone)
order by u.organization_id, u.phone
on conflict do nothing;

-- name: recently_blocked_phones
-- returns: list[BlockedNumber]
-- row: A number on the do-not-call list, for the calls of one purpose or any; `source` is manual, import, call or
-- row: provider.
-- null: reason
-- List the do-not-call list, newest first.
select phone, purpose, source, reason, created_at from do_not_call
where organization_id = :organization_id
order by created_at desc, phone, purpose
limit :limit;

-- name: list_blocked_phones
-- returns: list[BlockedNumber]
-- null: reason, :digits, :after, :after_purpose
-- plan: custom
-- List entries of the do-not-call list that contain digits, ordered by phone and purpose.
select phone, purpose, source, reason, created_at from do_not_call
where organization_id = :organization_id and (:digits::text is null or phone like '%' || :digits || '%')
  and (:after::text is null or (phone, purpose) > (:after, :after_purpose::text))
order by phone, purpose
limit :limit;

-- name: export_blocked_phones
-- returns: AsyncIterator[BlockedNumber]
-- null: reason
-- Stream the do-not-call list, ordered by phone.
select phone, purpose, source, reason, created_at from do_not_call where organization_id = :organization_id
order by phone, purpose;
