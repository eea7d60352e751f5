-- Contacts of organizations.

-- name: upsert_contacts
-- returns: list[UpsertedContact]
-- null: timezone, country, region, postal_code, :import_id
-- Insert or update contacts by phone, from a JSON array of objects with the columns of `u`. Values of the file win,
-- and those that it leaves empty stay. If the file says nothing about a place that is known, the keys stay too.
insert into contacts (id, organization_id, phone, name, email, company, notes, external_id, timezone, country, region,
  postal_code, zone_key, zone_source, jurisdiction_key, keys_version, import_id, created_at, updated_at)
select u.id, :organization_id, u.phone, u.name, u.email, u.company, u.notes, u.external_id, u.timezone, u.country,
  u.region, u.postal_code, u.zone_key, u.zone_source, u.jurisdiction_key, :keys_version, :import_id, :now, :now
from jsonb_to_recordset(:contacts::text::jsonb) as u (id uuid, phone text, name text, email text, company text,
  notes text, external_id text, timezone text, country text, region text, postal_code text, zone_key text,
  zone_source text, jurisdiction_key text)
on conflict (organization_id, phone) do update
set name = coalesce(excluded.name, contacts.name), email = coalesce(excluded.email, contacts.email),
  company = coalesce(excluded.company, contacts.company), notes = coalesce(excluded.notes, contacts.notes),
  external_id = coalesce(excluded.external_id, contacts.external_id),
  timezone = coalesce(excluded.timezone, contacts.timezone),
  country = coalesce(excluded.country, contacts.country), region = coalesce(excluded.region, contacts.region),
  postal_code = coalesce(excluded.postal_code, contacts.postal_code),
  (zone_key, zone_source, jurisdiction_key, keys_version) = (
    select case when s.stays then contacts.zone_key else excluded.zone_key end,
      case when s.stays then contacts.zone_source else excluded.zone_source end,
      case when s.stays then contacts.jurisdiction_key else excluded.jurisdiction_key end,
      case when s.stays then contacts.keys_version else excluded.keys_version end
    from (
      select coalesce(excluded.timezone, excluded.country, excluded.region, excluded.postal_code) is null
        and coalesce(contacts.timezone, contacts.country, contacts.region, contacts.postal_code) is not null as stays
    ) s
  ),
  updated_at = excluded.updated_at
returning id, phone, timezone, country, region, postal_code, zone_key, jurisdiction_key, keys_version;

-- name: list_contacts
-- returns: list[ContactRow]
-- row: A contact in a list. `place` is its position in the order of that list.
-- null: name, email, company, external_id, timezone, :after
-- plan: custom
-- List contacts of an organization whose phone is between two numbers, ordered by phone.
select id, phone, name, email, company, external_id, timezone, zone_key, zone_source, created_at, updated_at,
  phone as place
from contacts
where organization_id = :organization_id and erased_at is null and phone >= :first and phone <= :last
  and (:after::text is null or phone > :after)
order by phone
limit :limit;

-- name: list_contacts_by_name
-- returns: list[ContactRow]
-- null: name, email, company, external_id, timezone, :after, :after_id
-- plan: custom
-- List contacts of an organization whose name has a prefix, ignoring case, ordered by name.
select id, phone, name, email, company, external_id, timezone, zone_key, zone_source, created_at, updated_at,
  name_key as place
from contacts
where organization_id = :organization_id and name_key >= lower(:first) and name_key < lower(:first) || :last
  and (:after::text is null or (name_key, id) > (:after, :after_id::uuid))
order by name_key, id
limit :limit;

-- name: search_contacts
-- returns: list[ContactRow]
-- null: name, email, company, external_id, timezone, :digits, :after
-- plan: custom
-- List contacts that have each of some words (patterns for `like`) in any of their columns, ordered by phone.
select id, phone, name, email, company, external_id, timezone, zone_key, zone_source, created_at, updated_at,
  phone as place
from contacts
where organization_id = :organization_id and erased_at is null
  and id = any (array(
    select private.search_contacts(:organization_id, :words, :digits, null, null, null, null, null, :after, :limit)))
order by phone;

-- name: matching_contacts
-- returns: list[UUID]
-- null: :digits
-- Return the ids of contacts that have each of some words. See search_contacts.
select private.search_contacts(:organization_id, :words, :digits, null, null, null, null, null, null, :limit) as id;

-- name: list_contacts_by_external_id
-- returns: list[ContactRow]
-- null: name, email, company, external_id, timezone, :after
-- plan: custom
-- List contacts of an organization with an external id.
select id, phone, name, email, company, external_id, timezone, zone_key, zone_source, created_at, updated_at,
  phone as place
