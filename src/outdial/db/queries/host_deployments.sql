-- What hosts serve: versions of functions and their files, secrets, access tokens, and the hosts.

-- name: host_open_version
-- Gives a function its next version number, and makes the function known; its row stays locked.
insert into host.functions as f (slug, name, last_version, created_at, updated_at)
values (:slug, :name, 1, :now, :now)
on conflict (slug) do update set name = excluded.name, last_version = f.last_version + 1
returning last_version as version;

-- name: host_add_version!
-- Keeps a version that was sent; nothing of it is served yet.
insert into host.function_versions
  (slug, version, entrypoint_path, static_patterns, verify_jwt, config, sha256, created_at, created_by)
values
  (:slug, :version, :entrypoint_path, :static_patterns, :verify_jwt, :config::text::jsonb, :sha256, :now, :created_by);

-- name: host_add_files!
-- Keeps the files of a version.
insert into host.function_files (slug, version, path, content)
select :slug::text, :version::integer, path, content from unnest(:paths::text[], :contents::bytea[]) as f (path, content);

-- name: host_forget_versions!
-- Drops the versions of a function that came before its newest ones, but for the active one; their files go with them.
delete from host.function_versions
where slug = :slug and status <> 'active' and version <= (
  select last_version from host.functions where slug = :slug
) - :keep::integer;

-- name: host_lock_functions
-- Keeps other deployments of these functions waiting until the transaction ends.
select slug from host.functions where slug = any (:slugs::text[]) order by slug for update;

-- name: host_active_functions
-- The functions that are served from here, all of them or one, for people to read.
select f.slug, f.name, v.version, v.verify_jwt, v.entrypoint_path, v.sha256, f.created_at, f.updated_at
from host.functions f
join host.function_versions v on v.slug = f.slug and v.status = 'active'
where :slug::text is null or f.slug = :slug
order by f.slug;

-- name: host_deployments
-- What is to be served of each function: its active version, or nothing at all when it was deleted.
select f.slug, v.version, v.entrypoint_path, v.verify_jwt, v.config::text as config, v.sha256
from host.functions f
left join host.function_versions v on v.slug = f.slug and v.status = 'active'
where v.version is not null or f.deleted_at is not null
order by f.slug;

-- name: host_versions
-- The versions of a function, the newest first.
select version, name, entrypoint_path, verify_jwt, config::text as config, sha256, status, error,
  v.created_at, v.created_by
from host.function_versions v
join host.functions f using (slug)
where slug = :slug
order by version desc;

-- name: host_files
-- The files of a version.
select path, content from host.function_files where slug = :slug and version = :version order by path;

-- name: host_supersede!
-- Takes the active versions of these functions out of service.
update host.function_versions set status = 'superseded' where slug = any (:slugs::text[]) and status = 'active';

-- name: host_activate!
-- Puts versions into service, one for each function, whose active one was taken out before.
update host.function_versions v
set status = 'active', error = null
from unnest(:slugs::text[], :versions::integer[]) as chosen (slug, version)
where v.slug = chosen.slug and v.version = chosen.version;

-- name: host_touch_functions!
-- Notes that what is served of these functions has changed, and whether they are deleted now.
update host.functions
set updated_at = :now::timestamptz, deleted_at = case when :deleted::boolean then :now end
where slug = any (:slugs::text[]);

-- name: host_refuse!
-- Notes why a version was not put into service; one that has served before stays what it was.
update host.function_versions
set status = case when status = 'bundled' then 'refused' else status end, error = :error
where slug = :slug and version = :version and status <> 'active';

-- name: host_set_verify_jwt!
-- Changes whether the active version leaves the check of tokens to the gateway.
update host.function_versions set verify_jwt = :verify_jwt where slug = :slug and status = 'active';

-- name: notify_deployments
-- Tells the hosts, when the transaction commits, that something else is to be served.
select pg_notify('host_deployments', '');

-- name: host_secrets
-- Every secret, encrypted.
select name, nonce, ciphertext, updated_at from host.secrets order by name;

-- name: host_put_secrets!
-- Sets secrets, encrypted.
insert into host.secrets (name, nonce, ciphertext, updated_at)
select name, nonce, ciphertext, :now from unnest(:names::text[], :nonces::bytea[], :ciphertexts::bytea[])
  as s (name, nonce, ciphertext)
on conflict (name) do update
set nonce = excluded.nonce, ciphertext = excluded.ciphertext, updated_at = excluded.updated_at;

-- name: host_reseal_secrets!
-- Replaces the encryption of secrets whose values stay as they are, unless they were set anew in between.
update host.secrets s
set nonce = fresh.nonce, ciphertext = fresh.ciphertext
from unnest(:names::text[], :old_nonces::bytea[], :nonces::bytea[], :ciphertexts::bytea[])
  as fresh (name, old_nonce, nonce, ciphertext)
where s.name = fresh.name and s.nonce = fresh.old_nonce;

-- name: host_drop_secrets!
-- Drops secrets.
delete from host.secrets where name = any (:names::text[]);

-- name: host_add_token!
-- Keeps the hash of an access token; one that is there already stays as it is.
insert into host.access_tokens (id, name, token_sha256, created_at)
values (:id, :name, :token_sha256, :now)
on conflict (token_sha256) do nothing;

-- name: host_tokens
-- Every access token, the newest first.
select id, name, created_at, last_used_at, revoked_at from host.access_tokens order by created_at desc, id desc;

-- name: host_find_token
-- The access token with this hash, unless it was revoked.
select id, name, last_used_at from host.access_tokens where token_sha256 = :token_sha256 and revoked_at is null;

-- name: host_use_token!
-- Notes that an access token was used.
update host.access_tokens set last_used_at = :now where id = :id;

-- name: host_revoke_token
-- Revokes the access token with this id, or those with this name.
update host.access_tokens set revoked_at = :now
where (id::text = :given or name = :given) and revoked_at is null
returning id, name;

-- name: host_seen!
-- Notes that a host is there, and where.
insert into host.hosts (id, region, address, seen_at) values (:id, :region, :address, :now)
on conflict (id) do update set region = excluded.region, address = excluded.address, seen_at = excluded.seen_at;

-- name: host_leave!
-- Forgets a host that stops, and those that were not seen for long.
delete from host.hosts where id = :id or seen_at < :before;

-- name: host_others
-- The hosts that were seen lately, but for this one.
select id, region, address from host.hosts where id <> :id and seen_at >= :since order by id;
