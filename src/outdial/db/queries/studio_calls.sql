-- name: studio_calls
-- Calls of an organization, the newest first, before the last one of the page before.
select c.id, c.campaign_id, m.name as campaign_name, c.campaign_contact_id, c.phone, k.name, c.attempt_number, c.status,
  c.outcome, c.disconnection_reason, c.created_at, c.started_at, c.ended_at, c.duration_ms, c.cost_cents,
  c.transcript is not null as has_transcript, c.recording_url is not null as has_recording
from calls c
join campaigns m on m.id = c.campaign_id
join contacts k on k.id = c.contact_id
where c.organization_id = :organization_id
  and (:campaign_id::uuid is null or c.campaign_id = :campaign_id)
  and (:status::text is null or c.status = :status)
  and (:outcome::text is null or c.outcome = :outcome)
  and (:since::timestamptz is null or c.created_at >= :since)
  and (:until::timestamptz is null or c.created_at < :until)
  and (:first_phone::text is null or c.phone >= :first_phone and c.phone <= :last_phone)
  and (:before_at::timestamptz is null or (c.created_at, c.id) < (:before_at, :before_id::uuid))
order by c.created_at desc, c.id desc
limit :limit;

-- name: studio_call
-- One call of the organization with all that is known of it.
select c.id, c.organization_id, c.campaign_id, m.name as campaign_name, c.campaign_contact_id, c.contact_id, k.name,
  c.phone, c.from_number, cc.zone_key, c.attempt_number, c.status, c.outcome, c.disconnection_reason, c.error,
  c.retell_call_id, c.requests, c.decision::text as decision, c.requested_at, c.placed_at, c.started_at, c.ended_at,
  c.duration_ms, c.cost_cents, c.transcript, c.recording_url, c.public_log_url, c.analysis::text as analysis,
  c.created_at, c.updated_at
from calls c
join campaigns m on m.id = c.campaign_id
join campaign_contacts cc on cc.id = c.campaign_contact_id
join contacts k on k.id = c.contact_id
where c.id = :call_id and c.organization_id = :organization_id;

-- name: studio_call_events
-- The ledger of one call in the order of arrival, each body up to a size.
select id, source, event, status, received_at, applied_at, error, tries, repeats, octet_length(body) as size,
  substring(body for :most_bytes::integer) as body
from webhook_events
where call_id = :call_id and organization_id = :organization_id
order by id
limit :limit;
