-- Idempotency keys of requests to the API.

-- name: take_idempotency_key
-- returns: str | None
-- Take a key for a request; no row when the caller has used it, for which a request under way is waited.
insert into idempotency_keys (organization_id, caller, key, request_sha256, created_at)
values (:organization_id, :caller, :key, :request_sha256, :now)
on conflict do nothing
returning key as id;

-- name: read_idempotency_key
-- returns: UsedKey
-- null: status, body
-- What a key was used for, and how that was answered.
select request_sha256, answer_status as status, answer::text as body
from idempotency_keys
where organization_id = :organization_id and caller = :caller and key = :key;

-- name: keep_response!
-- Keep the answer to the request that took a key.
update idempotency_keys set answer_status = :status, answer = :body::text::jsonb
where organization_id = :organization_id and caller = :caller and key = :key and answer_status is null;

-- name: delete_idempotency_keys!
-- Remove a caller's keys that nobody will send again.
delete from idempotency_keys
where organization_id = :organization_id and caller = :caller and created_at < :before;
