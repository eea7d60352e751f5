-- A key that a member enters past the studio names that member.
create function private.sign_provider_key() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  new.entered_by := private.caller_name(new.entered_by);
  return new;
end
$$;
revoke all on function private.sign_provider_key() from public;
create trigger provider_keys_signed before insert on public.provider_keys
  for each row when (pg_catalog.current_setting('role') = 'authenticated') execute function private.sign_provider_key();
