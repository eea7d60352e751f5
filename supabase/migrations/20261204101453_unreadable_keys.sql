-- Dialers report the stored keys that they cannot decrypt: the studio cannot know their environment.

alter table public.provider_accounts add column key_unreadable_at timestamptz;

create function private.report_unreadable_keys(p_key_ids uuid[], p_now timestamptz) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  account_ids uuid[] := array(
    select k.provider_account_id from public.provider_keys k where k.id = any (p_key_ids) and k.accepted_until is null
  );
begin
  perform from public.provider_accounts a where a.id = any (account_ids) order by a.id for no key update;
  -- Dialers read the keys every few seconds.
  update public.provider_accounts a set key_unreadable_at = p_now
  where a.id = any (account_ids)
    and (a.key_unreadable_at is null or a.key_unreadable_at < p_now - interval '30 seconds');
end
$$;
revoke all on function private.report_unreadable_keys(uuid[], timestamptz) from public;
grant execute on function private.report_unreadable_keys(uuid[], timestamptz) to outdial_dialer;
