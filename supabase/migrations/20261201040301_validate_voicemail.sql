-- Checks the constraint of the migration before, without a lock that stops the dialer.
alter table public.calls validate constraint calls_message_then_known;
