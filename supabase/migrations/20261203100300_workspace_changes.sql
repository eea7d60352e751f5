-- When the key of an account began to be one of another Retell workspace. That workspace does not list the calls that were
-- placed before: a dialer must not take them for lost, send them again or give their contacts back.

alter table public.provider_accounts add column workspace_since timestamptz;

create function private.note_workspace_change() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  environment text := (
    select a.environment_workspace_id from public.provider_accounts a where a.id = new.provider_account_id
  );
  former text := coalesce((
    select k.workspace_id from public.provider_keys k
    where k.provider_account_id = new.provider_account_id and k.id <> new.id
    order by k.entered_at desc, k.id desc limit 1
  ), environment);
begin
  -- A workspace that is not known counts as another one.
  if new.workspace_id is null or former is distinct from new.workspace_id or environment <> new.workspace_id then
    update public.provider_accounts a set workspace_since = new.entered_at where a.id = new.provider_account_id;
  end if;
  return null;
end
$$;
revoke all on function private.note_workspace_change() from public;
create trigger provider_keys_workspace_changed after insert on public.provider_keys
  for each row execute function private.note_workspace_change();
