-- What a campaign may set beyond agent, hours and retries: its caller numbers, callbacks, voicemail, the order of its
-- contacts, its budget and its share of the account. Every default keeps the behavior of campaigns that exist.

alter table public.campaigns
  -- Caller numbers besides from_number. Together they are the number pool of the campaign.
  add column more_numbers text[] not null default '{}',
  -- Read by outdial.domain.policies.callbacks and outdial.domain.policies.voicemail.
  add column callback_policy jsonb not null default '{}' check (jsonb_typeof(callback_policy) = 'object'),
  add column voicemail_policy jsonb not null default '{}' check (jsonb_typeof(voicemail_policy) = 'object'),
  -- The parts of the day for attempt 1, 2 and so on, from the start again after the last. Empty means any time.
  add column day_parts text[] not null default '{}' check (day_parts <@ array['morning', 'afternoon', 'evening']),
  -- An open campaign does not complete when it has called all contacts: it waits for more.
  add column keep_open boolean not null default false,
  -- A contact with a final status may be added again this long after its last change.
  add column reentry_after interval check (reentry_after between interval '1 second' and interval '3650 days'
    and date_trunc('second', reentry_after) = reentry_after),
  add column budget_cents bigint check (budget_cents between 0 and 1000000000000),
  -- Of two campaigns of an account, the one with the higher priority goes first.
  add column priority integer not null default 5 check (priority between 1 and 9),
  -- The weight of the campaign when campaigns of the same priority divide the account.
  add column share integer not null default 1 check (share between 1 and 100);

alter table public.campaign_contacts
  -- The lower is called first: 0 is a callback, otherwise 10 - priority of the contact, which is from 1 to 9.
  add column rank smallint not null default 5,
  -- When the contact asked to be called back. Null when it has not, or when that callback was made.
  add column callback_at timestamptz,
  add column callbacks smallint not null default 0,
  add column voicemail_left_at timestamptz;
-- Validated in a later migration, because reading all contacts under the lock of this one would stop the dialer.
alter table public.campaign_contacts
  add constraint campaign_contacts_rank_check check (rank between 0 and 9) not valid,
  add constraint campaign_contacts_callbacks_check check (callbacks >= 0) not valid;

-- The constraint is replaced once for all new reasons, and validated in a later migration.
-- squawk-ignore ban-drop-constraint
alter table public.campaigns drop constraint campaigns_waiting_for_check;
alter table public.campaigns add constraint campaigns_waiting_for_check check (waiting_for in
  ('concurrency', 'pacing', 'calling_hours', 'calling_rules', 'keys', 'retry', 'calls', 'screening', 'pre_dial_hook',
    'contacts', 'numbers', 'budget', 'stopped', 'day_part', 'callback')) not valid;

grant insert (more_numbers, callback_policy, voicemail_policy, day_parts, keep_open, reentry_after, budget_cents, priority,
  share) on public.campaigns to authenticated;
grant update (more_numbers, callback_policy, voicemail_policy, day_parts, keep_open, reentry_after, budget_cents, priority,
  share) on public.campaigns to authenticated;
grant insert (rank) on public.campaign_contacts to authenticated, outdial_jobs;
grant update (rank) on public.campaign_contacts to authenticated;
