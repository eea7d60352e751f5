-- What an evidence pack is about, its contacts and calls: read in portions, in an order that two readings share.

-- name: find_evidence_call
-- returns: EvidenceCall | None
-- row: Where a call belongs.
-- Find the call that a pack is about.
select organization_id, campaign_id, campaign_contact_id, contact_id, phone from calls where id = :call_id;

-- name: find_evidence_campaign
-- returns: EvidenceCampaign | None
-- row: Where a campaign belongs.
-- Find the campaign that a pack is about.
select organization_id, name from campaigns where id = :campaign_id;

-- name: evidence_versions
-- returns: EvidenceVersions
-- row: The organization, and the version of the database that keeps the rows.
-- Read what a pack says about its origin.
select o.name as organization, current_setting('server_version') as postgres
from organizations o where o.id = :organization_id;

-- name: campaigns_of_phone
-- returns: list[UUID]
-- List the campaigns that a phone is in or was called for.
select u.id from (
  select c.campaign_id as id from calls c where c.organization_id = :organization_id and c.phone = :phone
  union
  select cc.campaign_id from contacts k join campaign_contacts cc on cc.contact_id = k.id
  where k.organization_id = :organization_id and k.phone = :phone
) u
order by u.id;

-- name: evidence_campaigns
-- returns: list[PackedCampaign]
-- row: The settings of a campaign. Calling hours and retry policy are JSON text.
-- null: scheduled_at, started_at, finished_at
-- List campaigns with the settings that decide about calls.
select id, name, status, purpose, consent_required, lists_required, retell_agent_id, from_number, max_attempts,
  calling_hours::text as calling_hours, retry_policy::text as retry_policy, scheduled_at, started_at,
  finished_at, created_at, updated_at
from campaigns where organization_id = :organization_id and id = any (:ids::uuid[]) order by id;

-- name: count_evidence_contacts
-- returns: int
-- Count the contacts of a campaign.
select count(*) as contacts from campaign_contacts
where organization_id = :organization_id and campaign_id = :campaign_id;

-- name: campaign_evidence_contacts
-- returns: list[PackedContact]
-- row: A contact, with what decides where it may be.
-- null: name, external_id, timezone, country, region, postal_code, erased_at, :after_id
-- List a portion of the contacts of a campaign.
select k.id, k.phone, k.name, k.external_id, k.timezone, k.country, k.region, k.postal_code, k.zone_key, k.zone_source,
  k.jurisdiction_key, k.created_at, k.updated_at, k.erased_at
from campaign_contacts cc join contacts k on k.id = cc.contact_id
where cc.organization_id = :organization_id and cc.campaign_id = :campaign_id
  and (:after_id::uuid is null or cc.contact_id > :after_id)
order by cc.contact_id
limit :limit;

-- name: evidence_contacts
-- returns: list[PackedContact]
-- null: name, external_id, timezone, country, region, postal_code, erased_at, :contact_id
-- List the contact with this id, or the one that has this phone.
select k.id, k.phone, k.name, k.external_id, k.timezone, k.country, k.region, k.postal_code, k.zone_key, k.zone_source,
  k.jurisdiction_key, k.created_at, k.updated_at, k.erased_at
from contacts k
where k.organization_id = :organization_id
  and (k.id = :contact_id::uuid or :contact_id::uuid is null and k.phone = :phone)
order by k.id;

-- name: evidence_memberships
-- returns: list[PackedMembership]
-- row: A contact in a campaign: its status and why.
-- null: status_reason, last_outcome, decision, decision_note, decided_by, decided_at, import_id, :campaign_id
-- List what became of contacts in one campaign, or in all.
select id, campaign_id, contact_id, status, status_reason, attempts, faults, last_outcome, next_attempt_at, decision,
  decision_note, decided_by, decided_at, import_id, created_at, updated_at
from campaign_contacts
where organization_id = :organization_id and contact_id = any (:contact_ids::uuid[])
  and (:campaign_id::uuid is null or campaign_id = :campaign_id)
order by contact_id, campaign_id;

-- name: evidence_attempts
-- returns: list[PackedAttempt]
-- row: An attempt: a call with the decision that allowed it, as JSON text.
-- null: outcome, disconnection_reason, error, retell_call_id, placed_at, started_at, ended_at, duration_ms, erased_at
-- null: transcript_removed_at, recording_removed_at, cleared_at, hook_result
-- List the calls of contacts in campaigns.
select id, campaign_id, campaign_contact_id, contact_id, phone, from_number, attempt_number, status, outcome,
  disconnection_reason, error, retell_call_id, requests, requested_at, placed_at, started_at, ended_at, duration_ms,
  decision::text as decision, needs_clearance, cleared_at, hook_result::text as hook_result, erased_at,
  transcript_removed_at, recording_removed_at, created_at
from calls
where organization_id = :organization_id and campaign_contact_id = any (:campaign_contact_ids::uuid[])
order by campaign_contact_id, attempt_number;

-- name: attempts_without_contact
-- returns: list[PackedAttempt]
-- null: outcome, disconnection_reason, error, retell_call_id, placed_at, started_at, ended_at, duration_ms, erased_at
-- null: transcript_removed_at, recording_removed_at, cleared_at, hook_result
-- List the calls to a phone whose contact is not in the organization.
select id, campaign_id, campaign_contact_id, contact_id, phone, from_number, attempt_number, status, outcome,
  disconnection_reason, error, retell_call_id, requests, requested_at, placed_at, started_at, ended_at, duration_ms,
  decision::text as decision, needs_clearance, cleared_at, hook_result::text as hook_result, erased_at,
  transcript_removed_at, recording_removed_at, created_at
from calls
where organization_id = :organization_id and phone = :phone
order by campaign_contact_id, attempt_number;

-- name: evidence_deletions
-- returns: list[PackedDeletion]
-- row: The deletion of an erased call at Retell: when it was confirmed, and by which member if not by Retell.
-- null: call_id, retell_call_id, confirmed_at, confirmed_by, out_of_reach_at, out_of_reach_reason, workspace_name
-- List the deletions of calls at Retell.
select call_id, retell_call_id, confirmed_at, confirmed_by, out_of_reach_at, out_of_reach_reason, workspace_name
from erasure_calls
where organization_id = :organization_id and call_id = any (:call_ids::uuid[])
order by call_id, retell_call_id, id;

-- name: evidence_events
-- returns: list[PackedEvent]
-- row: A stored event of Retell, with the SHA-256 of its body as it was received.
-- null: call_id, applied_at, error, body_removed_at
-- List the events of calls.
select id, call_id, source, event, status, received_at, applied_at, error, repeats,
  encode(body_sha256, 'hex') as body_sha256, body_removed_at
from webhook_events
where organization_id = :organization_id and call_id = any (:call_ids::uuid[])
order by call_id, id;
