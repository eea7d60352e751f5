-- name: studio_campaign
-- A campaign of the organization, with what a page about its contacts, calls or charts says of it.
select id, organization_id, name, status, max_attempts, calling_hours::text as calling_hours, started_at, finished_at,
  created_at
from campaigns
where id = :campaign_id and organization_id = :organization_id;

-- name: studio_campaign_owner
-- The organization of a campaign.
select organization_id as id from campaigns where id = :campaign_id;

-- name: studio_campaign_contacts
-- Contacts of a campaign in the order in which they became known, after the last one of the page before; that is said
-- of both tables, for a join that merges them would read one of them from its beginning.
select cc.id, cc.contact_id, cc.phone, k.name, k.external_id, cc.zone_key, cc.status, cc.attempts, cc.call_count,
  cc.last_outcome, cc.status_reason, cc.next_attempt_at, cc.contact_id::text as place
from campaign_contacts cc join contacts k on k.id = cc.contact_id
where cc.campaign_id = :campaign_id
  and (:status::text is null or cc.status = :status)
  and (:last_outcome::text is null or cc.last_outcome = :last_outcome)
  and (:after_id::uuid is null or cc.contact_id > :after_id and k.id > :after_id)
order by cc.contact_id
limit :limit;

-- name: studio_next_contacts
-- Contacts of a campaign that wait for a call, the one that is due first before the others.
select cc.id, cc.contact_id, cc.phone, k.name, k.external_id, cc.zone_key, cc.status, cc.attempts, cc.call_count,
  cc.last_outcome, cc.status_reason, cc.next_attempt_at, cc.id::text as place
from campaign_contacts cc join contacts k on k.id = cc.contact_id
where cc.campaign_id = :campaign_id and cc.status = 'pending'
  and (:last_outcome::text is null or cc.last_outcome = :last_outcome)
  and (:after_at::timestamptz is null or (cc.next_attempt_at, cc.id) > (:after_at, :after_id::uuid))
order by cc.next_attempt_at, cc.id
limit :limit;

-- name: studio_contacts_by_phone
-- Contacts of a campaign whose number begins so, in the order of their numbers: those between two numbers.
select cc.id, cc.contact_id, k.phone, k.name, k.external_id, cc.zone_key, cc.status, cc.attempts, cc.call_count,
  cc.last_outcome, cc.status_reason, cc.next_attempt_at, k.phone as place
from contacts k join campaign_contacts cc on cc.contact_id = k.id and cc.campaign_id = :campaign_id
where k.organization_id = :organization_id and k.phone >= :first and k.phone <= :last
  and (:after::text is null or k.phone > :after)
  and (:status::text is null or cc.status = :status)
  and (:last_outcome::text is null or cc.last_outcome = :last_outcome)
order by k.phone
limit :limit;

-- name: studio_contacts_by_ending
-- Contacts of a campaign whose number ends so, by their numbers read backwards.
select cc.id, cc.contact_id, k.phone, k.name, k.external_id, cc.zone_key, cc.status, cc.attempts, cc.call_count,
  cc.last_outcome, cc.status_reason, cc.next_attempt_at, k.phone_reversed as place
from contacts k join campaign_contacts cc on cc.contact_id = k.id and cc.campaign_id = :campaign_id
where k.organization_id = :organization_id and k.phone_reversed >= :first and k.phone_reversed < :last
  and (:after::text is null or k.phone_reversed > :after)
  and (:status::text is null or cc.status = :status)
  and (:last_outcome::text is null or cc.last_outcome = :last_outcome)
order by k.phone_reversed
limit :limit;

-- name: studio_contacts_by_name
-- Contacts of a campaign whose name begins so, in any case, by name.
select cc.id, cc.contact_id, k.phone, k.name, k.external_id, cc.zone_key, cc.status, cc.attempts, cc.call_count,
  cc.last_outcome, cc.status_reason, cc.next_attempt_at, k.name_key as place
from contacts k join campaign_contacts cc on cc.contact_id = k.id and cc.campaign_id = :campaign_id
where k.organization_id = :organization_id and k.name_key >= lower(:first) and k.name_key < lower(:first) || :last
  and (:after::text is null or (k.name_key, k.id) > (:after, :after_id::uuid))
  and (:status::text is null or cc.status = :status)
  and (:last_outcome::text is null or cc.last_outcome = :last_outcome)
order by k.name_key, k.id
limit :limit;

-- name: studio_contacts_by_external_id
-- Contacts of a campaign that another system knows by this id.
select cc.id, cc.contact_id, k.phone, k.name, k.external_id, cc.zone_key, cc.status, cc.attempts, cc.call_count,
  cc.last_outcome, cc.status_reason, cc.next_attempt_at, k.id::text as place
from contacts k join campaign_contacts cc on cc.contact_id = k.id and cc.campaign_id = :campaign_id
where k.organization_id = :organization_id and k.external_id = :external_id
  and (:status::text is null or cc.status = :status)
  and (:last_outcome::text is null or cc.last_outcome = :last_outcome)
  and (:after_id::uuid is null or k.id > :after_id)
order by k.id
limit :limit;

-- name: studio_campaign_contact
-- One contact of a campaign of the organization, with the person, and whether their number may be called at all.
select cc.id, cc.organization_id, cc.campaign_id, m.name as campaign_name, m.status as campaign_status,
  m.max_attempts, m.calling_hours::text as calling_hours, cc.contact_id, cc.phone, k.name, k.email, k.company, k.notes,
  k.external_id, cc.zone_key, k.zone_source, cc.status, cc.status_reason, cc.attempts, cc.faults, cc.call_count,
  cc.last_outcome, cc.next_attempt_at, cc.variables::text as variables, cc.created_at, cc.updated_at,
  exists (select from do_not_call d where d.organization_id = cc.organization_id and d.phone = cc.phone)
    as do_not_call
from campaign_contacts cc
join contacts k on k.id = cc.contact_id
join campaigns m on m.id = cc.campaign_id
where cc.id = :campaign_contact_id and cc.campaign_id = :campaign_id and cc.organization_id = :organization_id;

-- name: studio_attempts
-- Every call of one contact of a campaign, the newest first.
select id, attempt_number, status, outcome, disconnection_reason, error, decision::text as decision, requested_at,
  placed_at, started_at, ended_at, duration_ms, cost_cents
from calls
where campaign_contact_id = :campaign_contact_id
order by attempt_number desc
limit :limit;

-- name: studio_subject_audit
-- What people and processes did to the subjects with these ids, the newest first.
select id, at, actor, action, subject_type, subject_id, details::text as details
from audit_log
where organization_id = :organization_id and subject_id = any (:subject_ids::text[])
order by id desc
limit :limit;
