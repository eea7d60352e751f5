-- When the next attempt of a contact was first due, while the contact waits for its part of the day. It waits a limited
-- time from then on.
alter table public.campaign_contacts add column part_due_since timestamptz;
grant update (part_due_since) on public.campaign_contacts to outdial_dialer;
