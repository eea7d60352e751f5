-- Everything that is known about a phone, for the person who asks.

-- Returns one row per record, by kind. Whole rows, so that a new column is in it. Bodies are in base64. The function
-- checks the caller itself, because some records are found by reading those of all.
create function private.subject_data(p_organization_id uuid, p_phone text, p_numbers text[])
returns table (kind text, data jsonb)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  contact public.contacts;
  call_ids uuid[];
  terms text[];
begin
  if current_setting('role') <> 'service_role'
    and not p_organization_id = any (array(select private.my_organizations('admin'))) then
    raise exception 'exporting what is known about a phone requires the role admin in the organization'
      using errcode = 'insufficient_privilege';
  end if;
  select k.* into contact from public.contacts k where k.organization_id = p_organization_id and k.phone = p_phone;
  terms := array_remove(array[private.address_of_contact(p_organization_id, p_phone)], null);
  select coalesce(pg_catalog.array_agg(i), '{}') into call_ids from private.calls_of_phone(p_organization_id, p_phone) i;
  return query
    select 'contact', to_jsonb(k) - '{name_key,phone_reversed}'::text[]
    from public.contacts k where k.id = contact.id;
  return query
    select 'do_not_call', to_jsonb(d) from public.do_not_call d
    where d.organization_id = p_organization_id and d.phone = p_phone;
  return query
    select 'opt_out_at_provider', to_jsonb(s) from public.opt_out_syncs s
    where s.organization_id = p_organization_id and s.phone = p_phone;
  return query
    select 'consent', to_jsonb(s) from public.consents s
    where s.organization_id = p_organization_id and s.phone = p_phone
    order by s.given_at, s.id;
  return query
    select 'screening_list', to_jsonb(l)
    from public.screened_numbers s join public.screening_lists l on l.id = s.list_id
    where s.organization_id = p_organization_id and s.phone = p_phone
    order by l.created_at, l.id;
  return query
    select 'campaign', to_jsonb(cc) || pg_catalog.jsonb_build_object('campaign', m.name)
    from public.campaign_contacts cc join public.campaigns m on m.id = cc.campaign_id
    where cc.contact_id = contact.id
    order by cc.created_at, cc.id;
  return query
    select 'call', to_jsonb(c) from public.calls c where c.id = any (call_ids) order by c.created_at, c.id;
  return query
    select 'event', to_jsonb(e) - 'body' || pg_catalog.jsonb_build_object('body', pg_catalog.encode(e.body, 'base64'))
    from public.webhook_events e
    where e.call_id = any (call_ids)
      or (e.organization_id is null
          and e.credential in (select a.credential from public.provider_accounts a where a.organization_id = p_organization_id)
        or e.organization_id = p_organization_id and e.status in ('unmatched', 'quarantined'))
      and private.mentions(pg_catalog.encode(e.body, 'escape'), p_numbers, terms)
    order by e.id;
  return query
    select 'refused_row', to_jsonb(r) || pg_catalog.jsonb_build_object('file_name', i.file_name)
    from public.imports i join public.import_refusals r on r.import_id = i.id
    where i.organization_id = p_organization_id
      and private.mentions(r.value || ' ' || r.cells::text || ' ' || r.reason, p_numbers, terms)
    order by i.created_at, r.line;
  return query
    select 'export', to_jsonb(x) from public.exports x
    where x.organization_id = p_organization_id and exists (
      select from public.export_chunks c
      where c.export_id = x.id and position(pg_catalog.convert_to(p_phone, 'UTF8') in c.content) > 0)
    order by x.created_at, x.id;
  return query
    select 'audit', to_jsonb(a) from public.audit_log a
    where a.organization_id = p_organization_id
      and (a.subject_id = any (contact.id::text || array(
          select cc.id::text from public.campaign_contacts cc where cc.contact_id = contact.id
        )) or private.mentions(a.subject_id || ' ' || a.details::text, p_numbers, terms))
    order by a.id;
end
$$;
revoke all on function private.subject_data(uuid, text, text[]) from public;
grant execute on function private.subject_data(uuid, text, text[]) to authenticated, service_role;
