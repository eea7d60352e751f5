-- Calls of erased phones that are to be deleted at Retell.

-- name: due_erasure_calls
-- returns: list[DueErasureCall]
-- row: A call to delete at Retell.
-- List calls of all organizations that are to be deleted at Retell now.
select organization_id, id from private.due_erasure_calls(:now, :limit);

-- name: take_erasure_call
-- returns: ErasureCall | None
-- row: A call to delete at Retell, with the account that it belongs to. `is_here` says that the workspace of the key is the
-- row: one of the call, `has_key` that the account has a key at all.
-- null: call_id, retell_call_id
-- Take a call to delete, so that no other dialer does until `next_try_at`.
update erasure_calls d set next_try_at = :next_try_at, tries = d.tries + 1
from provider_accounts a
where d.id = :id and d.confirmed_at is null and d.next_try_at <= :now and a.id = d.provider_account_id
returning d.id, d.organization_id, d.erasure_id, d.provider_account_id, d.call_id, d.retell_call_id, d.tries,
  a.credential, private.workspace_of_call(d.provider_account_id, coalesce(d.placed_from, '-infinity'),
    coalesce(d.placed_until, 'infinity'), :now) = 'current' as is_here,
  private.account_has_key(d.provider_account_id, :key_since) as has_key, d.next_try_at as taken_until;

-- name: add_erasure_calls!
-- null: :call_id
-- Add calls that Retell has under our id.
insert into erasure_calls (organization_id, erasure_id, provider_account_id, call_id, retell_call_id, next_try_at)
select :organization_id, :erasure_id, :provider_account_id, :call_id, u.retell_call_id, :now
from unnest(:retell_call_ids::text[]) as u (retell_call_id)
on conflict do nothing;

-- name: confirm_erasure_call!
-- Store that Retell has deleted a call.
update erasure_calls set confirmed_at = :now, error = null where id = :id and confirmed_at is null;

-- name: confirm_missing_call!
-- Store that Retell no longer has a call, unless it may be in another workspace than that of the key: the key may have been
-- changed since the call was taken.
update erasure_calls d set confirmed_at = :now, error = null
where d.id = :id and d.confirmed_at is null and d.next_try_at = :taken_until
  and private.workspace_of_call(d.provider_account_id, coalesce(d.placed_from, '-infinity'),
    coalesce(d.placed_until, 'infinity'), :now) = 'current';

-- name: postpone_erasure_call!
-- Store why a call could not be deleted yet, unless it was taken again or confirmed meanwhile. One that the key reaches is
-- not out of reach any more.
update erasure_calls d
set next_try_at = :next_try_at, error = :error,
  out_of_reach_at = case when :is_reachable then null else d.out_of_reach_at end,
  out_of_reach_reason = case when :is_reachable then null else d.out_of_reach_reason end
where d.id = :id and d.confirmed_at is null and d.next_try_at = :taken_until;

-- name: await_workspace!
-- Ask for a call again once no dialer uses the former key any more, if the call may be in the workspace of the new one.
update erasure_calls d
set next_try_at = coalesce(private.workspace_settles_at(d.provider_account_id, :now), :now), error = null
where d.id = :id and d.confirmed_at is null and d.next_try_at = :taken_until
  and private.workspace_settles_at(d.provider_account_id, :now) is not null
  and private.workspace_of_call(d.provider_account_id, coalesce(d.placed_from, '-infinity'),
    coalesce(d.placed_until, 'infinity'), :now) <> 'former';

-- name: leave_erasure_call!
-- Store that the workspace of the key does not have a call that may be in a former one. It is asked again later: the key of
-- that one may be entered again.
update erasure_calls d
set next_try_at = :next_try_at, error = null, out_of_reach_at = coalesce(d.out_of_reach_at, :now),
  out_of_reach_reason = case when private.workspace_of_call(d.provider_account_id, coalesce(d.placed_from, '-infinity'),
    coalesce(d.placed_until, 'infinity'), :now) = 'former' then 'former_workspace' else 'unclear_workspace' end,
  workspace_name = private.former_workspace(d.provider_account_id, coalesce(d.placed_from, '-infinity'),
    coalesce(d.placed_until, 'infinity'))
where d.id = :id and d.confirmed_at is null and d.next_try_at = :taken_until;

-- name: leave_without_key!
-- Store that the account of a call has no key, unless one was entered meanwhile. It is tried again later.
update erasure_calls d
set next_try_at = :next_try_at, error = null, out_of_reach_at = coalesce(d.out_of_reach_at, :now),
  out_of_reach_reason = 'no_key',
  workspace_name = private.workspace_at(d.provider_account_id, coalesce(d.placed_until, 'infinity'))
where d.id = :id and d.confirmed_at is null and d.next_try_at = :taken_until
  and not private.account_has_key(d.provider_account_id, :key_since);

-- name: calls_out_of_reach
-- returns: list[CallOutOfReach]
-- row: A call of an erasure that no key reaches, with what identifies it at Retell: Retell's id, or the `call_id` in its
-- row: metadata.
-- null: workspace_name, call_id, retell_call_id
-- List the calls of erasures that are out of reach, those of each erasure, reason and workspace together.
select erasure_id, coalesce(out_of_reach_reason, 'unclear_workspace') as reason, workspace_name, call_id, retell_call_id
from erasure_calls
where organization_id = :organization_id and erasure_id = any (:erasure_ids::uuid[]) and confirmed_at is null
  and out_of_reach_at is not null
order by erasure_id, reason, workspace_name, retell_call_id, call_id
limit :limit;

-- name: confirm_erasure_calls
-- returns: int
-- Store that an admin has deleted the calls of an erasure that were out of reach at `until`. Returns how many there were.
select private.confirm_erasure_calls(:organization_id, :erasure_id, :confirmed_by, :until, :now) as id;
