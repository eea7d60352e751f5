-- name: find_campaigns
-- Campaigns by id, by the beginning of one, or by their whole name; the newest first, a few at most.
select id, organization_id, name, status
from campaigns
where starts_with(id::text, lower(:given)) or name = :given
order by created_at desc, id desc
limit 10;

-- name: last_event_id
-- The newest event of the ledger, for a range without an end.
select coalesce(max(id), 0) as id from webhook_events;
