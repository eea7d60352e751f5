-- Contacts in review, and the decisions of members about them.

-- name: find_campaign_contact
-- returns: UUID | None
-- Return the contact of a campaign that has a phone.
select cc.id
from campaigns m
join contacts k on k.organization_id = m.organization_id and k.phone = :phone
join campaign_contacts cc on cc.campaign_id = m.id and cc.contact_id = k.id
where m.id = :campaign_id;

-- name: reviewed_contact
-- returns: ReviewedContact | None
-- row: A contact of a campaign, with what a decision about it depends on.
-- Read a contact of a campaign, with what a decision about it depends on.
select cc.id, cc.organization_id, cc.phone, cc.status, cc.attempts, m.status as campaign_status, m.max_attempts,
  exists (select from do_not_call d where d.organization_id = cc.organization_id and d.phone = cc.phone
    and d.purpose in ('any', m.purpose)) as do_not_call
from campaign_contacts cc join campaigns m on m.id = cc.campaign_id
where cc.id = :campaign_contact_id and cc.campaign_id = :campaign_id;

-- name: decide_review
-- returns: UUID | None
-- null: :note
-- Decide a contact in review. Returns None when it is not in review any more, or when its campaign cannot call it again.
select private.decide_review(
  :organization_id, :campaign_contact_id, :decision, :note, :decided_by, :reason, :call_at, :now
) as id;
