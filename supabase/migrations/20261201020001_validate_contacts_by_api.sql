-- Checks the constraint of the migration before, without a lock that stops the dialer.
alter table public.campaign_contacts validate constraint campaign_contacts_earlier_calls_check;
