-- Every process reads all keys each few seconds, and members may write rows without the studio: an account keeps its key
-- and the ten former ones whose webhooks are accepted longest.

create function private.drop_former_keys() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  delete from public.provider_keys k
  where k.id in (
    select f.id from public.provider_keys f
    where f.provider_account_id = new.provider_account_id and f.accepted_until is not null
    order by f.accepted_until desc, f.entered_at desc, f.id desc
    offset 10
  );
  return null;
end
$$;
revoke all on function private.drop_former_keys() from public;
create trigger provider_keys_bounded after insert on public.provider_keys
  for each row execute function private.drop_former_keys();
