-- As before, but a name of at most three characters counts as a word only: the erasure of a contact named "Al" deleted
-- every view with "call" in its name. A name without a letter, such as "-", names no one.
create or replace function private.forget_views_of_person() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  person text := lower(trim(old.name));
begin
  delete from public.saved_views v
  where v.organization_id = old.organization_id
    and (case
        when length(person) > 3 then position(person in lower(v.name || ' ' || coalesce(v.filters ->> 'q', ''))) > 0
        else person ~ '[^[:punct:][:digit:][:space:]]'
          and private.mentions(v.name || ' ' || coalesce(v.filters ->> 'q', ''), '{}', array[person])
      end
      or length(v.filters ->> 'q') > 2 and position(lower(v.filters ->> 'q') in person) > 0);
  return null;
end
$$;
