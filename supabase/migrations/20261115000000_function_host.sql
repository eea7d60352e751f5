-- The function host: function versions and their files, secrets, access tokens, and the list of hosts.
--
-- outdial_host  the gateway of a host: this schema and no user data
--
-- One database is one environment: every host serves what this schema contains.

-- Roles are global to the server: another database may have created this one, or be creating it right now.
do $$
begin
  create role outdial_host login noinherit;
exception when duplicate_object or unique_violation then
  null;
end
$$;

create schema host;
grant usage on schema host to outdial_host;

-- One row per function that was ever uploaded. Without an active version and without `deleted_at`, hosts serve the one in
-- their own source tree. A deleted function is not served until it is deployed again.
create table host.functions (
  slug text primary key check (slug ~ '^[A-Za-z][A-Za-z0-9_-]{0,127}$'),
  name text not null,
  last_version integer not null check (last_version > 0),
  deleted_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

create table host.function_versions (
  slug text not null references host.functions (slug) on delete cascade,
  version integer not null check (version > 0),
  entrypoint_path text not null,
  static_patterns text[] not null,
  verify_jwt boolean not null,
  -- The section `[functions.<slug>]` of the uploaded config.toml. Null: the host's own section applies.
  config jsonb check (jsonb_typeof(config) = 'object'),
  sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  status text not null default 'bundled' check (status in ('bundled', 'active', 'superseded', 'refused')),
  -- Why it was rejected: the traceback of its start.
  error text,
  created_at timestamptz not null,
  created_by text not null,
  primary key (slug, version)
);
create unique index function_versions_active on host.function_versions (slug) where status = 'active';

create table host.function_files (
  slug text not null,
  version integer not null,
  path text not null,
  content bytea not null,
  primary key (slug, version, path),
  foreign key (slug, version) references host.function_versions (slug, version) on delete cascade
);

-- Encrypted by the host with AES-256-GCM and a key that this database never sees. The name is authenticated data.
create table host.secrets (
  name text primary key check (name ~ '^[A-Za-z_][A-Za-z0-9_]{0,255}$' and not starts_with(name, 'SUPABASE_')),
  nonce bytea not null check (octet_length(nonce) = 12),
  ciphertext bytea not null,
  updated_at timestamptz not null
);

create table host.access_tokens (
  id uuid primary key,
  name text not null check (length(trim(name)) between 1 and 200),
  token_sha256 bytea not null unique check (octet_length(token_sha256) = 32),
  created_at timestamptz not null,
  last_used_at timestamptz,
  revoked_at timestamptz
);

create table host.hosts (
  id text primary key,
  region text not null,
  -- URL other hosts use to reach this one: http://address:port.
  address text not null,
  seen_at timestamptz not null
);

alter table host.functions enable row level security;
alter table host.functions force row level security;
grant select, insert on host.functions to outdial_host;
grant update (name, last_version, deleted_at, updated_at) on host.functions to outdial_host;
create policy host_works on host.functions for all to outdial_host using (true) with check (true);

alter table host.function_versions enable row level security;
alter table host.function_versions force row level security;
grant select, insert, delete on host.function_versions to outdial_host;
grant update (verify_jwt, status, error) on host.function_versions to outdial_host;
create policy host_works on host.function_versions for all to outdial_host using (true) with check (true);

alter table host.function_files enable row level security;
alter table host.function_files force row level security;
grant select, insert on host.function_files to outdial_host;
create policy host_works on host.function_files for all to outdial_host using (true) with check (true);

alter table host.secrets enable row level security;
alter table host.secrets force row level security;
grant select, insert, update, delete on host.secrets to outdial_host;
create policy host_works on host.secrets for all to outdial_host using (true) with check (true);

alter table host.access_tokens enable row level security;
alter table host.access_tokens force row level security;
grant select, insert on host.access_tokens to outdial_host;
grant update (last_used_at, revoked_at) on host.access_tokens to outdial_host;
create policy host_works on host.access_tokens for all to outdial_host using (true) with check (true);

alter table host.hosts enable row level security;
alter table host.hosts force row level security;
grant select, insert, update, delete on host.hosts to outdial_host;
create policy host_works on host.hosts for all to outdial_host using (true) with check (true);
