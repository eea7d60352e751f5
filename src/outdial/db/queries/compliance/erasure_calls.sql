-- Calls of erased phones that are to be deleted at Retell.

-- name: due_erasure_calls
-- returns: list[DueErasureCall]
-- row: A call to delete at Retell.
-- List calls of all organizations that are to be deleted at Retell now.
select organization_id, id from private.due_erasure_calls(:now, :limit);

-- name: take_erasure_call
-- returns: ErasureCall | None
-- row: A call to delete at Retell, with the account that it belongs to, and whether its workspace is the current one.
-- null: call_id, retell_call_id
-- Take a call to delete, so that no other dialer does until `next_try_at`.
update erasure_calls d set next_try_at = :next_try_at, tries = d.tries + 1
from provider_accounts a
where d.id = :id and d.confirmed_at is null and d.next_try_at <= :now and a.id = d.provider_account_id
returning d.id, d.organization_id, d.erasure_id, d.provider_account_id, d.call_id, d.retell_call_id, d.tries,
  a.credential, private.workspace_of_call(d.provider_account_id, coalesce(d.placed_from, '-infinity'),
    coalesce(d.placed_until, 'infinity'), :now) as workspace;

-- name: add_erasure_calls!
-- null: :call_id
-- Add calls that Retell has under our id.
insert into erasure_calls (organization_id, erasure_id, provider_account_id, call_id, retell_call_id, next_try_at)
select :organization_id, :erasure_id, :provider_account_id, :call_id, u.retell_call_id, :now
from unnest(:retell_call_ids::text[]) as u (retell_call_id)
on conflict do nothing;

-- name: confirm_erasure_call!
-- Store that Retell no longer has a call.
update erasure_calls set confirmed_at = :now, error = null where id = :id and confirmed_at is null;

-- name: postpone_erasure_call!
-- Store why a call could not be deleted yet.
update erasure_calls set next_try_at = :next_try_at, error = :error where id = :id and confirmed_at is null;

-- name: leave_erasure_call!
-- Store that the workspace of the key does not have a call that may be in a former one. It is asked again later: the key of
-- that one may be entered again.
update erasure_calls d
set next_try_at = :next_try_at, error = null, out_of_reach_at = coalesce(d.out_of_reach_at, :now),
  workspace_name = private.former_workspace(d.provider_account_id, coalesce(d.placed_from, '-infinity'),
    coalesce(d.placed_until, 'infinity'))
where d.id = :id and d.confirmed_at is null;

-- name: calls_out_of_reach
-- returns: list[CallOutOfReach]
-- row: A call of an erasure that may be in a former workspace, with what identifies it there: Retell's id, or the
-- row: `call_id` in its metadata.
-- null: workspace_name, call_id, retell_call_id
-- List the calls of erasures that are out of reach, those of each erasure and workspace together.
select erasure_id, workspace_name, call_id, retell_call_id
from erasure_calls
where organization_id = :organization_id and erasure_id = any (:erasure_ids::uuid[]) and confirmed_at is null
  and out_of_reach_at is not null
order by erasure_id, workspace_name, retell_call_id, call_id
limit :limit;

-- name: confirm_erasure_calls
-- returns: int
-- Store that an admin has deleted the calls of an erasure that are out of reach. Returns how many there were.
select private.confirm_erasure_calls(:organization_id, :erasure_id, :confirmed_by, :now) as id;
