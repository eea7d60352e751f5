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

-- name: review_queue
-- returns: list[QueuedReview]
-- row: A contact in review, with its last call.
-- null: name, reason, call_id, summary, last_outcome, :campaign_id, :after_id
-- plan: custom
-- List the contacts in review of an organization or a campaign, in the order in which they were added.
select cc.id, cc.campaign_id, m.name as campaign_name, cc.phone, k.name, cc.status_reason as reason, cc.attempts,
  cc.call_count, m.max_attempts, cc.updated_at as since, cc.last_outcome, c.id as call_id,
  c.analysis ->> 'call_summary' as summary
from campaign_contacts cc
join campaigns m on m.id = cc.campaign_id
join contacts k on k.id = cc.contact_id
left join calls c on c.campaign_contact_id = cc.id and c.attempt_number = cc.call_count
where cc.organization_id = :organization_id and cc.status = 'review'
  and (:campaign_id::uuid is null or cc.campaign_id = :campaign_id)
  and (:after_id::uuid is null or cc.id > :after_id)
order by cc.id
limit :limit;

-- name: count_waiting
-- returns: WaitingCounts
-- row: Contacts in review, and callbacks that are overdue or that a member has to give a time.
-- plan: custom
-- Count what waits for the members of an organization, at most `most` of each.
select
  (select count(*) from (
    select from campaign_contacts cc
    where cc.organization_id = :organization_id and cc.status = 'review'
    limit :most
  ) r) as in_review,
  (select count(*) from (
    (select from campaign_contacts cc
      where cc.organization_id = :organization_id and cc.callback_at < :overdue_before and cc.status = 'pending'
      limit :most)
    union all
    (select from campaign_contacts cc
      where cc.organization_id = :organization_id
        -- include: callback_requests
      limit :most)
    limit :most
  ) c) as callbacks;
