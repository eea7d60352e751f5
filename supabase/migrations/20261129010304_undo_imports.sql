-- An import can be undone until one of its contacts was called.

-- The import that added a contact to a campaign, and the one that brought the contact into the organization. Imports of
-- the command line have an id too, but no row in imports.
alter table public.campaign_contacts add column import_id uuid;
alter table public.contacts add column import_id uuid;
alter table public.imports
  add column undone_at timestamptz,
  add column removed bigint not null default 0;

grant insert (import_id) on public.campaign_contacts to authenticated, outdial_jobs;

-- Removes the contacts that an import added to a campaign, unless one of them was called: `called` counts those. Of
-- the organization's contacts, those go that the import created, and that nothing has changed or used since. Returns
-- nothing while the import runs, and for one that was undone. The lock of the campaign keeps claims and other imports
-- away. The function checks the caller itself, because callers may delete neither kind of row.
create function private.undo_import(p_organization_id uuid, p_campaign_id uuid, p_import_id uuid, p_now timestamptz)
returns table (removed bigint, called bigint)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  gone uuid[];
  number_called bigint;
begin
  if current_setting('role') <> 'service_role'
    and not p_organization_id = any (array(select private.my_organizations('operator'))) then
    raise exception 'undoing an import requires the role operator in the organization'
      using errcode = 'insufficient_privilege';
  end if;
  perform from public.campaigns m
  where m.id = p_campaign_id and m.organization_id = p_organization_id for no key update;
  if not found then
    return;
  end if;
  perform from public.imports i where i.id = p_import_id and i.organization_id = p_organization_id for update;
  if exists (
    select from public.imports i where i.id = p_import_id and i.organization_id = p_organization_id
      and (i.status not in ('completed', 'failed', 'cancelled') or i.undone_at is not null)
  ) then
    return;
  end if;
  select count(*) into number_called from public.campaign_contacts cc
  where cc.campaign_id = p_campaign_id and cc.organization_id = p_organization_id and cc.import_id = p_import_id
    and cc.call_count > 0;
  if number_called > 0 then
    return query select 0::bigint, number_called;
    return;
  end if;
  with taken as (
    delete from public.campaign_contacts cc
    where cc.campaign_id = p_campaign_id and cc.organization_id = p_organization_id and cc.import_id = p_import_id
    returning cc.contact_id
  )
  select coalesce(array_agg(t.contact_id), '{}') into gone from taken t;
  -- Locked before the statement that deletes them, which then sees what other transactions did to them.
  perform from public.contacts k
  where k.id = any (gone) and k.organization_id = p_organization_id and k.import_id = p_import_id
  order by k.id for update;
  delete from public.contacts k
  where k.id = any (gone) and k.organization_id = p_organization_id and k.import_id = p_import_id
    and k.updated_at = k.created_at
    and not exists (select from public.campaign_contacts cc where cc.contact_id = k.id);
  update public.imports i set undone_at = p_now, removed = cardinality(gone), updated_at = p_now
  where i.id = p_import_id and i.organization_id = p_organization_id;
  return query select cardinality(gone)::bigint, 0::bigint;
end
$$;
revoke all on function private.undo_import(uuid, uuid, uuid, timestamptz) from public;
grant execute on function private.undo_import(uuid, uuid, uuid, timestamptz) to authenticated, service_role;
