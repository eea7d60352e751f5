-- What calls change about their contacts.

-- name: write_campaign_contacts!
-- null: :last_outcomes[], :next_attempt_ats[], :status_reasons[], :voicemail_left_ats[],
-- null: :callback_ats[], :callback_lates[]
-- Write what the end of a call changes about its contact. Needs lock_reported_calls.
update campaign_contacts cc
set status = u.status, attempts = u.attempts, faults = u.faults,
  next_attempt_at = coalesce(u.next_attempt_at, cc.next_attempt_at), last_outcome = u.last_outcome,
  status_reason = u.status_reason, voicemail_left_at = coalesce(cc.voicemail_left_at, u.voicemail_left_at),
  callback_at = u.callback_at, callbacks = u.callbacks,
  callback_tries = u.callback_tries, callback_late = u.callback_late,
  rank = case when u.callback_at is null then coalesce(cc.usual_rank, cc.rank) else 0 end,
  usual_rank = case when u.callback_at is null then null else coalesce(cc.usual_rank, cc.rank) end, updated_at = :now
from unnest(:ids::uuid[], :statuses::text[], :attempts::integer[], :faults::integer[],
  :next_attempt_ats::timestamptz[], :last_outcomes::text[], :status_reasons::text[], :voicemail_left_ats::timestamptz[],
  :callback_ats::timestamptz[], :callbacks::integer[], :callback_tries::integer[],
  :callback_lates::text[])
  as u (id, status, attempts, faults, next_attempt_at, last_outcome, status_reason, voicemail_left_at,
    callback_at, callbacks, callback_tries, callback_late)
where cc.id = u.id;
