-- Contacts of campaigns.

-- name: has_contacts
-- returns: bool
-- Return whether a campaign has contacts.
select exists (select from campaign_contacts cc where cc.campaign_id = :campaign_id) as id;

-- name: list_campaign_contacts
-- returns: list[CampaignContactRow]
-- row: A contact of a campaign in a list. `place` is its position in the order of that list.
-- null: name, external_id, last_outcome, status_reason, :status, :last_outcome, :reached, :after_id
-- plan: custom
-- List contacts of a campaign by contact id, which is the order of creation. The cursor is applied to both tables: a
-- merge join would read one of them from its beginning otherwise.
select cc.id, cc.contact_id, cc.phone, k.name, k.external_id, cc.zone_key, cc.jurisdiction_key, cc.status, cc.attempts,
  cc.call_count, cc.last_outcome, cc.status_reason, cc.next_attempt_at, cc.contact_id::text as place
from campaign_contacts cc join contacts k on k.id = cc.contact_id
where cc.campaign_id = :campaign_id
  and (:status::text is null or cc.status = :status)
  and (:last_outcome::text is null or cc.last_outcome = :last_outcome)
  -- include: reached_contacts
  and (:after_id::uuid is null or cc.contact_id > :after_id and k.id > :after_id)
order by cc.contact_id
limit :limit;

-- name: list_pending_contacts
-- returns: list[CampaignContactRow]
-- null: name, external_id, last_outcome, status_reason, :last_outcome, :reached, :after_at, :after_id
-- plan: custom
-- List pending contacts of a campaign, the one due first on top.
select cc.id, cc.contact_id, cc.phone, k.name, k.external_id, cc.zone_key, cc.jurisdiction_key, cc.status, cc.attempts,
  cc.call_count, cc.last_outcome, cc.status_reason, cc.next_attempt_at, cc.id::text as place
from campaign_contacts cc join contacts k on k.id = cc.contact_id
where cc.campaign_id = :campaign_id and cc.status = 'pending'
  and (:last_outcome::text is null or cc.last_outcome = :last_outcome)
  -- include: reached_contacts
  and (:after_at::timestamptz is null or (cc.next_attempt_at, cc.id) > (:after_at, :after_id::uuid))
order by cc.next_attempt_at, cc.id
limit :limit;

-- name: list_by_phone
-- returns: list[CampaignContactRow]
-- null: name, external_id, last_outcome, status_reason, :after, :status, :last_outcome, :reached
-- plan: custom
-- List contacts of a campaign whose phone is between two numbers, ordered by phone.
select cc.id, cc.contact_id, k.phone, k.name, k.external_id, cc.zone_key, cc.jurisdiction_key, cc.status, cc.attempts,
  cc.call_count, cc.last_outcome, cc.status_reason, cc.next_attempt_at, k.phone as place
from contacts k join campaign_contacts cc on cc.contact_id = k.id and cc.campaign_id = :campaign_id
where k.organization_id = :organization_id and k.phone >= :first and k.phone <= :last
  and (:after::text is null or k.phone > :after)
  and (:status::text is null or cc.status = :status)
  and (:last_outcome::text is null or cc.last_outcome = :last_outcome)
  -- include: reached_contacts
order by k.phone
limit :limit;

-- name: list_by_phone_ending
-- returns: list[CampaignContactRow]
-- null: name, external_id, last_outcome, status_reason, :after, :status, :last_outcome, :reached
-- plan: custom
-- List contacts of a campaign by the end of their phone, ordered by the reversed phone.
select cc.id, cc.contact_id, k.phone, k.name, k.external_id, cc.zone_key, cc.jurisdiction_key, cc.status, cc.attempts,
  cc.call_count, cc.last_outcome, cc.status_reason, cc.next_attempt_at, k.phone_reversed as place
from contacts k join campaign_contacts cc on cc.contact_id = k.id and cc.campaign_id = :campaign_id
where k.organization_id = :organization_id and k.phone_reversed >= :first and k.phone_reversed < :last
  and (:after::text is null or k.phone_reversed > :after)
  and (:status::text is null or cc.status = :status)
  and (:last_outcome::text is null or cc.last_outcome = :last_outcome)
  -- include: reached_contacts
order by k.phone_reversed
limit :limit;

