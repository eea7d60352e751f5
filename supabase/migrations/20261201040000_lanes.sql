-- A claim reads one entry per lane: the pending contacts of one place and rank. With a million contacts, the table is
-- locked for a few seconds while the index is built.
-- squawk-ignore require-concurrent-index-creation
create index campaign_contacts_lanes on public.campaign_contacts
  (campaign_id, zone_key, jurisdiction_key, rank, next_attempt_at) where status = 'pending';
