-- An erasure also deletes the views that search for a part of the person's number or address. Digits are compared without
-- what people write between them. Four digits are a part, seven beside letters, as in "Winter 2026"; fewer than seven at
-- the beginning of the number are only a country and an area. A domain alone, such as gmail.com, is of many people.
create function private.finds_number(p_text text, p_phone text) returns boolean
language sql immutable set search_path = ''
as $$
  select exists (
    select from (
      select case when length(f.digits) < 7 then f.digits else pg_catalog.ltrim(f.digits, '0') end as digits
      from (
        select pg_catalog.regexp_replace(m.found[1], '[^0-9]', '', 'g') as digits
        from pg_catalog.regexp_matches(p_text, '[0-9][0-9[:space:]()./-]*', 'g') as m (found)
      ) f
    ) d
    where length(d.digits) >= case when p_text ~ '[[:alpha:]]' then 7 else 4 end
      and position(d.digits in pg_catalog.regexp_replace(p_phone, '[^0-9]', '', 'g'))
        > case when length(d.digits) < 7 then 1 else 0 end
  )
$$;
revoke all on function private.finds_number(text, text) from public;

create function private.finds_address(p_text text, p_address text) returns boolean
language sql immutable set search_path = ''
as $$
  select length(p_text) > 2 and position(p_text in p_address) between 1 and position('@' in p_address)
    or position(p_address in p_text) > 0
$$;
revoke all on function private.finds_address(text, text) from public;

drop trigger contacts_forget_views on public.contacts;
create trigger contacts_forget_views after update of erased_at on public.contacts
  for each row when (old.erased_at is null and new.erased_at is not null)
  execute function private.forget_views_of_person();

-- A number may be erased that no contact has.
create function private.forget_views_of_number() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  delete from public.saved_views v
  where v.organization_id = new.organization_id
    and (private.finds_number(v.name, new.phone)
      or private.finds_number(coalesce(v.filters ->> 'q', v.filters ->> 'name'), new.phone));
  return null;
end
$$;
revoke all on function private.forget_views_of_number() from public;
create trigger erasures_forget_views after insert or update of phone on public.erasures
  for each row when (new.phone is not null) execute function private.forget_views_of_number();

-- The database audits shared views, because viewers change and delete their own, which they may have shared before, and
-- viewers write no entries. Neither the name nor the filters are in an entry: they may name a person.
create function private.audit_shared_view() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into public.audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
  select coalesce(new.organization_id, old.organization_id), pg_catalog.clock_timestamp(),
    coalesce((select auth.uid())::text, 'unknown'),
    case tg_op when 'INSERT' then 'save_view' when 'UPDATE' then 'change_view' else 'delete_view' end, 'view',
    coalesce(new.id, old.id)::text, pg_catalog.jsonb_build_object('list', coalesce(new.list, old.list))
  where exists (select from public.organizations o where o.id = coalesce(new.organization_id, old.organization_id));
  return null;
end
$$;
revoke all on function private.audit_shared_view() from public;
create trigger saved_views_audited_insert after insert on public.saved_views
  for each row when (pg_catalog.current_setting('role') = 'authenticated' and new.is_shared)
  execute function private.audit_shared_view();
create trigger saved_views_audited_update after update on public.saved_views
  for each row when (pg_catalog.current_setting('role') = 'authenticated' and (old.is_shared or new.is_shared))
  execute function private.audit_shared_view();
create trigger saved_views_audited_delete after delete on public.saved_views
  for each row when (pg_catalog.current_setting('role') = 'authenticated' and old.is_shared)
  execute function private.audit_shared_view();

-- The list of campaigns has views too. Validated in a later migration.
-- squawk-ignore ban-drop-constraint
alter table public.saved_views drop constraint saved_views_list_check;
alter table public.saved_views add constraint saved_views_list_check
  check (list in ('campaigns', 'calls', 'campaign_calls', 'contacts', 'campaign_contacts')) not valid;
