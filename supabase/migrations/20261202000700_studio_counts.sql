-- Counts and searches of the studio, measured with a million contacts of a campaign and 150,000 calls.

-- In plpgsql, and with the visible campaigns read first, Postgres counts with parallel workers: 230 ms where one process
-- took 460 to 840 ms on a busy machine.
create or replace function private.count_campaign_contacts(p_campaign_ids uuid[])
returns table (campaign_id uuid, status text, contacts bigint)
language plpgsql stable security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  visible uuid[] := array(select private.visible_campaigns(p_campaign_ids));
begin
  return query
    select cc.campaign_id, cc.status, count(*)
    from public.campaign_contacts cc
    where cc.campaign_id = any (visible)
    group by cc.campaign_id, cc.status;
end
$$;

create or replace function private.count_ended_calls(p_campaign_ids uuid[])
returns table (campaign_id uuid, outcome text, calls bigint, cost_cents numeric, duration_ms bigint)
language plpgsql stable security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  visible uuid[] := array(select private.visible_campaigns(p_campaign_ids));
begin
  return query
    select c.campaign_id, c.outcome, count(*), coalesce(sum(c.cost_cents), 0),
      coalesce(sum(c.duration_ms), 0)::bigint
    from public.calls c
    where c.campaign_id = any (visible) and c.status = 'ended'
    group by c.campaign_id, c.outcome;
end
$$;

-- The pending contacts of each place of a campaign that the caller may see, up to p_most of each: from an index alone,
-- because it checks no policy per row.
create function private.count_pending_places(p_organization_id uuid, p_campaign_id uuid, p_most integer)
returns table (zone_key text, jurisdiction_key text, contacts bigint)
language sql stable security definer set search_path = ''
as $$
  with recursive visible as materialized (
    select m.id from public.campaigns m
    where m.organization_id = p_organization_id and m.id = any (array(select private.visible_campaigns(array[p_campaign_id])))
  ), places as (
    (select cc.zone_key, cc.jurisdiction_key from public.campaign_contacts cc
      where cc.campaign_id = (select id from visible) and cc.status = 'pending'
      order by cc.zone_key, cc.jurisdiction_key limit 1)
    union all
    select n.zone_key, n.jurisdiction_key
    from places p
    cross join lateral (
      select cc.zone_key, cc.jurisdiction_key from public.campaign_contacts cc
      where cc.campaign_id = p_campaign_id and cc.status = 'pending'
        and (cc.zone_key, cc.jurisdiction_key) > (p.zone_key, p.jurisdiction_key)
      order by cc.zone_key, cc.jurisdiction_key limit 1
    ) n
  )
  select p.zone_key, p.jurisdiction_key, (
    select count(*) from (
      select from public.campaign_contacts cc
      where cc.campaign_id = p_campaign_id and cc.status = 'pending' and cc.zone_key = p.zone_key
        and cc.jurisdiction_key = p.jurisdiction_key
      -- In the order of the index: Postgres would rather scan the table until it has found enough.
      order by cc.rank, cc.next_attempt_at
      limit p_most
    ) c
  )
  from places p
$$;
revoke all on function private.count_pending_places(uuid, uuid, integer) from public;
grant execute on function private.count_pending_places(uuid, uuid, integer) to authenticated, service_role;

-- Where few contacts of a campaign have the status or the outcome, the text is looked for among these. Else a term that
-- many contacts have and few of these made it read all contacts of the organization: 2.5 s for a review queue.
create or replace function private.find_contacts(
  p_organization_id uuid, p_text text, p_digits text, p_campaign_id uuid, p_status text, p_last_outcome text,
  p_after text, p_limit integer
) returns setof uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  few constant integer := 5000;
  narrowed uuid[];
begin
  if current_setting('role') <> 'service_role'
    and not (p_organization_id = any (array(select private.my_organizations()))) then
    return;
  end if;
  if p_campaign_id is not null and coalesce(p_status, p_last_outcome) is not null then
    execute '
      select array(
        select cc.contact_id from public.campaign_contacts cc
        where cc.campaign_id = $1 and ($2 is null or cc.status = $2) and ($3 is null or cc.last_outcome = $3)
        limit $4)'
    into narrowed using p_campaign_id, p_status, p_last_outcome, few + 1;
    if cardinality(narrowed) <= few then
      return query execute '
        select k.id
        -- The offset keeps Postgres from reading the contacts along their phones.
        from (select * from public.contacts where id = any ($5) offset 0) k
        where k.organization_id = $1
          and (
            lower(coalesce(k.name, '''') || chr(10) || k.phone || chr(10) || coalesce(k.email, '''') || chr(10)
              || coalesce(k.company, '''') || chr(10) || coalesce(k.external_id, '''')) like $2
            or lower(coalesce(k.name, '''') || chr(10) || k.phone || chr(10) || coalesce(k.email, '''') || chr(10)
              || coalesce(k.company, '''') || chr(10) || coalesce(k.external_id, '''')) like $3
          )
          and ($4 is null or k.phone > $4)
        order by k.phone
        limit $6'
      using p_organization_id, p_text, p_digits, p_after, narrowed, p_limit;
      return;
    end if;
  end if;
  -- Planned for the term at hand: a rare one goes through the index, a common one along the phones.
  return query execute '
    select k.id
    from public.contacts k
    where k.organization_id = $1
      and (
        lower(coalesce(k.name, '''') || chr(10) || k.phone || chr(10) || coalesce(k.email, '''') || chr(10)
          || coalesce(k.company, '''') || chr(10) || coalesce(k.external_id, '''')) like $2
        or lower(coalesce(k.name, '''') || chr(10) || k.phone || chr(10) || coalesce(k.email, '''') || chr(10)
          || coalesce(k.company, '''') || chr(10) || coalesce(k.external_id, '''')) like $3
      )
      and ($4 is null or exists (
        select from public.campaign_contacts cc
        where cc.campaign_id = $4 and cc.contact_id = k.id and ($5 is null or cc.status = $5)
          and ($6 is null or cc.last_outcome = $6)))
      and ($7 is null or k.phone > $7)
    order by k.phone
    limit $8'
  using p_organization_id, p_text, p_digits, p_campaign_id, p_status, p_last_outcome, p_after, p_limit;
end
$$;
