-- The reason of a bulk job is copied to every contact that it skips or decides, and to the do-not-call list. An erasure
-- reaches these copies, and what members wrote about other contacts, when they mention the person.

-- Empties refused rows of imports and the reasons that members gave, and deletes stored responses, that mention the
-- person. Reasons are looked at once each, because a bulk job writes the same one to up to a million contacts.
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
  return number_swept;
end
$$;
