-- The contacts in review that asked for a callback at a time that could not be used, for the queue of callbacks and its
-- number in the menu. What changes a status reason often changes the status or the next time too, which other indexes have,
-- so that these updates are not heap-only anyway. The runner keeps a migration in one transaction, where an index cannot be built concurrently; few
-- contacts are in review, so building it reads the table once.
-- squawk-ignore require-concurrent-index-creation
create index campaign_contacts_callback_requests on public.campaign_contacts (organization_id, id)
  where status = 'review' and status_reason like 'the contact asked for a callback%';
