-- Validates the constraints of review decisions. The lock of this migration lets the dialer go on.
alter table public.campaign_contacts
  validate constraint campaign_contacts_decision_check,
  validate constraint campaign_contacts_decision_note_check,
  validate constraint campaign_contacts_decided_check,
  validate constraint campaign_contacts_decided_calls_check;
