-- Versions of functions, and the hosts that serve them.

-- name: open_version
-- returns: int
-- Reserve the next version number of a function, and create the function if it is new. Its row stays locked.
insert into host.functions as f (slug, name, last_version, created_at, updated_at)
values (:slug, :name, 1, :now, :now)
on conflict (slug) do update set name = excluded.name, last_version = f.last_version + 1
returning last_version as version;

-- name: add_version!
-- null: :config
-- Insert a version that is not active yet.
insert into host.function_versions
  (slug, version, entrypoint_path, static_patterns, verify_jwt, config, sha256, created_at, created_by)
values
  (:slug, :version, :entrypoint_path, :static_patterns, :verify_jwt, :config::text::jsonb, :sha256, :now, :created_by);

-- name: add_files!
-- Insert the files of a version.
insert into host.function_files (slug, version, path, content)
select :slug::text, :version::integer, path, content from unnest(:paths::text[], :contents::bytea[]) as f (path, content);

-- name: delete_old_versions!
-- Delete all versions of a function except the active one and the newest `keep`, with their files.
delete from host.function_versions
where slug = :slug and status <> 'active' and version <= (
  select last_version from host.functions where slug = :slug
) - :keep::integer;

-- name: lock_functions
-- returns: list[str]
-- Lock functions against other deployments until the transaction ends. Returns those that exist.
select slug from host.functions where slug = any (:slugs::text[]) order by slug for update;

-- name: active_functions
-- returns: list[ActiveFunction]
-- row: A deployed function with its active version.
-- null: :slug
-- List the active functions, or the one named `slug`.
select f.slug, f.name, v.version, v.verify_jwt, v.entrypoint_path, v.sha256, f.created_at, f.updated_at
from host.functions f
join host.function_versions v on v.slug = f.slug and v.status = 'active'
where :slug::text is null or f.slug = :slug
order by f.slug;

-- name: list_deployments
-- returns: list[DeploymentRow]
-- row: What hosts serve of a function. Without a version, nothing. `config` is JSON text.
-- null: version, entrypoint_path, verify_jwt, config, sha256
-- List what hosts serve of each function: its active version, or nothing when it was deleted.
select f.slug, v.version, v.entrypoint_path, v.verify_jwt, v.config::text as config, v.sha256
from host.functions f
left join host.function_versions v on v.slug = f.slug and v.status = 'active'
where v.version is not null or f.deleted_at is not null
order by f.slug;

-- name: list_versions
-- returns: list[VersionRow]
-- row: A version of a function. `config` is JSON text, `created_by` the name of the access token.
-- null: config, error
-- List the versions of a function, newest first.
select version, name, entrypoint_path, verify_jwt, config::text as config, sha256, status, error,
  v.created_at, v.created_by
from host.function_versions v
join host.functions f using (slug)
where slug = :slug
order by version desc;

-- name: list_functions_with_versions
-- returns: list[FunctionVersionRow]
-- null: error, deleted_at, :slug
-- List deployed functions with their versions, newest version first.
select f.slug, v.version, v.status, v.error, v.created_at, v.created_by, f.deleted_at
from host.functions f join host.function_versions v on v.slug = f.slug
where :slug::text is null or f.slug = :slug
order by f.slug, v.version desc
limit :limit;

-- name: version_files
-- returns: list[FunctionFile]
-- row: A file of a version. The path is relative to the project root, with slashes.
-- Read the files of a version.
select path, content from host.function_files where slug = :slug and version = :version order by path;

-- name: supersede_versions!
-- Deactivate the active versions of functions.
update host.function_versions set status = 'superseded' where slug = any (:slugs::text[]) and status = 'active';

-- name: activate_versions!
-- Activate one version of each function. The active one was superseded before.
update host.function_versions v
set status = 'active', error = null
from unnest(:slugs::text[], :versions::integer[]) as chosen (slug, version)
where v.slug = chosen.slug and v.version = chosen.version;

-- name: touch_functions!
-- Record that functions changed, and whether they are deleted now.
update host.functions
set updated_at = :now::timestamptz, deleted_at = case when :deleted::boolean then :now end
where slug = any (:slugs::text[]);

-- name: reject_version!
-- Record why a version was not activated. A version that was active before keeps its status.
update host.function_versions
set status = case when status = 'bundled' then 'refused' else status end, error = :error
where slug = :slug and version = :version and status <> 'active';

-- name: set_verify_jwt!
-- Change whether the gateway verifies tokens for the active version.
update host.function_versions set verify_jwt = :verify_jwt where slug = :slug and status = 'active';

-- name: notify_deployments
-- returns: None
-- Notify hosts, on commit, that deployments have changed.
select pg_notify('host_deployments', '');

-- name: record_heartbeat!
-- Record that a host is alive, and its address.
insert into host.hosts (id, region, address, seen_at) values (:id, :region, :address, :now)
on conflict (id) do update set region = excluded.region, address = excluded.address, seen_at = excluded.seen_at;

-- name: remove_hosts!
-- Delete a host that stops, and hosts without a heartbeat since `before`.
delete from host.hosts where id = :id or seen_at < :before;

-- name: list_other_hosts
-- returns: list[HostRow]
-- List the other hosts with a recent heartbeat.
select id, region, address from host.hosts where id <> :id and seen_at >= :since order by id;
