-- A call comes into the index once, with its cost; those that cost nothing are not in it.
-- The runner keeps a migration in one transaction, where an index cannot be built concurrently.
-- squawk-ignore require-concurrent-index-creation
create index calls_agent_costs on public.calls (organization_id, retell_agent_id, created_at desc) include (cost_cents)
  where cost_cents > 0;
-- squawk-ignore require-concurrent-index-deletion
drop index public.calls_costs;
