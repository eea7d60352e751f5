-- Searches for contacts find the words of a term in any order, and letters with and without accents: "mustermann max"
-- finds Max Mustermann, and "muller" and "Müller" find each other. A migration runs in one transaction, so the index
-- cannot be built concurrently. With a million contacts, the table is rewritten and locked for about a minute.
-- squawk-ignore-file require-concurrent-index-creation, require-concurrent-index-deletion, adding-field-with-default

-- What a search compares: small letters without accents, and with plain apostrophes and spaces. The extension unaccent
-- is not everywhere, and not immutable. Most texts are ASCII.
-- Patterns for `like` stay patterns: no letter becomes one of their wildcards.
create function private.search_key(p_text text) returns text
language plpgsql immutable strict parallel safe set search_path = ''
as $$
begin
  if octet_length(p_text) = length(p_text) then
    return lower(p_text);
  end if;
  return lower(
    translate(
      replace(replace(replace(replace(replace(
        regexp_replace(normalize(p_text, nfd), '[\u0300-\u036f]+', '', 'g'),
        'ß', 'ss'), 'ẞ', 'ss'), 'æ', 'ae'), 'Æ', 'ae'), 'œ', 'oe'),
      'øØłŁđĐðÐıħĦ’‘ʼ' || chr(160) || chr(8239),
      'oOlLdDdDihH''''''  '));
end
$$;
revoke all on function private.search_key(text) from public;
-- The column below evaluates it for every role that writes contacts. Dialers set only the keys of their places, but a
-- trigger before updates makes each update of a contact compute all generated columns.
grant execute on function private.search_key(text) to authenticated, service_role, outdial_jobs, outdial_dialer;

-- What the search of contacts compares with: a column, because a search for two letters reads all contacts, and
-- computing their keys takes ten times as long. The fields are separated by line feeds, so that no word matches across
-- two of them.
drop index if exists public.contacts_text;
alter table public.contacts add column search_key text collate "C" generated always as (
  private.search_key(coalesce(name, '') || chr(10) || phone || chr(10) || coalesce(email, '') || chr(10)
    || coalesce(company, '') || chr(10) || coalesce(external_id, ''))) stored;

-- As find_contacts, for any number of words, which are patterns for `like`. All have to match, in any of the columns.
-- The three longest are looked up in the index, which leaves few contacts to compare with the others. Those that were not
-- reached are without contacts that a member has decided as completed, as in the list, its counts and its jobs.
create function private.search_contacts(
  p_organization_id uuid, p_words text[], p_digits text, p_campaign_id uuid, p_status text, p_last_outcome text,
  p_reached boolean, p_reached_outcomes text[], p_after text, p_limit integer
) returns setof uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  words text[] := array(select private.search_key(w) from unnest(p_words) w order by length(w) desc);
begin
  if current_setting('role') <> 'service_role'
    and not (p_organization_id = any (array(select private.my_organizations()))) then
    return;
  end if;
  -- Planned for the words at hand: a rare one goes through the index, a common one along the phones.
  return query execute '
    select k.id
    from public.contacts k
    where k.organization_id = $1
      and (
        k.search_key like $2 and ($3 is null or k.search_key like $3) and ($4 is null or k.search_key like $4)
          and k.search_key like all ($5)
        or k.search_key like $6
      )
      and ($7 is null or exists (
        select from public.campaign_contacts cc
        where cc.campaign_id = $7 and cc.contact_id = k.id and ($8 is null or cc.status = $8)
          and ($9 is null or cc.last_outcome = $9)
          and ($10 is null
            or ($10 or cc.status = ''failed'' or cc.status = ''completed''
                and (cc.decision is distinct from ''completed'' or cc.decided_calls < cc.call_count))
              and $10 = exists (
                select from public.calls r where r.campaign_contact_id = cc.id and r.outcome = any ($11)))))
      and ($12 is null or k.phone > $12)
    order by k.phone
    limit $13'
  using p_organization_id, words[1], words[2], words[3], words[4:], p_digits, p_campaign_id, p_status, p_last_outcome,
    p_reached, p_reached_outcomes, p_after, p_limit;
end
$$;
revoke all on function private.search_contacts(uuid, text[], text, uuid, text, text, boolean, text[], text, integer)
  from public;
grant execute on function private.search_contacts(uuid, text[], text, uuid, text, text, boolean, text[], text, integer)
  to authenticated, service_role;

-- Processes of the versions before ask for a text, which is one word here. The new index serves them too.
create or replace function private.find_contacts(
  p_organization_id uuid, p_text text, p_digits text, p_campaign_id uuid, p_status text, p_last_outcome text,
  p_reached boolean, p_reached_outcomes text[], p_after text, p_limit integer
) returns setof uuid
language plpgsql stable security definer set search_path = ''
as $$
begin
  return query select private.search_contacts(
    p_organization_id, array[p_text], p_digits, p_campaign_id, p_status, p_last_outcome, p_reached,
    p_reached_outcomes, p_after, p_limit);
end
$$;
create or replace function private.find_contacts(
  p_organization_id uuid, p_text text, p_digits text, p_campaign_id uuid, p_status text, p_last_outcome text,
  p_after text, p_limit integer
) returns setof uuid
language plpgsql stable security definer set search_path = ''
as $$
begin
  return query select private.search_contacts(
    p_organization_id, array[p_text], p_digits, p_campaign_id, p_status, p_last_outcome, null, null, p_after, p_limit);
end
$$;

-- Only where the migration of the first index could create the extension.
do $$
declare
  schema_of_extension text := (
    select e.extnamespace::regnamespace::text from pg_catalog.pg_extension e where e.extname = 'pg_trgm');
begin
  if schema_of_extension is null then
    return;
  end if;
  execute format(
    'create index contacts_words on public.contacts using gin (search_key %s.gin_trgm_ops)', schema_of_extension);
end
$$;

-- As before, without the new column, which has nothing that the others have not.
create or replace function private.subject_data(p_organization_id uuid, p_phone text, p_numbers text[])
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
    select 'contact', to_jsonb(k) - '{name_key,phone_reversed,search_key}'::text[]
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
-- An erasure deletes the views that name the person, and those that find them by words of the name in any order and
-- without accents, or by a part of the number, the email address or the external id.
create or replace function private.forget_views_of_person() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  person text := private.search_key(trim(pg_catalog.regexp_replace(old.name, '\s+', ' ', 'g')));
  words text[] := pg_catalog.string_to_array(person, ' ');
  address text := case when position('@' in old.email) > 1 then private.search_key(trim(old.email)) end;
  other_id text := nullif(private.search_key(trim(old.external_id)), '');
  -- Without the domain of the address, which is of many people.
  known text := pg_catalog.concat_ws(
    ' ', person, other_id, pg_catalog.split_part(address, '@', 1), old.phone);
begin
  delete from public.saved_views v
  using (
    select k.id, k.name, k.term, k.name || ' ' || k.term as both_texts
    from (
      select s.id, private.search_key(trim(pg_catalog.regexp_replace(s.name, '\s+', ' ', 'g'))) as name,
        private.search_key(trim(pg_catalog.regexp_replace(
          coalesce(s.filters ->> 'q', s.filters ->> 'name', ''), '\s+', ' ', 'g'))) as term
      from public.saved_views s where s.organization_id = old.organization_id
    ) k
  ) t
  where v.id = t.id and (
    private.finds_number(t.name, old.phone)
    or private.finds_number(t.term, old.phone)
    or private.finds_address(t.term, address)
    or position(address in t.both_texts) > 0
    or length(t.term) > 2 and position(t.term in other_id) > 0
    or length(other_id) > 3 and private.mentions(t.both_texts, '{}', array[other_id])
    or case
        when length(person) > 3 then position(person in t.both_texts) > 0
        else person ~ '[^[:punct:][:digit:][:space:]]' and private.mentions(t.both_texts, '{}', array[person])
      end
    or cardinality(words) > 1 and (select bool_and(private.mentions(t.both_texts, '{}', array[w])) from unnest(words) w)
    or length(t.term) > 2 and t.term ~ '[^[:punct:][:digit:][:space:]]' and not exists (
      select from pg_catalog.regexp_split_to_table(t.term, ' ') w where position(w in known) = 0)
  );
  return null;
end
$$;
