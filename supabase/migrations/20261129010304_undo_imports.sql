-- An import can be undone until one of its contacts was called.

-- The import that added a contact to a campaign, and the one that brought the contact into the organization. Imports of
-- the command line have an id too, but no row in imports.
alter table public.campaign_contacts add column import_id uuid;
alter table public.contacts add column import_id uuid;
alter table public.imports
  add column undone_at timestamptz,
  add column removed bigint not null default 0;

grant insert (import_id) on public.campaign_contacts to authenticated, outdial_jobs;

-- Removes a portion of the contacts that an import added to a campaign, after the contact `p_after`, unless one of them
-- was called: `called` counts those. A contact that is called after the first portion stays. Contacts that the import
-- created also leave the organization, unless something has changed or used them since. Returns the last contact of the
-- portion, or null when no more are left; returns no row while the import runs, or if it was undone. The lock of the
-- campaign keeps claims and other imports into it away. The function checks the caller itself, because callers may not
-- delete either kind of row.
create function private.undo_import(
  p_organization_id uuid, p_campaign_id uuid, p_import_id uuid, p_after uuid, p_limit integer, p_now timestamptz
) returns table (removed bigint, called bigint, last_id uuid)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  is_service boolean := current_setting('role') = 'service_role';
  import_row public.imports;
  begun boolean;
  portion uuid[];
  number_called bigint;
  number_removed bigint;
  last_of_portion uuid;
begin
  if not is_service and not p_organization_id = any (array(select private.my_organizations('operator'))) then
    raise exception 'undoing an import requires the role operator in the organization'
      using errcode = 'insufficient_privilege';
  end if;
  perform from public.campaigns m
  where m.id = p_campaign_id and m.organization_id = p_organization_id for no key update;
  if not found then
    return;
  end if;
  select i.* into import_row from public.imports i
  where i.id = p_import_id and i.organization_id = p_organization_id and i.campaign_id = p_campaign_id for update;
  if import_row.status not in ('completed', 'failed', 'cancelled') or import_row.undone_at is not null then
    return;
  end if;
  -- Imports of the command line have no row that counts removed contacts, and only the service undoes them.
  begun := is_service and p_after is not null or coalesce(import_row.removed, 0) > 0;
  if not begun then
    select count(*) into number_called from public.campaign_contacts cc
    where cc.campaign_id = p_campaign_id and cc.import_id = p_import_id and cc.call_count > 0;
    if number_called > 0 then
      return query select 0::bigint, number_called, null::uuid;
      return;
    end if;
  end if;
  select coalesce(pg_catalog.array_agg(n.contact_id order by n.contact_id), '{}') into portion from (
    select cc.contact_id from public.campaign_contacts cc
    where cc.campaign_id = p_campaign_id and cc.import_id = p_import_id and cc.call_count = 0
      and cc.contact_id > coalesce(p_after, '00000000-0000-0000-0000-000000000000')
    order by cc.contact_id
    limit p_limit
  ) n;
  -- Contacts before their rows in campaigns, and by phone, as imports into other campaigns lock them. The statements
  -- below then see what other transactions did to them.
  perform from public.contacts k
  where k.id = any (portion) and k.organization_id = p_organization_id
  order by k.phone for update;
  delete from public.campaign_contacts cc
  where cc.campaign_id = p_campaign_id and cc.contact_id = any (portion);
  get diagnostics number_removed = row_count;
  delete from public.contacts k
  where k.id = any (portion) and k.organization_id = p_organization_id and k.import_id = p_import_id
    and k.updated_at = k.created_at
    and not exists (select from public.campaign_contacts cc where cc.contact_id = k.id);
  if cardinality(portion) = p_limit then
    last_of_portion := portion[p_limit];
  end if;
  update public.imports i
  set undone_at = case when last_of_portion is null then p_now end, removed = i.removed + number_removed,
    updated_at = p_now
  where i.id = p_import_id and i.organization_id = p_organization_id and i.campaign_id = p_campaign_id;
  return query select number_removed, 0::bigint, last_of_portion;
end
$$;
revoke all on function private.undo_import(uuid, uuid, uuid, uuid, integer, timestamptz) from public;
grant execute on function private.undo_import(uuid, uuid, uuid, uuid, integer, timestamptz)
  to authenticated, service_role;
