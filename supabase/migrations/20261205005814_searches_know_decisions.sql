-- A search for words among the contacts that were not reached leaves out those that a member has decided as completed, as
-- the list, its counts and its jobs do.
create or replace function private.search_contacts(
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
