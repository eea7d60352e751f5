-- Secrets of functions, and access tokens of the management API.

-- name: list_secrets
-- returns: list[SecretRow]
-- row: A secret, encrypted.
-- List all secrets, encrypted.
select name, nonce, ciphertext, updated_at from host.secrets order by name;

-- name: set_secrets!
-- Insert or update encrypted secrets.
insert into host.secrets (name, nonce, ciphertext, updated_at)
select name, nonce, ciphertext, :now from unnest(:names::text[], :nonces::bytea[], :ciphertexts::bytea[])
  as s (name, nonce, ciphertext)
on conflict (name) do update
set nonce = excluded.nonce, ciphertext = excluded.ciphertext, updated_at = excluded.updated_at;

-- name: reencrypt_secrets!
-- Replace the encryption of secrets, unless their values have changed in the meantime.
update host.secrets s
set nonce = fresh.nonce, ciphertext = fresh.ciphertext
from unnest(:names::text[], :old_nonces::bytea[], :nonces::bytea[], :ciphertexts::bytea[])
  as fresh (name, old_nonce, nonce, ciphertext)
where s.name = fresh.name and s.nonce = fresh.old_nonce;

-- name: delete_secrets!
-- Delete secrets.
delete from host.secrets where name = any (:names::text[]);

-- name: add_token!
-- null: :expires_at
-- Insert the hash of an access token, unless it exists.
insert into host.access_tokens (id, name, token_sha256, created_at, scopes, expires_at)
values (:id, :name, :token_sha256, :now, :scopes, :expires_at)
on conflict (token_sha256) do nothing;

-- name: list_tokens
-- returns: list[AccessTokenRow]
-- row: An access token. Only its hash is stored.
-- null: expires_at, last_used_at, revoked_at
-- List all access tokens, newest first.
select id, name, scopes, created_at, expires_at, last_used_at, revoked_at
from host.access_tokens order by created_at desc, id desc;

-- name: find_tokens
-- returns: list[FoundToken]
-- null: expires_at, last_used_at
-- Find the access tokens with these hashes, unless they are revoked. Expired ones are found.
select id, name, token_sha256, scopes, expires_at, last_used_at from host.access_tokens
where token_sha256 = any (:hashes::bytea[]) and revoked_at is null;

-- name: record_token_uses!
-- Record that access tokens were used.
update host.access_tokens set last_used_at = :now where id = any (:ids::uuid[]);

-- name: revoke_tokens
-- returns: list[RevokedToken]
-- Revoke the access tokens with this id or name.
update host.access_tokens set revoked_at = :now
where (id::text = :given or name = :given) and revoked_at is null
returning id, name;
