-- The agent of a call is in its row, so that a claim with a budget reads what the last calls of an agent have cost in one
-- look at an index, over all its campaigns.

-- Null for calls of an older version.
alter table public.calls add column retell_agent_id text;

-- Of the older calls, no more than the last 200 of an agent count.
update public.calls c set retell_agent_id = k.retell_agent_id
from (
  select distinct organization_id, retell_agent_id from public.campaigns where status <> 'draft'
) a
cross join lateral (
  select l.id, a.retell_agent_id
  from public.campaigns m
  cross join lateral (
    select o.id, o.created_at from public.calls o where o.campaign_id = m.id and o.cost_cents > 0
    order by o.created_at desc limit 200
  ) l
  where m.organization_id = a.organization_id and m.retell_agent_id = a.retell_agent_id and m.status <> 'draft'
  order by l.created_at desc limit 200
) k
where c.id = k.id;
