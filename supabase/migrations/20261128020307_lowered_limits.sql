-- Dialers hear about a lowered limit, so that calls that wait for their start time do not start above it.

create function private.notify_lowered_limits() returns trigger
language plpgsql set search_path = ''
as $$
begin
  perform pg_catalog.pg_notify('outdial_accounts', new.id::text);
  return null;
end
$$;
revoke all on function private.notify_lowered_limits() from public;
create trigger provider_accounts_lowered
  after update of calls_per_second, concurrency_limit, reserved_inbound, provider_limit on public.provider_accounts
  for each row
  when (new.calls_per_second < old.calls_per_second
    or least(new.concurrency_limit, coalesce(new.provider_limit, new.concurrency_limit)) - new.reserved_inbound
      < least(old.concurrency_limit, coalesce(old.provider_limit, old.concurrency_limit)) - old.reserved_inbound)
  execute function private.notify_lowered_limits();

-- A call that missed its start time gets another one.
grant update (requested_at) on public.calls to outdial_dialer;
