-- What the latest calls of a campaign have cost, newest first: claims with a budget read them. A call comes into it once,
-- with its cost; those that cost nothing are not in it.
-- The runner keeps a migration in one transaction, where an index cannot be built concurrently.
-- squawk-ignore require-concurrent-index-creation
create index calls_costs on public.calls (campaign_id, created_at desc) include (organization_id, cost_cents)
  where cost_cents > 0;
