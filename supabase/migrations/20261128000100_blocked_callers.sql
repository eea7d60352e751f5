-- A number that a network has blocked or marked as spam for a contact must not call this contact again. Few calls end like
-- that, so the index stays small and the claim's check costs one probe.
-- The runner keeps a migration in one transaction, where an index cannot be built concurrently.
-- squawk-ignore require-concurrent-index-creation
create index calls_blocked on public.calls (organization_id, phone, from_number) where outcome = 'blocked';
