-- Idempotency keys of requests to the API.

-- name: take_idempotency_key
-- returns: str | None
-- Take a key for a request. Waits for a request under way with the same key. Returns None when the key was used.
insert into idempotency_keys (organization_id, caller, key, request_sha256, created_at)
values (:organization_id, :caller, :key, :request_sha256, :now)
on conflict do nothing
returning key as id;

-- name: read_idempotency_key
-- returns: UsedKey
-- row: The request that an idempotency key was used for, and its response. `body` is JSON text.
-- null: status, body
-- Read the request that a key was used for, and its response.
select request_sha256, answer_status as status, answer::text as body
from idempotency_keys
where organization_id = :organization_id and caller = :caller and key = :key;

-- name: keep_response!
-- Store the response to the request that took a key.
update idempotency_keys set answer_status = :status, answer = :body::text::jsonb
where organization_id = :organization_id and caller = :caller and key = :key and answer_status is null;

-- name: free_idempotency_key!
-- Delete a key that is old, so that it can be used again. The jobs process deletes the others.
delete from idempotency_keys
where organization_id = :organization_id and caller = :caller and key = :key and created_at < :before;
