-- name: list_people
-- Contacts of an organization by phone: those between two numbers, after the last one of the page before.
select id, phone, name, email, company, external_id, timezone, zone_key, zone_source, created_at, updated_at,
  phone as place
from contacts
where organization_id = :organization_id and phone >= :first and phone <= :last
  and (:after::text is null or phone > :after)
order by phone
limit :limit;

-- name: list_people_by_name
-- Contacts of an organization whose name begins so, in any case, by name.
select id, phone, name, email, company, external_id, timezone, zone_key, zone_source, created_at, updated_at,
  name_key as place
from contacts
where organization_id = :organization_id and name_key >= lower(:first) and name_key < lower(:first) || :last
  and (:after::text is null or (name_key, id) > (:after, :after_id::uuid))
order by name_key, id
limit :limit;

-- name: list_people_by_external_id
-- Contacts of an organization that another system knows by this id.
select id, phone, name, email, company, external_id, timezone, zone_key, zone_source, created_at, updated_at,
  phone as place
from contacts
where organization_id = :organization_id and external_id = :external_id and (:after::text is null or phone > :after)
order by phone
limit :limit;

-- name: show_person
-- One contact of an organization with all that is known of them.
select k.id, k.phone, k.name, k.email, k.company, k.notes, k.external_id, k.timezone, k.zone_key, k.zone_source,
  k.created_at, k.updated_at,
  exists (select from do_not_call d where d.organization_id = k.organization_id and d.phone = k.phone) as do_not_call
from contacts k
where k.id = :contact_id and k.organization_id = :organization_id;

-- name: change_person
-- What is known of a contact, unless somebody has changed it since it was looked at.
update contacts
set name = :name, email = :email, company = :company, notes = :notes, external_id = :external_id, timezone = :timezone,
  zone_key = :zone_key, zone_source = :zone_source, updated_at = :now
where id = :contact_id and organization_id = :organization_id and updated_at = :seen_at
returning id;

-- name: person_campaigns
-- The campaigns that a contact is in, the newest first.
select cc.id, cc.campaign_id, c.name as campaign_name, c.status as campaign_status, cc.status, cc.attempts,
  cc.last_outcome, cc.status_reason, cc.next_attempt_at
from campaign_contacts cc join campaigns c on c.id = cc.campaign_id
where cc.contact_id = :contact_id
order by cc.created_at desc, cc.id desc
limit :limit;

-- name: person_calls
-- The calls to a number of an organization, the newest first.
select c.id, c.campaign_id, m.name as campaign_name, c.attempt_number, c.status, c.outcome, c.requested_at, c.ended_at,
  c.duration_ms
from calls c join campaigns m on m.id = c.campaign_id
where c.organization_id = :organization_id and c.phone = :phone
order by c.requested_at desc
limit :limit;

-- name: list_do_not_call
-- Numbers that nobody may call, by number: those between two numbers, after the last one of the page before.
select phone, source, reason, created_at from do_not_call
where organization_id = :organization_id and phone >= :first and phone <= :last
  and (:after::text is null or phone > :after)
order by phone
limit :limit;
