-- An erasure also reaches what members wrote as the reason of a bulk job, and of stopping all calls.

-- Empties refused rows of imports and the reasons that members gave, and deletes stored responses, that mention the
-- person.
create or replace function private.sweep_rows(p_erasure_id uuid, p_numbers text[]) returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  owner_id uuid;
  terms text[];
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
  return number_swept + number_changed;
end
$$;
