-- Checks the constraints of the migration before, without a lock that stops the dialer.
alter table public.campaign_contacts validate constraint campaign_contacts_rank_check;
alter table public.campaign_contacts validate constraint campaign_contacts_callbacks_check;
alter table public.campaigns validate constraint campaigns_waiting_for_check;
