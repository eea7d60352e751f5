-- Both have few rows: calls whose contacts wait for the analysis, and callbacks that are still to be made.
-- The columns are new and empty, so that building the indexes is one read of the tables.
-- squawk-ignore require-concurrent-index-creation
create index calls_to_decide on public.calls (decides_at) where decides_at is not null;
-- squawk-ignore require-concurrent-index-creation
create index campaign_contacts_callbacks on public.campaign_contacts (organization_id, callback_at, id)
  where callback_at is not null;
-- squawk-ignore require-concurrent-index-creation
create index campaign_contacts_late on public.campaign_contacts (callback_at)
  where callback_at is not null and callback_late is null and status = 'pending';
