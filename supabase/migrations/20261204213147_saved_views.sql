-- Saved views: the filters and the order of a list, with a name. A view is its member's own until it is shared with the
-- organization. The filters may name a person, so an erasure deletes the views that do.

create table public.saved_views (
  id uuid primary key,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  list text not null check (list in ('calls', 'campaign_calls', 'contacts', 'campaign_contacts')),
  name text not null check (length(name) between 1 and 60),
  -- As the address of the list has them. A list leaves out what it does not know any more.
  filters jsonb not null check (jsonb_typeof(filters) = 'object' and length(filters::text) <= 4000),
  is_shared boolean not null default false,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create unique index saved_views_name on public.saved_views (organization_id, list, user_id, lower(name));
create index saved_views_user on public.saved_views (user_id);

revoke all on public.saved_views from anon, authenticated, service_role;
grant select, insert, update, delete on public.saved_views to service_role;
grant select, insert, delete on public.saved_views to authenticated;
grant update (name, filters, is_shared, updated_at) on public.saved_views to authenticated;
alter table public.saved_views enable row level security;
alter table public.saved_views force row level security;
create policy members_read on public.saved_views for select to authenticated
  using (
    (organization_id = any (array(select private.my_organizations())))
    and (is_shared or user_id = (select auth.uid()))
  );
-- A viewer has views, and shares none.
create policy members_insert on public.saved_views for insert to authenticated
  with check (
    (organization_id = any (array(select private.my_organizations())))
    and user_id = (select auth.uid())
    and (not is_shared or organization_id = any (array(select private.my_organizations('operator'))))
  );
create policy members_update on public.saved_views for update to authenticated
  using (
    (organization_id = any (array(select private.my_organizations())))
    and user_id = (select auth.uid())
  )
  with check (
    (organization_id = any (array(select private.my_organizations())))
    and user_id = (select auth.uid())
    and (not is_shared or organization_id = any (array(select private.my_organizations('operator'))))
  );
-- Admins take away what others have shared, such as a member who has left.
create policy members_delete on public.saved_views for delete to authenticated
  using (
    (organization_id = any (array(select private.my_organizations())))
    and (user_id = (select auth.uid())
      or is_shared and organization_id = any (array(select private.my_organizations('admin'))))
  );

-- The sweep of an erasure looks for numbers and addresses, not for names: the views that would find the person by their
-- name go with it.
create function private.forget_views_of_person() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  person text := lower(old.name);
begin
  delete from public.saved_views v
  where v.organization_id = old.organization_id
    and (position(person in lower(v.name || ' ' || coalesce(v.filters ->> 'q', ''))) > 0
      or length(v.filters ->> 'q') > 2 and position(lower(v.filters ->> 'q') in person) > 0);
  return null;
end
$$;
revoke all on function private.forget_views_of_person() from public;
create trigger contacts_forget_views after update of erased_at on public.contacts
  for each row when (old.erased_at is null and new.erased_at is not null and old.name <> '')
  execute function private.forget_views_of_person();

-- As before, and the views that name the person.
create or replace function private.sweep_rows(p_erasure_id uuid, p_numbers text[]) returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  owner_id uuid;
  terms text[];
  skips text[];
  notes text[];
  blocks text[];
  number_changed bigint;
  number_swept bigint := 0;
begin
  select e.organization_id, e.terms into owner_id, terms from public.erasures e where e.id = p_erasure_id;
  perform private.check_sweep(owner_id);
  update public.import_refusals r
  set value = '', cells = '[]', reason = 'the contact was erased'
  from public.imports i
  where i.organization_id = owner_id and r.import_id = i.id
    and private.mentions(r.value || ' ' || r.cells::text || ' ' || r.reason, p_numbers, terms);
  get diagnostics number_changed = row_count;
  number_swept := number_swept + number_changed;
  delete from public.idempotency_keys k
  where k.organization_id = owner_id and private.mentions(k.answer::text || ' ' || k.key, p_numbers, terms);
  get diagnostics number_changed = row_count;
  number_swept := number_swept + number_changed;
  update public.bulk_jobs b set reason = 'erased'
  where b.organization_id = owner_id and private.mentions(b.reason, p_numbers, terms);
  get diagnostics number_changed = row_count;
  number_swept := number_swept + number_changed;
  update public.organizations o set stop_reason = 'erased'
  where o.id = owner_id and private.mentions(o.stop_reason, p_numbers, terms);
  get diagnostics number_changed = row_count;
  number_swept := number_swept + number_changed;

  -- "skipped by" and who it was stay.
  select pg_catalog.array_agg(s.reason) into skips from (
    select distinct cc.status_reason as reason from public.campaign_contacts cc
    where cc.organization_id = owner_id and cc.status_reason like 'skipped by %: %'
  ) s where private.mentions(s.reason, p_numbers, terms);
  select pg_catalog.array_agg(s.note) into notes from (
    select distinct cc.decision_note as note from public.campaign_contacts cc
    where cc.organization_id = owner_id and cc.decision_note is not null
  ) s where private.mentions(s.note, p_numbers, terms);
  select pg_catalog.array_agg(s.reason) into blocks from (
    select distinct d.reason from public.do_not_call d where d.organization_id = owner_id and d.reason is not null
  ) s where private.mentions(s.reason, p_numbers, terms);
  if coalesce(skips, notes) is not null then
    with found as materialized (
      select cc.id from public.campaign_contacts cc
      where cc.organization_id = owner_id and (cc.status_reason = any (skips) or cc.decision_note = any (notes))
      order by cc.id for no key update
    )
    update public.campaign_contacts cc
    set decision_note = case when cc.decision_note = any (notes) then 'erased' else cc.decision_note end,
      status_reason = case when cc.status_reason = any (skips)
        then pg_catalog.split_part(cc.status_reason, ': ', 1) || ': erased' else cc.status_reason end
    from found f
    where cc.id = f.id;
    get diagnostics number_changed = row_count;
    number_swept := number_swept + number_changed;
  end if;
  if blocks is not null then
    update public.do_not_call d set reason = 'erased' where d.organization_id = owner_id and d.reason = any (blocks);
    get diagnostics number_changed = row_count;
    number_swept := number_swept + number_changed;
  end if;
  update public.call_reviews r set note = null
  where r.organization_id = owner_id and r.note is not null and private.mentions(r.note, p_numbers, terms);
  get diagnostics number_changed = row_count;
  number_swept := number_swept + number_changed;
  delete from public.saved_views v
  where v.organization_id = owner_id and private.mentions(v.name || ' ' || v.filters::text, p_numbers, terms);
  get diagnostics number_changed = row_count;
  number_swept := number_swept + number_changed;
  return number_swept;
end
$$;
