-- A number that a network has blocked or marked as spam for a contact must not call this contact again. Few calls end like
-- that, so the index stays small and the claim's check costs one probe.
create index calls_blocked on public.calls (organization_id, phone, from_number) where outcome = 'blocked';