-- name: list_by_name
-- returns: list[CampaignContactRow]
-- null: name, external_id, last_outcome, status_reason, :after, :status, :last_outcome, :reached, :after_id
-- plan: custom
-- List contacts of a campaign whose name has a prefix, ignoring case, ordered by name.
select cc.id, cc.contact_id, k.phone, k.name, k.external_id, cc.zone_key, cc.jurisdiction_key, cc.status, cc.attempts,
  cc.call_count, cc.last_outcome, cc.status_reason, cc.next_attempt_at, k.name_key as place
from contacts k join campaign_contacts cc on cc.contact_id = k.id and cc.campaign_id = :campaign_id
where k.organization_id = :organization_id and k.name_key >= lower(:first) and k.name_key < lower(:first) || :last
  and (:after::text is null or (k.name_key, k.id) > (:after, :after_id::uuid))
  and (:status::text is null or cc.status = :status)
  and (:last_outcome::text is null or cc.last_outcome = :last_outcome)
  -- include: reached_contacts
order by k.name_key, k.id
limit :limit;

-- name: list_by_words
-- returns: list[CampaignContactRow]
-- null: name, external_id, last_outcome, status_reason, :digits, :status, :last_outcome, :reached, :after
-- plan: custom
-- List contacts of a campaign that have each of some words in any of the contact's columns, ordered by phone. See
-- search_contacts.
select cc.id, cc.contact_id, k.phone, k.name, k.external_id, cc.zone_key, cc.jurisdiction_key, cc.status, cc.attempts,
  cc.call_count, cc.last_outcome, cc.status_reason, cc.next_attempt_at, k.phone as place
from contacts k join campaign_contacts cc on cc.contact_id = k.id and cc.campaign_id = :campaign_id
where k.organization_id = :organization_id
  and k.id = any (array(select private.search_contacts(
    :organization_id, :words, :digits, :campaign_id, :status, :last_outcome, :reached,
    :reached_outcomes, :after, :limit)))
order by k.phone;

-- name: list_by_external_id
-- returns: list[CampaignContactRow]
-- null: name, external_id, last_outcome, status_reason, :status, :last_outcome, :reached, :after_id
-- plan: custom
-- List contacts of a campaign with an external id.
select cc.id, cc.contact_id, k.phone, k.name, k.external_id, cc.zone_key, cc.jurisdiction_key, cc.status, cc.attempts,
  cc.call_count, cc.last_outcome, cc.status_reason, cc.next_attempt_at, k.id::text as place
from contacts k join campaign_contacts cc on cc.contact_id = k.id and cc.campaign_id = :campaign_id
where k.organization_id = :organization_id and k.external_id = :external_id
  and (:status::text is null or cc.status = :status)
  and (:last_outcome::text is null or cc.last_outcome = :last_outcome)
  -- include: reached_contacts
  and (:after_id::uuid is null or k.id > :after_id)
order by k.id
limit :limit;

-- name: show_campaign_contact
-- returns: CampaignContactDetail | None
-- row: A contact of a campaign with its details. Calling hours and variables are JSON text.
-- null: name, notes, external_id, status_reason, last_outcome, decision, decision_note, decided_by
-- null: decided_at, voicemail_left_at, callback_at
-- Read a contact of a campaign with the contact's details, and whether its phone is on the do-not-call list.
select cc.id, cc.organization_id, cc.campaign_id, m.name as campaign_name, m.status as campaign_status,
  m.max_attempts, m.calling_hours::text as calling_hours, m.purpose, cc.contact_id, cc.phone, k.name, k.notes,
  k.external_id, cc.zone_key, cc.jurisdiction_key, k.zone_source, cc.status, cc.status_reason, cc.attempts, cc.faults,
  cc.call_count, cc.last_outcome, cc.next_attempt_at, cc.variables::text as variables, cc.created_at, cc.updated_at,
  cc.decision, cc.decision_note, cc.decided_by, cc.decided_at, cc.voicemail_left_at, cc.callback_at,
  exists (select from do_not_call d where d.organization_id = cc.organization_id and d.phone = cc.phone
    and d.purpose in ('any', m.purpose)) as do_not_call
from campaign_contacts cc
join contacts k on k.id = cc.contact_id
join campaigns m on m.id = cc.campaign_id
where cc.id = :campaign_contact_id and cc.campaign_id = :campaign_id and cc.organization_id = :organization_id;

-- name: lock_contacts_of_calls
-- returns: list[UUID]
-- Lock the contacts of calls in the order of their ids. Needs lock_calls.
select cc.id from campaign_contacts cc
where cc.id in (select c.campaign_contact_id from calls c where c.id = any (:ids::uuid[]))
order by cc.id for update;
