-- The contacts in review of an organization, for the queue of all its campaigns and the number in the menu. Its columns
-- never change, so that updates of contacts stay heap-only where they are.
create index campaign_contacts_in_review on public.campaign_contacts (organization_id, id) where status = 'review';
