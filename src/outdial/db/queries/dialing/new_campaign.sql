-- Contacts of a campaign that a new campaign calls.

-- name: contacts_to_copy
-- returns: list[ContactToCopy]
-- row: A selected contact, and whether the campaign is done with it.
-- null: :status, :last_outcome, :reached, :first_phone, :last_phone, :first_ending, :last_ending, :name
-- null: :external_id, :words, :contact_ids, :digits
-- plan: custom
-- List the selected contacts of a campaign, without erased ones.
select cc.contact_id as id, cc.status in ('completed', 'failed', 'skipped', 'cancelled') as is_final
from campaign_contacts cc
join contacts k on k.id = cc.contact_id
where cc.organization_id = :organization_id and cc.campaign_id = :campaign_id and k.erased_at is null
  -- include: selected_contacts
order by cc.contact_id
limit :limit;

-- name: copy_contacts
-- returns: list[UUID]
-- Add contacts of a campaign to another one, with their variables, their priority and their present place, in the order
-- of their ids. Returns those that are added.
insert into campaign_contacts (id, organization_id, campaign_id, contact_id, phone, zone_key, jurisdiction_key,
  next_attempt_at, rank, variables, created_at, updated_at)
select u.id, cc.organization_id, :copy_id, cc.contact_id, k.phone, k.zone_key, k.jurisdiction_key, :now,
  coalesce(cc.usual_rank, cc.rank), cc.variables, :now, :now
from unnest(:ids::uuid[], :contact_ids::uuid[]) as u (id, contact_id)
join campaign_contacts cc on cc.campaign_id = :campaign_id and cc.contact_id = u.contact_id
join contacts k on k.id = cc.contact_id
where k.erased_at is null
order by cc.contact_id
on conflict (campaign_id, contact_id) do nothing
returning contact_id as id;
