-- The ledger of webhook events as the inbox shows it.

-- name: list_events
-- returns: list[EventRow]
-- row: An event of the ledger without its body.
-- null: organization_id, call_id, applied_at, error, :before_id, :status, :event, :organization_id
-- plan: custom
-- List events, newest first, before an id. Postgres plans each call anew, because the index to use depends on the
-- filters.
select id, organization_id, call_id, source, credential, retell_call_id, event, status, received_at, applied_at,
  tries, error, repeats, octet_length(body) as bytes
from webhook_events
where id < coalesce(:before_id::bigint, 9223372036854775807)
  and (:status::text is null or status = :status)
  and (:event::text is null or event = :event)
  and (:organization_id::uuid is null or organization_id = :organization_id)
order by id desc
limit :limit;

-- name: list_organization_events
-- returns: list[EventRow]
-- null: organization_id, call_id, applied_at, error, :before_id, :status, :event, :source, :retell_call_id,
-- null: :call_id, :since, :until
-- plan: custom
-- List events of an organization, and unmatched ones that its account's key signed, newest first.
select e.id, e.organization_id, e.call_id, e.source, e.credential, e.retell_call_id, e.event, e.status, e.received_at,
  e.applied_at, e.tries, e.error, e.repeats, octet_length(e.body) as bytes
from webhook_events e
where (e.organization_id = :organization_id
    or e.organization_id is null and e.credential in (
      select a.credential from provider_accounts a where a.organization_id = :organization_id))
  and (:before_id::bigint is null or e.id < :before_id)
  and (:status::text is null or e.status = :status)
  and (:event::text is null or e.event = :event)
  and (:source::text is null or e.source = :source)
  and (:retell_call_id::text is null or e.retell_call_id = :retell_call_id)
  and (:call_id::uuid is null or e.call_id = :call_id)
  and (:since::timestamptz is null or e.received_at >= :since)
  and (:until::timestamptz is null or e.received_at < :until)
order by e.id desc
limit :limit;

-- name: call_events
-- returns: list[CallEventRow]
-- row: An event of a call. `body` may be the beginning of `size` bytes.
-- null: applied_at, error
-- List the events of a call in order of arrival, each body up to `most_bytes`.
select id, source, event, status, received_at, applied_at, error, tries, repeats, octet_length(body) as size,
  substring(body for :most_bytes::integer) as body
from webhook_events
where call_id = :call_id and organization_id = :organization_id
order by id
limit :limit;

-- name: transcript_event
-- returns: TranscriptEvent | None
-- row: The event that has the transcript of a call with its times.
-- Read the last event of a call that has its transcript, unless it has more than `most_bytes`.
select body
from webhook_events
where call_id = :call_id and organization_id = :organization_id and status = 'applied'
  and event in ('call_ended', 'call_analyzed') and octet_length(body) between 2 and :most_bytes::integer
order by event = 'call_analyzed' desc, id desc
limit 1;

-- name: show_event
-- returns: EventWithBody | None
-- row: An event with its raw body.
-- null: organization_id, call_id, applied_at, error
-- Read an event with its raw body.
select id, organization_id, call_id, source, credential, retell_call_id, event, status, received_at, applied_at,
  tries, error, repeats, body
from webhook_events
where id = :id;

-- name: show_organization_event
-- returns: EventExcerpt | None
-- row: An event with the beginning of its body, which has `size` bytes.
-- null: call_id, applied_at, error, body_removed_at
-- Read an event with the first `most` bytes of its body.
select e.id, e.call_id, e.source, e.credential, e.retell_call_id, e.event, e.status, e.received_at, e.applied_at,
  e.tries, e.error, e.repeats, octet_length(e.body) as size, substring(e.body from 1 for :most) as body, e.body_removed_at
from webhook_events e
where e.id = :id
  and (e.organization_id = :organization_id
    or e.organization_id is null and e.credential in (
      select a.credential from provider_accounts a where a.organization_id = :organization_id));

-- name: count_events
-- returns: list[EventCount]
-- null: :organization_id
-- Count events by kind, source and status, of one organization or of all.
select event, source, status, count(*) as events, coalesce(sum(repeats), 0)::bigint as repeats
from webhook_events
where :organization_id::uuid is null or organization_id = :organization_id
group by event, source, status
order by event, source, status;

-- name: count_odd_events
-- returns: OddEventCount
-- row: Unmatched and quarantined events, and when the last event arrived.
-- null: last_at
-- Count unmatched and quarantined events, and read when the last event arrived.
select
  (select count(*) from webhook_events e where e.status = 'unmatched' and (e.organization_id = :organization_id
    or e.organization_id is null and e.credential in (
      select a.credential from provider_accounts a where a.organization_id = :organization_id))) as unmatched,
  (select count(*) from webhook_events e where e.status = 'quarantined' and (e.organization_id = :organization_id
    or e.organization_id is null and e.credential in (
      select a.credential from provider_accounts a where a.organization_id = :organization_id))) as quarantined,
  (select e.received_at from webhook_events e where e.organization_id = :organization_id
    order by e.id desc limit 1) as last_at;

-- name: last_event_id
-- returns: int
-- Return the highest event id, 0 when the ledger is empty.
select coalesce(max(id), 0) as id from webhook_events;
