-- Calls in the order in which they ended: the live page shows those of the last minutes. A call comes into it once.
-- The runner keeps a migration in one transaction, where an index cannot be built concurrently.
-- squawk-ignore require-concurrent-index-creation
create index calls_just_ended on public.calls (organization_id, ended_at desc, id desc)
  where status = 'ended' and ended_at is not null;
