-- The campaigns of an organization that have contacts in review: the list of campaigns shows them first, however old they
-- are. The runner keeps a migration in one transaction, where an index cannot be built concurrently; few contacts are in
-- review, so building it reads the table once.
-- squawk-ignore require-concurrent-index-creation
create index campaign_contacts_review_campaigns on public.campaign_contacts (organization_id, campaign_id)
  where status = 'review';
