-- What decided a contact's time zones, and the keys that an older version computed.

-- Validated in a later migration, because reading all contacts under the lock of this one would stop the imports.
-- squawk-ignore ban-drop-constraint
alter table public.contacts drop constraint contacts_zone_source_check;
alter table public.contacts add constraint contacts_zone_source_check
  check (zone_source in ('contact', 'number', 'region', 'postal_code', 'country', 'conflict')) not valid;

-- With a million contacts, writing waits for about a second while the index is built.
-- squawk-ignore require-concurrent-index-creation
create index contacts_keys_version on public.contacts (organization_id, keys_version);

-- Organizations with contacts whose keys an older version computed: one index probe each.
create function private.organizations_with_old_keys(p_keys_version integer) returns setof uuid
language sql stable security definer set search_path = ''
as $$
  select o.id
  from public.organizations o
  where exists (select from public.contacts k where k.organization_id = o.id and k.keys_version < p_keys_version)
  order by o.id
$$;
revoke all on function private.organizations_with_old_keys(integer) from public;
grant execute on function private.organizations_with_old_keys(integer) to outdial_dialer;

-- The dialer computes old keys again before it calls.
grant update (zone_key, zone_source, jurisdiction_key, keys_version) on public.contacts to outdial_dialer;
create policy dialer_updates on public.contacts for update to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

-- A place that is changed without its keys, as by a member with SQL, has its keys computed again.
create function private.mark_old_keys() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.keys_version := 0;
  return new;
end
$$;
revoke all on function private.mark_old_keys() from public;
create trigger contacts_old_keys before update of timezone, country, region, postal_code on public.contacts
  for each row
  when ((old.timezone, old.country, old.region, old.postal_code)
      is distinct from (new.timezone, new.country, new.region, new.postal_code)
    and (old.zone_key, old.jurisdiction_key, old.keys_version)
      is not distinct from (new.zone_key, new.jurisdiction_key, new.keys_version))
  execute function private.mark_old_keys();
