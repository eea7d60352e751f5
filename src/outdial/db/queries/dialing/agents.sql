-- Voice agents of the provider's workspaces, as a dialer has read them.

-- name: list_agents
-- returns: list[AgentRow]
-- row: A voice agent of a workspace.
-- List the agents of an organization by name.
select g.agent_id, g.name, g.is_suspended, g.seen_at, g.provider_account_id, a.name as account_name
from agents g join provider_accounts a on a.id = g.provider_account_id
where g.organization_id = :organization_id
order by lower(g.name), g.agent_id;

-- name: find_agent_to_use
-- returns: KnownAgent
-- row: Whether the agents of an account have been read, and whether one of them is this one, and suspended.
-- Read what is known about an agent of an account.
select exists (select from number_imports i where i.provider_account_id = :provider_account_id
    and i.agents_listed > 0) as is_read,
  exists (select from agents g where g.provider_account_id = :provider_account_id
    and g.agent_id = :agent_id) as is_known,
  exists (select from agents g where g.provider_account_id = :provider_account_id
    and g.agent_id = :agent_id and g.is_suspended) as is_suspended;

-- name: store_agents!
-- Store the agents that the provider lists.
insert into agents as g (provider_account_id, agent_id, organization_id, name, is_suspended, seen_at)
select :provider_account_id, u.agent_id, :organization_id, u.name, u.is_suspended, :now
from unnest(:agent_ids::text[], :names::text[], :are_suspended::boolean[]) as u (agent_id, name, is_suspended)
order by u.agent_id
on conflict (provider_account_id, agent_id) do update
set name = excluded.name, is_suspended = excluded.is_suspended, seen_at = excluded.seen_at;

-- name: forget_unlisted_agents!
-- Delete the agents that the provider no longer lists.
delete from agents where provider_account_id = :provider_account_id and seen_at < :now;

-- name: note_agents_read!
-- Note how many agents an account has.
update number_imports set agents_listed = :agents where provider_account_id = :provider_account_id;
