-- Calls that members hang up.

-- name: hang_up_call
-- returns: bool
-- Have the dialer hang up a call. Returns False when it is not live.
select private.hang_up_call(:organization_id, :call_id, :now) as is_live;

-- name: due_hang_ups
-- returns: list[DueHangUp]
-- row: A call to hang up.
-- List the calls of all organizations that are to be hung up now, the oldest first.
select organization_id, call_id from private.due_hang_ups(:now, :limit);

-- name: take_hang_up
-- returns: HangUp | None
-- row: A call to hang up, with the account that can. `has_key` says that the account has a key at all.
-- null: retell_call_id
-- Take a call that is due, and set when to try again. One that is not live any more is done.
update calls c
set hang_up_due_at = case when c.status in ('placing', 'placed', 'ongoing', 'unknown') then :next_try_at::timestamptz end
from provider_accounts a
where c.id = :call_id and a.id = c.provider_account_id and c.hang_up_due_at <= :now
returning c.id, c.organization_id, a.credential, c.retell_call_id,
  c.status in ('placing', 'placed', 'ongoing', 'unknown') as is_live,
  private.workspace_of_call(c.provider_account_id, c.created_at, c.created_at, :now) as workspace,
  private.account_has_key(c.provider_account_id, :key_since) as has_key;

-- name: end_hang_up!
-- Note that Retell has ended a call, or has no such call.
update calls set hang_up_due_at = null where id = :call_id;

-- name: postpone_hang_up!
-- Try a call again later that may be in a workspace whose key Outdial does not have.
update calls set hang_up_due_at = :next_try_at where id = :call_id and hang_up_due_at is not null;

-- name: unreachable_calls
-- returns: list[UnreachableCall]
-- row: A call that Outdial cannot hang up: its workspace is a former one, or its account has no key.
-- List those of the given calls that Outdial cannot hang up.
select call_id, reason from private.unreachable_calls(:organization_id, :call_ids, :now);

-- name: find_call_to_hang_up
-- returns: CallStatusRow | None
-- row: The status of a call.
-- Read the status of a call.
select id, status from calls where id = :call_id and organization_id = :organization_id;
