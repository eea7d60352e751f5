-- Search for any part of a contact's name, number, email, company or external id.
-- A migration runs in one transaction, so the index cannot be built concurrently. With a million contacts, the table is
-- locked for some seconds.

-- Under row level security, Postgres uses an index only for leakproof conditions, and `like` is not leakproof. This
-- function checks the organization once and then reads without policies. The fields are separated by line feeds, so that
-- no term matches across two of them. Contacts are returned in the order of their phones, after `p_after`, and with
-- `p_campaign_id` only those that are in the campaign with the given status and last outcome.
create function private.find_contacts(
  p_organization_id uuid, p_text text, p_digits text, p_campaign_id uuid, p_status text, p_last_outcome text,
  p_after text, p_limit integer
) returns setof uuid
language plpgsql stable security definer set search_path = ''
as $$
begin
  if current_setting('role') <> 'service_role'
    and not (p_organization_id = any (array(select private.my_organizations()))) then
    return;
  end if;
  -- Planned for the term at hand: a rare one goes through the index, a common one along the phones.
  return query execute '
    select k.id
    from public.contacts k
    where k.organization_id = $1
      and (
        lower(coalesce(k.name, '''') || chr(10) || k.phone || chr(10) || coalesce(k.email, '''') || chr(10)
          || coalesce(k.company, '''') || chr(10) || coalesce(k.external_id, '''')) like $2
        or lower(coalesce(k.name, '''') || chr(10) || k.phone || chr(10) || coalesce(k.email, '''') || chr(10)
          || coalesce(k.company, '''') || chr(10) || coalesce(k.external_id, '''')) like $3
      )
      and ($4 is null or exists (
        select from public.campaign_contacts cc
        where cc.campaign_id = $4 and cc.contact_id = k.id and ($5 is null or cc.status = $5)
          and ($6 is null or cc.last_outcome = $6)))
      and ($7 is null or k.phone > $7)
    order by k.phone
    limit $8'
  using p_organization_id, p_text, p_digits, p_campaign_id, p_status, p_last_outcome, p_after, p_limit;
end
$$;
revoke all on function private.find_contacts(uuid, text, text, uuid, text, text, text, integer) from public;
grant execute on function private.find_contacts(uuid, text, text, uuid, text, text, text, integer)
  to authenticated, service_role;

-- The trigram index finds any part of a text. Without the extension, a search reads all contacts of the organization. It
-- lives in the schema that Supabase keeps for extensions.
do $$
begin
  if not exists (select from pg_catalog.pg_available_extensions where name = 'pg_trgm') then
    raise notice 'pg_trgm is not available: searching contacts is slow in large organizations';
    return;
  end if;
  begin
    create schema if not exists extensions;
    create extension if not exists pg_trgm with schema extensions;
  exception when insufficient_privilege then
    raise notice 'pg_trgm may not be created: searching contacts is slow in large organizations';
    return;
  end;
  execute format('
    create index contacts_text on public.contacts using gin (lower(
      coalesce(name, '''') || chr(10) || phone || chr(10) || coalesce(email, '''') || chr(10) || coalesce(company, '''')
      || chr(10) || coalesce(external_id, '''')) %s.gin_trgm_ops)',
    (select e.extnamespace::regnamespace from pg_catalog.pg_extension e where e.extname = 'pg_trgm'));
end
$$;
