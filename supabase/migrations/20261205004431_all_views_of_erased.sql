-- The rules of views_of_erased and of words_of_contacts together: an erasure deletes the views that name the person, and
-- those that find them by words of the name in any order and without accents, or by a part of the number, the email
-- address or the external id.
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
