-- The contacts in review of an organization, for the queue of all its campaigns and the number in the menu. Its columns
-- never change, so that updates of contacts stay heap-only where they are. The runner keeps a migration in one
-- transaction, where an index cannot be built concurrently; few contacts are in review, so building it reads the table once.
-- squawk-ignore require-concurrent-index-creation
create index campaign_contacts_in_review on public.campaign_contacts (organization_id, id) where status = 'review';
