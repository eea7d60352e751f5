-- The contacts that a campaign calls again, by the outcome of their last call: few among those not called yet. Without
-- it, the next calls after a rare outcome are found by reading all pending contacts.
-- A migration runs in one transaction, so nothing here can be built concurrently: one read of the table.
-- squawk-ignore require-concurrent-index-creation
create index campaign_contacts_next_by_outcome on public.campaign_contacts (campaign_id, last_outcome, next_attempt_at, id)
  where status = 'pending' and last_outcome is not null;