from contacts
where organization_id = :organization_id and external_id = :external_id and (:after::text is null or phone > :after)
order by phone
limit :limit;

-- name: contact_phone
-- returns: str | None
-- Return the phone of a contact of an organization.
select phone as id from contacts where id = :contact_id and organization_id = :organization_id;

-- name: show_contact
-- returns: ContactDetail | None
-- null: name, email, company, notes, external_id, timezone, country, region, postal_code
-- Read a contact of an organization, and the purposes that its phone is on the do-not-call list for.
select k.id, k.phone, k.name, k.email, k.company, k.notes, k.external_id, k.timezone, k.country, k.region,
  k.postal_code, k.zone_key, k.zone_source, k.jurisdiction_key, k.created_at, k.updated_at,
  array(select d.purpose from do_not_call d where d.organization_id = k.organization_id and d.phone = k.phone
    order by d.purpose) as opted_out_of
from contacts k
where k.id = :contact_id and k.organization_id = :organization_id;

-- name: change_contact
-- returns: UUID | None
-- null: :name, :email, :company, :notes, :external_id, :timezone, :country, :region, :postal_code
-- Change a contact, unless someone has changed it since `seen_at`.
update contacts
set name = :name, email = :email, company = :company, notes = :notes, external_id = :external_id, timezone = :timezone,
  country = :country, region = :region, postal_code = :postal_code, zone_key = :zone_key, zone_source = :zone_source,
  jurisdiction_key = :jurisdiction_key, keys_version = :keys_version, updated_at = :now
where id = :contact_id and organization_id = :organization_id and updated_at = :seen_at and erased_at is null
returning id;

-- name: contact_campaigns
-- returns: list[ContactCampaignRow]
-- row: A contact's entry in a campaign; `id` is the campaign contact's id. Calling hours are JSON text.
-- null: last_outcome, status_reason, scheduled_at
-- List the campaigns of a contact, newest first.
select cc.id, cc.campaign_id, c.name as campaign_name, c.status as campaign_status, c.scheduled_at,
  c.calling_hours::text as calling_hours, c.purpose, cc.zone_key, cc.jurisdiction_key, cc.status, cc.attempts,
  cc.last_outcome, cc.status_reason, cc.next_attempt_at
from campaign_contacts cc join campaigns c on c.id = cc.campaign_id
where cc.contact_id = :contact_id
order by cc.created_at desc, cc.id desc
limit :limit;

-- name: contact_calls
-- returns: list[ContactCallSummary]
-- row: A call to a contact.
-- null: outcome, ended_at, duration_ms
-- List the calls to a phone of an organization, newest first.
select c.id, c.campaign_id, m.name as campaign_name, c.attempt_number, c.status, c.outcome, c.requested_at, c.ended_at,
  c.duration_ms
from calls c join campaigns m on m.id = c.campaign_id
where c.organization_id = :organization_id and c.phone = :phone
order by c.requested_at desc
limit :limit;

-- name: export_contacts
-- returns: AsyncIterator[ExportedContact]
-- row: A contact in the columns of an export.
-- null: name, email, company, notes, external_id, timezone, country, region, postal_code, consent, consent_scope,
-- null: consent_source, consent_text, consent_url, consent_at, :campaign_id, :status, :last_outcome, :contact_ids
-- null: :first_phone, :last_phone, :name, :external_id, :words, :digits
-- plan: custom
-- Stream the chosen contacts of an organization or a campaign, ordered by phone, with the strongest consent that is not
-- revoked. The status and the last outcome are those in the campaign.
select k.phone, k.name, k.email, k.company, k.notes, k.external_id, k.timezone, k.country, k.region,
  k.postal_code, k.zone_key, k.jurisdiction_key,
  c.basis as consent, c.scope as consent_scope, c.source as consent_source, c.text as consent_text,
  c.url as consent_url, c.given_at as consent_at, k.created_at
from contacts k
left join lateral (
  select g.basis, g.scope, g.source, g.text, g.url, g.given_at from consents g
  where g.organization_id = k.organization_id and g.phone = k.phone and g.revoked_at is null and g.basis <> 'none'
  order by array_position(array['written', 'express', 'existing_business'], g.basis), g.given_at desc
  limit 1
) c on true
where k.organization_id = :organization_id
  -- include: chosen_contacts
  -- include: words_of_contacts
  and (:campaign_id::uuid is null or exists (
    select from campaign_contacts cc
    where cc.campaign_id = :campaign_id and cc.contact_id = k.id and (:status::text is null or cc.status = :status)
      and (:last_outcome::text is null or cc.last_outcome = :last_outcome)))
order by k.phone;
