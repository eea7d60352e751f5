-- Opt-outs on their way to the provider's own do-not-call list, and back from it.

-- name: due_opt_outs
-- returns: list[DueOptOut]
-- List opt-outs of all organizations that the provider does not know of yet, oldest first.
select organization_id, provider_account_id, phone from private.opt_outs_to_send(:now, :limit);

-- name: restart_opt_outs
-- returns: int | None
-- Begin the next opt-outs of an account with a new workspace again, at most `limit`. Returns how many; None when none wait.
select private.restart_opt_outs(:limit) as restarted;

-- name: take_opt_out
-- returns: OptOutToSend | None
-- row: An opt-out that this transaction has taken, and how often it was tried before.
-- Take an opt-out that is due, until `next_try_at`: another dialer does not send it meanwhile. One that is about to begin
-- again is not.
update opt_out_syncs s
set next_try_at = :next_try_at, tries = s.tries + 1
from provider_accounts a
where s.provider_account_id = :provider_account_id and s.phone = :phone and s.next_try_at <= :now
  and a.id = s.provider_account_id
  and not exists (select from opt_out_restarts w where w.provider_account_id = s.provider_account_id)
returning a.credential, s.do_not_call, s.tries;

-- name: confirm_opt_out!
-- Store that the provider's list is as requested, unless the opt-out was withdrawn or repeated meanwhile, or is for the list
-- of another workspace now: both set `tries` to 0.
update opt_out_syncs
set next_try_at = null, error = null, confirmed_at = :now, is_ours = do_not_call and (is_ours or :is_new)
where provider_account_id = :provider_account_id and phone = :phone and do_not_call = :do_not_call
  and next_try_at = :taken_until and tries > 0;

-- name: postpone_opt_out!
-- Try an opt-out again later, unless it was withdrawn or repeated meanwhile.
update opt_out_syncs set next_try_at = :next_try_at, error = :error
where provider_account_id = :provider_account_id and phone = :phone and next_try_at = :taken_until and tries > 0;

-- name: due_opt_out_reads
-- returns: list[DueOptOutRead]
-- List the accounts of all organizations whose list is due to be read.
select organization_id, provider_account_id, credential from private.opt_out_reads_due(:now, :limit);

-- name: take_opt_out_read
-- returns: OptOutRead | None
-- row: The page of the provider's list from which to read on; none for the first.
-- null: page
-- Take an account whose list is due to be read, until `next_read_at`: another dialer does not read it meanwhile.
insert into opt_out_reads as r (provider_account_id, organization_id, next_read_at)
values (:provider_account_id, :organization_id, :next_read_at)
on conflict (provider_account_id) do update set next_read_at = excluded.next_read_at where r.next_read_at <= :now
returning r.page;

-- name: end_opt_out_read!
-- null: :page, :error, :read_at
-- Store how far the list was read, and when to read on. A read that reaches the end has no page.
update opt_out_reads
set next_read_at = :next_read_at, page = :page, error = :error, read_at = coalesce(:read_at, read_at)
where provider_account_id = :provider_account_id;

-- name: import_opt_outs
-- returns: list[str]
-- Store opt-outs that the provider reports, and return those that are new. Phones that are no contacts are left out.
select private.import_opt_outs(:organization_id, :provider_account_id, :phones::text[], :read_at, :now) as phone;

-- name: opt_out_status
-- returns: OptOutStatus
-- row: Opt-outs that have not reached the provider yet, the oldest error, and when its list was last read.
-- null: error, read_at, read_error
-- Read how far the do-not-call list of an organization and the provider's agree.
select
  (select count(*) from opt_out_syncs s
    where s.organization_id = :organization_id and (s.next_try_at is not null or s.provider_account_id in (
      select w.provider_account_id from opt_out_restarts w where w.organization_id = :organization_id))) as waiting,
  (select s.error from opt_out_syncs s where s.organization_id = :organization_id and s.next_try_at is not null
    and s.error is not null order by s.tries desc limit 1) as error,
  (select min(r.read_at) from opt_out_reads r where r.organization_id = :organization_id) as read_at,
  (select r.error from opt_out_reads r where r.organization_id = :organization_id and r.error is not null limit 1)
    as read_error;
