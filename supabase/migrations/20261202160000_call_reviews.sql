-- Reviews of calls: a member has listened to a call, and may leave a note. One row is one mark; without a row, a call has
-- not been reviewed. An erasure, and the end of the time for which transcripts are kept, empty the note.

create table public.call_reviews (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  call_id uuid not null references public.calls (id) on delete cascade,
  -- An email address, or the service.
  reviewed_by text not null check (reviewed_by <> ''),
  reviewed_at timestamptz not null,
  note text check (length(note) between 1 and 1000),
  -- With the organization, so that none can take the place of another one's review.
  primary key (organization_id, call_id)
);
create index call_reviews_call on public.call_reviews (call_id);

create function private.forget_call_note() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  update public.call_reviews r set note = null
  where r.organization_id = new.organization_id and r.call_id = new.id and r.note is not null;
  return null;
end
$$;
revoke all on function private.forget_call_note() from public;
create trigger calls_forget_note after update of erased_at, transcript_removed_at on public.calls
  for each row
  when (new.erased_at is distinct from old.erased_at
    or new.transcript_removed_at is distinct from old.transcript_removed_at)
  execute function private.forget_call_note();

-- Empties refused rows of imports, the reasons that members gave and the notes on calls, and deletes stored responses, that
-- mention the person. Reasons are looked at once each, because a bulk job writes the same one to up to a million contacts.
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
  return number_swept;
end
$$;

revoke all on public.call_reviews from anon, authenticated, service_role;
grant select, insert, update, delete on public.call_reviews to service_role;
grant select, insert, delete on public.call_reviews to authenticated;
grant update (reviewed_by, reviewed_at, note) on public.call_reviews to authenticated;
grant select on public.call_reviews to outdial_jobs;
alter table public.call_reviews enable row level security;
alter table public.call_reviews force row level security;
create policy members_read on public.call_reviews for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy operators_insert on public.call_reviews for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy operators_update on public.call_reviews for update to authenticated
  using (organization_id = any (array(select private.my_organizations('operator'))))
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy operators_delete on public.call_reviews for delete to authenticated
  using (organization_id = any (array(select private.my_organizations('operator'))));
create policy jobs_read on public.call_reviews for select to outdial_jobs
  using (organization_id = (select private.current_organization()));

-- Members write reviews past the studio too: a review names its caller and the present time, and says nothing about a call
-- whose words are no longer kept.
create function private.sign_call_review() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  new.reviewed_by := private.caller_name(new.reviewed_by);
  new.reviewed_at := pg_catalog.clock_timestamp();
  if exists (
    select from public.calls c
    where c.id = new.call_id and coalesce(c.erased_at, c.transcript_removed_at) is not null
  ) then
    new.note := null;
  end if;
  return new;
end
$$;
revoke all on function private.sign_call_review() from public;
create trigger call_reviews_signed before insert or update on public.call_reviews
  for each row when (pg_catalog.current_setting('role') = 'authenticated') execute function private.sign_call_review();
