-- Indexes that let a campaign's progress be counted with index-only scans.
-- A migration runs in one transaction, so nothing here can be built concurrently. With a million calls, the table is
-- locked for some seconds.
-- squawk-ignore-file require-concurrent-index-creation

-- Written when a call has ended, and when its cost arrives later.
create index calls_ended on public.calls (campaign_id, outcome) include (cost_cents, duration_ms)
  where status = 'ended';

-- Those of the given campaigns that the caller may see. Policies would check the organization of every contact or call
-- row, which no index on a campaign's rows contains. A caller who sees a campaign sees all of its rows.
create function private.visible_campaigns(p_campaign_ids uuid[]) returns setof uuid
language sql stable security definer set search_path = ''
as $$
  select c.id
  from public.campaigns c
  where c.id = any (p_campaign_ids)
    and (current_setting('role') = 'service_role' or c.organization_id = any (array(select private.my_organizations())))
$$;
revoke all on function private.visible_campaigns(uuid[]) from public;

create function private.count_campaign_contacts(p_campaign_ids uuid[])
returns table (campaign_id uuid, status text, contacts bigint)
language sql stable security definer set search_path = ''
as $$
  select cc.campaign_id, cc.status, count(*)
  from public.campaign_contacts cc
  where cc.campaign_id = any (array(select private.visible_campaigns(p_campaign_ids)))
  group by cc.campaign_id, cc.status
$$;
revoke all on function private.count_campaign_contacts(uuid[]) from public;
grant execute on function private.count_campaign_contacts(uuid[]) to authenticated, service_role;

create function private.count_ended_calls(p_campaign_ids uuid[])
returns table (campaign_id uuid, outcome text, calls bigint, cost_cents numeric, duration_ms bigint)
language sql stable security definer set search_path = ''
as $$
  select c.campaign_id, c.outcome, count(*), coalesce(sum(c.cost_cents), 0), coalesce(sum(c.duration_ms), 0)::bigint
  from public.calls c
  where c.campaign_id = any (array(select private.visible_campaigns(p_campaign_ids))) and c.status = 'ended'
  group by c.campaign_id, c.outcome
$$;
revoke all on function private.count_ended_calls(uuid[]) from public;
grant execute on function private.count_ended_calls(uuid[]) to authenticated, service_role;
