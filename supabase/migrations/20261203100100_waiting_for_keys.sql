-- A campaign whose account has no API key waits for one.

-- Validated in a later migration, because reading all campaigns under the lock of this one would stop the dialer.
-- squawk-ignore ban-drop-constraint
alter table public.campaigns drop constraint campaigns_waiting_for_check;
alter table public.campaigns add constraint campaigns_waiting_for_check check (waiting_for in
  ('concurrency', 'pacing', 'calling_hours', 'calling_rules', 'keys', 'retry', 'calls', 'screening', 'pre_dial_hook',
    'contacts', 'numbers', 'budget', 'stopped', 'day_part', 'callback', 'api_key')) not valid;
