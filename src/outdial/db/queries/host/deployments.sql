-- Versions of functions, and the hosts that serve them.

-- name: open_version
-- returns: int
-- Gives a function its next version number, and makes the function known; its row stays locked.
insert into host.functions as f (slug, name, last_version, created_at, updated_at)
values (:slug, :name, 1, :now, :now)
on conflict (slug) do update set name = excluded.name, last_version = f.last_version + 1
returning last_version as version;

-- name: add_version!
-- null: :config
-- Keeps a version that was sent; nothing of it is served yet.
insert into host.function_versions
  (slug, version, entrypoint_path, static_patterns, verify_jwt, config, sha256, created_at, created_by)
values
  (:slug, :version, :entrypoint_path, :static_patterns, :verify_jwt, :config::text::jsonb, :sha256, :now, :created_by);

-- name: add_files!
-- Keeps the files of a version.
insert into host.function_files (slug, version, path, content)
select :slug::text, :version::integer, path, content from unnest(:paths::text[], :contents::bytea[]) as f (path, content);

-- name: delete_old_versions!
-- Drops the versions of a function that came before its newest ones, but for the active one; their files go with them.
delete from host.function_versions
where slug = :slug and status <> 'active' and version <= (
  select last_version from host.functions where slug = :slug
) - :keep::integer;

-- name: lock_functions
-- returns: list[str]
-- Keeps other deployments of these functions waiting until the transaction ends.
select slug from host.functions where slug = any (:slugs::text[]) order by slug for update;

-- name: active_functions
-- returns: list[ActiveFunction]
-- null: :slug
-- The functions that are served from here, all of them or one, for people to read.
select f.slug, f.name, v.version, v.verify_jwt, v.entrypoint_path, v.sha256, f.created_at, f.updated_at
from host.functions f
join host.function_versions v on v.slug = f.slug and v.status = 'active'
where :slug::text is null or f.slug = :slug
order by f.slug;

-- name: list_deployments
-- returns: list[DeploymentRow]
-- null: version, entrypoint_path, verify_jwt, config, sha256
-- What is to be served of each function: its active version, or nothing at all when it was deleted.
select f.slug, v.version, v.entrypoint_path, v.verify_jwt, v.config::text as config, v.sha256
from host.functions f
left join host.function_versions v on v.slug = f.slug and v.status = 'active'
where v.version is not null or f.deleted_at is not null
order by f.slug;

-- name: list_versions
-- returns: list[VersionRow]
-- null: config, error
-- The versions of a function, the newest first.
select version, name, entrypoint_path, verify_jwt, config::text as config, sha256, status, error,
  v.created_at, v.created_by
from host.function_versions v
join host.functions f using (slug)
where slug = :slug
order by version desc;

-- name: list_functions_with_versions
-- returns: list[FunctionVersionRow]
-- null: error, deleted_at, :slug
-- Deployed functions with their versions, the newest first.
select f.slug, v.version, v.status, v.error, v.created_at, v.created_by, f.deleted_at
from host.functions f join host.function_versions v on v.slug = f.slug
where :slug::text is null or f.slug = :slug
order by f.slug, v.version desc
limit :limit;

-- name: version_files
-- returns: list[FunctionFile]
-- The files of a version.
select path, content from host.function_files where slug = :slug and version = :version order by path;

-- name: supersede_versions!
-- Takes the active versions of these functions out of service.
update host.function_versions set status = 'superseded' where slug = any (:slugs::text[]) and status = 'active';

-- name: activate_versions!
-- Puts versions into service, one for each function, whose active one was taken out before.
update host.function_versions v
set status = 'active', error = null
from unnest(:slugs::text[], :versions::integer[]) as chosen (slug, version)
where v.slug = chosen.slug and v.version = chosen.version;

-- name: touch_functions!
-- Notes that what is served of these functions has changed, and whether they are deleted now.
update host.functions
set updated_at = :now::timestamptz, deleted_at = case when :deleted::boolean then :now end
where slug = any (:slugs::text[]);

-- name: refuse_version!
-- Notes why a version was not put into service; one that has served before stays what it was.
update host.function_versions
set status = case when status = 'bundled' then 'refused' else status end, error = :error
where slug = :slug and version = :version and status <> 'active';

-- name: set_verify_jwt!
-- Changes whether the active version leaves the check of tokens to the gateway.
update host.function_versions set verify_jwt = :verify_jwt where slug = :slug and status = 'active';

-- name: notify_deployments
-- returns: None
-- Tells the hosts, when the transaction commits, that something else is to be served.
select pg_notify('host_deployments', '');

-- name: record_heartbeat!
-- Notes that a host is there, and where.
insert into host.hosts (id, region, address, seen_at) values (:id, :region, :address, :now)
on conflict (id) do update set region = excluded.region, address = excluded.address, seen_at = excluded.seen_at;

-- name: remove_hosts!
-- Forgets a host that stops, and those that were not seen for long.
delete from host.hosts where id = :id or seen_at < :before;

-- name: list_other_hosts
-- returns: list[HostRow]
-- The hosts that were seen lately, but for this one.
select id, region, address from host.hosts where id <> :id and seen_at >= :since order by id;
