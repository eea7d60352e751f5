-- The keys of contacts, and those that an older version computed.

-- name: set_contact_keys!
-- Set the keys of contacts, as computed from the columns that they have now.
update contacts k
set zone_key = u.zone_key, zone_source = u.zone_source, jurisdiction_key = u.jurisdiction_key,
  keys_version = :keys_version
from unnest(:ids::uuid[], :zone_keys::text[], :zone_sources::text[], :jurisdiction_keys::text[])
  as u (id, zone_key, zone_source, jurisdiction_key)
where k.id = u.id;

-- name: organizations_with_old_keys
-- returns: list[UUID]
-- List the organizations with contacts whose keys are of an older version.
select private.organizations_with_old_keys(:keys_version) as id;

-- name: lock_contacts_with_old_keys
-- returns: list[OldKeys]
-- row: A contact whose keys are of an older version, with the columns that state its place.
-- null: timezone, country, region, postal_code
-- Lock contacts of an organization whose keys are of an older version. Contacts that are being changed are left out. The
-- lock does not keep calls from being inserted.
select id, phone, timezone, country, region, postal_code, zone_key
from contacts
where organization_id = :organization_id and keys_version < :keys_version
order by keys_version
limit :limit
for no key update skip locked;

-- name: count_old_keys
-- returns: int
-- Count the contacts of an organization whose keys are of an older version.
select count(*) as contacts from contacts where organization_id = :organization_id and keys_version < :keys_version;
