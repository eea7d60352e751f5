-- How long an organization keeps personal data, in days; null keeps it. A legal hold stops every removal.
-- There are few organizations, so that checking them takes no time.
-- squawk-ignore-file constraint-missing-not-valid

alter table public.organizations
  add column transcript_days integer check (transcript_days between 1 and 3650),
  add column recording_days integer check (recording_days between 1 and 3650),
  add column event_days integer check (event_days between 1 and 3650),
  -- The caps on calls to one phone count the calls of up to 30 days.
  add column call_days integer check (call_days between 31 and 3650),
  add column legal_hold boolean not null default false,
  add column legal_hold_reason text check (length(legal_hold_reason) <= 1000),
  -- The body of an event contains transcript, links and phone.
  add constraint organizations_event_days check (
    least(transcript_days, recording_days, call_days) is null
    or event_days is not null and event_days <= least(transcript_days, recording_days, call_days)),
  add constraint organizations_legal_hold check (legal_hold or legal_hold_reason is null);

grant update (transcript_days, recording_days, event_days, call_days, legal_hold, legal_hold_reason)
  on public.organizations to authenticated;
