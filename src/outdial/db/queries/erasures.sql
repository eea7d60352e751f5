-- Erased phones, and what remains to be removed of them.

-- name: erasure_key_ids
-- returns: list[bytes]
-- Return what identifies the keys of an organization's erasures. No phone of it is erased until the transaction ends.
select private.erasure_key_ids(:organization_id) as id;

-- name: erased_hashes
-- returns: list[bytes]
-- Return those of the given hashes that belong to erased phones.
select phone_hash as id from erasures where organization_id = :organization_id and phone_hash = any (:hashes::bytea[]);

-- name: erase_phone
-- returns: ErasureRequest
-- row: The result of a request to erase a phone, and the campaigns with one contact less to call.
-- null: erasure_id
-- Erase a phone wherever an index leads to it, and request the rest. `result` is requested, legal_hold or live_call.
select result, erasure_id, campaign_ids
from private.erase_phone(:organization_id, :erasure_id, :phone, :phone_hash, :key_id, :requested_by, :now);

-- name: list_erasures
-- returns: list[ErasureRow]
-- row: An erasure, with the number of its calls at Retell, of those whose deletion is confirmed, and of those that no key
-- row: reaches, the last of them since `out_of_reach_until`. `removed` is JSON text.
-- null: waiting_for, swept_at, finished_at, finished_without_proof_at, out_of_reach_until, last_error, :after_at, :after_id
-- plan: custom
-- List erasures of an organization, newest first. `after_at` and `after_id` are those of the last one on the previous
-- page.
select e.id, e.requested_by, e.requested_at, e.waiting_for, e.removed::text as removed, e.swept_at, e.finished_at,
  e.finished_without_proof_at,
  (select count(*) from erasure_calls c where c.erasure_id = e.id) as calls,
  (select count(*) from erasure_calls c where c.erasure_id = e.id and c.confirmed_at is not null) as calls_deleted,
  (select count(*) from erasure_calls c
    where c.erasure_id = e.id and c.confirmed_at is null and c.out_of_reach_at is not null) as calls_out_of_reach,
  (select max(c.out_of_reach_at) from erasure_calls c where c.erasure_id = e.id and c.confirmed_at is null)
    as out_of_reach_until,
  (select c.error from erasure_calls c where c.erasure_id = e.id and c.confirmed_at is null and c.error is not null
    order by c.tries desc limit 1) as last_error
from erasures e
where e.organization_id = :organization_id
  and (:after_at::timestamptz is null or (e.requested_at, e.id) < (:after_at, :after_id::uuid))
order by e.requested_at desc, e.id desc
limit :limit;

-- name: show_erasure
-- returns: ErasureRow | None
-- null: waiting_for, swept_at, finished_at, finished_without_proof_at, out_of_reach_until, last_error
-- Read an erasure of an organization.
select e.id, e.requested_by, e.requested_at, e.waiting_for, e.removed::text as removed, e.swept_at, e.finished_at,
  e.finished_without_proof_at,
  (select count(*) from erasure_calls c where c.erasure_id = e.id) as calls,
  (select count(*) from erasure_calls c where c.erasure_id = e.id and c.confirmed_at is not null) as calls_deleted,
  (select count(*) from erasure_calls c
    where c.erasure_id = e.id and c.confirmed_at is null and c.out_of_reach_at is not null) as calls_out_of_reach,
  (select max(c.out_of_reach_at) from erasure_calls c where c.erasure_id = e.id and c.confirmed_at is null)
    as out_of_reach_until,
  (select c.error from erasure_calls c where c.erasure_id = e.id and c.confirmed_at is null and c.error is not null
    order by c.tries desc limit 1) as last_error
from erasures e
where e.organization_id = :organization_id and e.id = :erasure_id;

-- name: open_erasures
-- returns: list[OpenErasure]
-- row: An unfinished erasure of an organization without a legal hold.
-- List unfinished erasures of all organizations that do not wait for Retell: those that wait for nothing first.
select organization_id, erasure_id from private.open_erasures(:limit);

-- name: lock_erasure
-- returns: ErasureToSweep | None
-- row: An unfinished erasure, locked.
-- null: phone
-- Lock an unfinished erasure that no other worker has.
select id, organization_id, phone, removed::text as removed
from erasures where id = :erasure_id and finished_at is null
for update skip locked;

-- name: erasure_waits_for
-- returns: str | None
-- Return what keeps an erasure from being swept, None if nothing does.
select private.erasure_waits_for(:erasure_id, :numbers::text[], :now) as id;

-- name: record_wait!
-- null: :waiting_for
-- Store what keeps an erasure from being swept.
update erasures set waiting_for = :waiting_for
where id = :erasure_id and waiting_for is distinct from :waiting_for;

-- name: sweep_events
-- returns: int
-- Remove the bodies of events without a call that mention the person. Returns how many.
select private.sweep_events(:erasure_id, :numbers::text[], :now) as id;

-- name: sweep_exports
-- returns: int
-- Delete the files of exports that contain the phone. Returns how many.
select private.sweep_exports(:erasure_id, :now) as id;

-- name: sweep_rows
-- returns: int
-- Remove refused rows and stored responses that mention the person. Returns how many.
select private.sweep_rows(:erasure_id, :numbers::text[]) as id;

-- name: redact_audit
-- returns: int
-- Remove the person from the entries of the audit log. Returns how many.
select private.redact_audit(:organization_id, :erasure_id, :numbers::text[], :now) as id;

-- name: sweep_opt_outs
-- returns: int
-- Delete the opt-outs of the phone that Retell has confirmed, and those of accounts without a key. Returns how many.
select private.sweep_opt_outs(:erasure_id, :now) as id;

-- name: sweep_logs
-- returns: int | None
-- Replace a pattern in a portion of the function logs. Returns the last id of the portion, None at the end.
select private.sweep_logs(:organization_id, :pattern, :after, :limit) as id;

-- name: finish_sweep!
-- Forget the phone of an erasure that has been swept.
update erasures set removed = :removed::text::jsonb, swept_at = :now
where id = :erasure_id and swept_at is null;

-- name: finish_erasure
-- returns: UUID | None
-- Finish an erasure that has been swept and whose calls have been deleted at Retell.
update erasures e set finished_at = :now
where e.id = :erasure_id and e.swept_at is not null and e.finished_at is null
  and not exists (select from erasure_calls c where c.erasure_id = e.id and c.confirmed_at is null)
returning e.id;

-- name: subject_data
-- returns: list[SubjectRecord]
-- row: A record about a phone as JSON text. Bodies of events are in base64.
-- Read everything that is known about a phone.
select kind, data::text as data from private.subject_data(:organization_id, :phone, :numbers::text[]);

-- name: erasure_of_hash
-- returns: UUID | None
-- Find the erasure of a phone by its hashes.
select id from erasures where organization_id = :organization_id and phone_hash = any (:hashes::bytea[]);
