-- Finds the calls that ended and whose cost is not known: what was reserved for them stays reserved.
-- The index is small and partial; calls without a budget are not in it.
-- squawk-ignore require-concurrent-index-creation
create index calls_unknown_cost on public.calls (organization_id, created_at desc, id desc)
  where reserved_cents is not null and cost_cents is null and status in ('ended', 'review')
    and (started_at is not null or disconnection_reason is null);
