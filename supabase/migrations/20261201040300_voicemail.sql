-- What follows if this call leaves its voicemail message. Null for a call that leaves none.
alter table public.calls add column message_then text;
alter table public.calls
  add constraint calls_message_then_known check (message_then in ('stop', 'continue')) not valid;
grant update (voicemail_left_at) on public.campaign_contacts to outdial_webhook, outdial_dialer;
