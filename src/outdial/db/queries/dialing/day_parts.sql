-- Contacts that wait for a part of their day.

-- name: hold_contacts!
-- Hold contacts until the part of the day in which their next attempt is made, and remember when it was first due.
update campaign_contacts cc
set next_attempt_at = u.next_attempt_at, status_reason = u.reason,
  part_due_since = coalesce(cc.part_due_since, :now), updated_at = :now
from unnest(:ids::uuid[], :next_attempt_ats::timestamptz[], :reasons::text[]) as u (id, next_attempt_at, reason)
where cc.id = u.id and cc.status = 'pending';
