-- Checks the constraint of the migration before, without a lock that stops the dialer.
alter table public.campaigns validate constraint campaigns_waiting_for_check;
