-- Contacts that enter a campaign, and their variables.

-- name: add_campaign_contacts
-- returns: list[AddedContact]
-- null: :import_id
-- row: A contact that is new in a campaign, with its id there.
-- Add contacts to a campaign, in the order of their ids, as copy_contacts does. Returns those that are new in it.
insert into campaign_contacts (id, organization_id, campaign_id, contact_id, phone, zone_key, jurisdiction_key,
  next_attempt_at, rank, variables, import_id, created_at, updated_at)
select u.id, :organization_id, :campaign_id, u.contact_id, u.phone, u.zone_key, u.jurisdiction_key, u.next_attempt_at,
  u.rank, u.variables::jsonb, :import_id, :now, :now
from unnest(:ids::uuid[], :contact_ids::uuid[], :phones::text[], :zone_keys::text[], :jurisdiction_keys::text[],
  :next_attempt_ats::timestamptz[], :ranks::smallint[], :variables::text[])
  as u (id, contact_id, phone, zone_key, jurisdiction_key, next_attempt_at, rank, variables)
order by u.contact_id
on conflict (campaign_id, contact_id) do nothing
returning id, contact_id;

-- name: refresh_variables!
-- Merge imported variables into pending contacts. Values of the file win, and those that it leaves empty stay.
update campaign_contacts cc
set variables = cc.variables || u.variables::jsonb, updated_at = :now
from unnest(:contact_ids::uuid[], :variables::text[]) as u (contact_id, variables)
where cc.contact_id = u.contact_id and cc.variables || u.variables::jsonb <> cc.variables and cc.id in (
  select id from campaign_contacts
  where campaign_id = :campaign_id and contact_id = any (:contact_ids::uuid[]) and status = 'pending'
  order by id
  for update
);

-- name: variable_names
-- returns: list[str]
-- List the names of the variables of a thousand contacts of a campaign.
select distinct key as id
from (select cc.variables from campaign_contacts cc where cc.campaign_id = :campaign_id limit 1000) c,
  jsonb_object_keys(c.variables) as key
order by key;
