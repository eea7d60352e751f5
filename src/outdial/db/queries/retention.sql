-- How long organizations keep personal data.

-- name: show_retention
-- returns: RetentionRow | None
-- row: What an organization keeps, in days, and its legal hold.
-- null: transcript_days, recording_days, event_days, call_days, legal_hold_reason
-- Read how long an organization keeps personal data.
select transcript_days, recording_days, event_days, call_days, legal_hold, legal_hold_reason
from organizations where id = :organization_id;

-- name: change_retention
-- returns: UUID | None
-- null: :transcript_days, :recording_days, :event_days, :call_days, :legal_hold_reason
-- null: :former_transcript_days, :former_recording_days, :former_event_days, :former_call_days
-- Change how long an organization keeps personal data, unless someone has changed it since it was read.
update organizations
set transcript_days = :transcript_days, recording_days = :recording_days, event_days = :event_days,
  call_days = :call_days, legal_hold = :legal_hold, legal_hold_reason = :legal_hold_reason
where id = :organization_id and legal_hold = :former_legal_hold
  and (transcript_days, recording_days, event_days, call_days) is not distinct from
    (:former_transcript_days, :former_recording_days, :former_event_days, :former_call_days)
returning id;

-- name: retaining_organizations
-- returns: list[RetainingOrganization]
-- row: An organization that removes data by age, with the credentials of its accounts.
-- List the organizations that remove data by age and have no legal hold.
select organization_id, credentials from private.retaining_organizations();

-- name: expire_calls
-- returns: int
-- Remove the next portion of transcripts, recordings or calls. Returns how many calls it has read.
select private.expire_calls(:organization_id, :kind, :limit, :now) as id;

-- name: expire_events
-- returns: int
-- null: :credential
-- Remove the next portion of event bodies. Returns how many events it has read.
select private.expire_events(:organization_id, :credential, :limit, :now) as id;
