-- The ledger of webhook events.

-- name: store_events
-- returns: list[StoredDelivery]
-- row: A delivery that was new to the ledger.
-- null: :call_ids[], :errors[], :organization_ids[]
-- Store deliveries in the ledger, those of erased calls without their bodies. One that is there already returns no row.
insert into webhook_events (source, credential, retell_call_id, event, body, body_sha256, status, received_at,
  applied_at, next_try_at, organization_id, call_id, error, body_removed_at)
select 'webhook', u.credential, u.retell_call_id, u.event, u.body, u.body_sha256, u.status, u.received_at,
  case when u.status = 'applied' then :now::timestamptz end, :now, u.organization_id, u.call_id, u.error,
  case when u.is_erased then :now::timestamptz end
from unnest(:credentials::text[], :retell_call_ids::text[], :events::text[], :bodies::bytea[], :hashes::bytea[],
  :statuses::text[], :received_ats::timestamptz[], :organization_ids::uuid[], :call_ids::uuid[], :errors::text[],
  :are_erased::boolean[])
  as u (credential, retell_call_id, event, body, body_sha256, status, received_at, organization_id, call_id, error,
    is_erased)
on conflict (retell_call_id, event, body_sha256, credential) do nothing
returning body_sha256, event, credential;

-- name: store_reconciled_events!
-- null: :call_id
-- Store what Retell returned about a call as events of the reconciler. The applier applies them.
insert into webhook_events (source, credential, retell_call_id, event, body, body_sha256, received_at, next_try_at,
  organization_id, call_id)
select 'reconciler', :credential, :retell_call_id, u.event, u.body, u.body_sha256, :now, :now, :organization_id, :call_id
from unnest(:events::text[], :bodies::bytea[], :hashes::bytea[]) as u (event, body, body_sha256)
on conflict (retell_call_id, event, body_sha256, credential) do nothing;

-- name: count_repeats!
-- Count deliveries that came again, in the order of ids.
with again as materialized (
  select e.id, u.times
  from unnest(:retell_call_ids::text[], :events::text[], :hashes::bytea[], :credentials::text[], :times::integer[])
    as u (retell_call_id, event, body_sha256, credential, times)
  join webhook_events e on e.retell_call_id = u.retell_call_id and e.event = u.event
    and e.body_sha256 = u.body_sha256 and e.credential = u.credential
  order by e.id
  for update of e
)
update webhook_events e set repeats = e.repeats + again.times from again where e.id = again.id;

-- name: become_applier
-- returns: bool
-- Return whether this transaction may apply stored events, which one at a time may. It locks no rows of the ledger,
-- because a flush that holds the calls of these events may be counting a repeat of them.
select pg_try_advisory_xact_lock(5464813023) as id;

-- name: pending_events
-- returns: list[PendingEvent]
-- row: A stored event that is due to be applied.
-- List stored events that are due to be applied.
select id, credential, retell_call_id, event, body, tries
from webhook_events
where status = 'pending' and next_try_at <= :now
order by next_try_at, id
limit :limit;

-- name: pending_event
-- returns: list[PendingEvent]
-- Read one pending event, to apply it alone after its batch failed.
select id, credential, retell_call_id, event, body, tries
from webhook_events
where id = :id and status = 'pending';

-- name: mark_events!
-- null: :call_ids[], :errors[], :organization_ids[]
-- Store the results of applying events.
update webhook_events e
set status = u.status, applied_at = case when u.status = 'applied' then :now::timestamptz else e.applied_at end,
  organization_id = coalesce(u.organization_id, e.organization_id), call_id = coalesce(u.call_id, e.call_id),
  error = u.error, tries = e.tries + 1, body_removed_at = case when u.is_erased then :now::timestamptz end
from unnest(:ids::bigint[], :statuses::text[], :organization_ids::uuid[], :call_ids::uuid[], :errors::text[],
  :are_erased::boolean[])
  as u (id, status, organization_id, call_id, error, is_erased)
where e.id = u.id and e.id in (
  select id from webhook_events where id = any (:ids::bigint[]) and status = 'pending' order by id for update
);

-- name: postpone_event!
-- Store the failure of an event: it is retried later, or quarantined.
update webhook_events
set status = :status, error = :error, tries = tries + 1, next_try_at = :next_try_at
where id = :id and status = 'pending';

-- name: defer_events!
-- Leave pending events for a later run, because another transaction has locked their calls. That is no failed try.
update webhook_events set next_try_at = :next_try_at where id = any (:ids::bigint[]) and status = 'pending';

-- name: known_calls
-- returns: list[KnownCall]
-- row: A call that events report on.
-- null: retell_call_id
-- List the calls that a batch of events reports on, without locking them.
select id, retell_call_id from calls where id = any (:ids::uuid[]) or retell_call_id = any (:retell_call_ids::text[]);

-- name: reopen_unmatched
-- returns: int
-- Reopen events that arrived before the id of their call was known. Returns how many.
select private.reopen_unmatched(:credential, :retell_call_ids::text[], :now) as id;

-- name: replay_events
-- returns: list[int]
-- null: :status, :organization_id
-- Apply events of a range again, except those without a body. Their contents are merged, so nothing changes that was
-- applied already.
update webhook_events
set status = 'pending', next_try_at = :now, tries = 0, error = null
where id in (
  select id from webhook_events
  where id between :first_id and :last_id and status in ('applied', 'unmatched', 'quarantined')
    and body_removed_at is null
    and (:status::text is null or status = :status)
    and (:organization_id::uuid is null or organization_id = :organization_id)
  order by id
  for update
)
returning id;

-- name: replay_organization_events
-- returns: list[int]
-- null: :event, :status
-- Apply events of an organization again.
select private.replay_events(:organization_id, :first_id, :last_id, :status, :event, :limit, :now) as id;

-- name: count_bodiless_events
-- returns: int
-- null: :status, :event, :organization_id
-- plan: custom
-- Count the events of a range whose body was removed, up to `most`. They cannot be applied again.
select count(*) as id from (
  select from webhook_events
  where id between :first_id and :last_id and body_removed_at is not null
    and (:status::text is null or status = :status)
    and (:event::text is null or event = :event)
    and (:organization_id::uuid is null or organization_id = :organization_id)
  limit :most
) e;
