-- Contacts of a campaign that are added, changed, skipped and retried one by one.

-- name: lock_entries
-- returns: list[UUID]
-- Lock known contacts in the order of their phones, and then their rows in a campaign in the order of ids. An addition
-- changes them in several statements, which one by one would lock them in another order than bulk jobs and events do.
with known as materialized (
  select id from contacts
  where organization_id = :organization_id and phone = any (:phones::text[])
  order by phone collate "C" for no key update
)
select cc.id from campaign_contacts cc
where cc.campaign_id = :campaign_id and cc.contact_id in (select k.id from known k)
  and cc.status in ('pending', 'completed', 'failed', 'skipped')
order by cc.id for no key update;

-- name: reenter_contacts
-- returns: list[ReenteredContact]
-- row: A contact that is pending again, with its id in the campaign.
-- Make finished contacts of a campaign pending again, if its reentry_after has passed. Returns those that are pending now.
-- Needs lock_campaign_for_import.
select r.id, r.contact_id
from private.reenter_contacts(
  :organization_id, :campaign_id, :contact_ids::uuid[], :variables::text[], :ranks::smallint[],
  :next_attempt_ats::timestamptz[], :now
) as r;

-- name: entries_of_phones
-- returns: list[CampaignEntry]
-- row: A contact of a campaign by its phone.
-- List the contacts of a campaign that have these phones.
select cc.id, k.phone, cc.status
from contacts k join campaign_contacts cc on cc.contact_id = k.id and cc.campaign_id = :campaign_id
where k.organization_id = :organization_id and k.phone = any (:phones::text[]);

-- name: retry_contacts
-- returns: list[UUID]
-- Make finished contacts pending again, with all attempts left. Returns those that are pending now.
select private.retry_contacts(:organization_id, :ids::uuid[], :call_at, :reason, :now) as id;

-- name: skip_contacts_by_hand
-- returns: list[UUID]
-- Skip pending contacts. Returns those that are skipped now.
select private.skip_contacts_by_hand(:organization_id, :ids::uuid[], :reason, :now) as id;

-- name: change_pending_contact
-- returns: UUID | None
-- null: :next_attempt_at, :rank
-- Change a pending contact. A null keeps the time or the rank. Variables are merged; those with the value null go.
select private.change_pending_contact(
  :organization_id, :campaign_contact_id, :next_attempt_at, :rank::smallint, :variables, :now
) as id;
