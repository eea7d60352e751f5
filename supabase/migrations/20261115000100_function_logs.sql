-- Invocations of functions, their log lines, and worker starts and stops.
--
-- Hosts add rows in batches and delete those older than the retention. Rows are never changed. The ids of both tables come
-- from one sequence and therefore have one order.

grant usage on schema host to service_role;
create sequence host.log_ids;
grant usage on sequence host.log_ids to outdial_host;

create table host.invocations (
  id bigint primary key default nextval('host.log_ids'),
  -- When the request arrived, to the millisecond, like timestamps of the management API.
  at timestamptz(3) not null,
  request_id uuid not null,
  -- Empty if the path names no function.
  slug text not null,
  version integer not null,
  -- The worker. Null if the request never reached one.
  execution_id uuid,
  method text not null,
  path text not null,
  status smallint not null,
  -- Error code if the host itself responded, such as RATE_LIMIT_EXCEEDED. Empty if the function did.
  code text not null,
  ms double precision not null,
  cpu_us bigint not null,
  cold boolean not null,
  request_bytes bigint not null,
  response_bytes bigint not null,
  region text not null
);
create index invocations_at on host.invocations (at, id);
create index invocations_slug on host.invocations (slug, at, id);
create index invocations_request on host.invocations (request_id);
create index invocations_failed on host.invocations (at, id) where status >= 500;
create index invocations_refused on host.invocations (at, id) where status >= 400;

create table host.log_lines (
  id bigint primary key default nextval('host.log_ids'),
  at timestamptz(3) not null,
  slug text not null,
  version integer not null,
  execution_id uuid,
  -- Null outside a request.
  request_id uuid,
  level text not null check (level in ('debug', 'info', 'warning', 'error')),
  -- log: logged or printed by the function. dropped: how many lines and invocations could not be stored.
  kind text not null check (kind in ('log', 'boot', 'boot_failed', 'shutdown', 'dropped')),
  text text not null,
  details jsonb
);
create index log_lines_at on host.log_lines (at, id);
create index log_lines_slug on host.log_lines (slug, at, id);
create index log_lines_request on host.log_lines (request_id) where request_id is not null;
create index log_lines_errors on host.log_lines (at, id) where level = 'error';
create index log_lines_warnings on host.log_lines (at, id) where level in ('warning', 'error');

alter table host.invocations enable row level security;
alter table host.invocations force row level security;
grant select, insert, delete on host.invocations to outdial_host;
grant select on host.invocations to service_role;
create policy host_works on host.invocations for all to outdial_host using (true) with check (true);

alter table host.log_lines enable row level security;
alter table host.log_lines force row level security;
grant select, insert, delete on host.log_lines to outdial_host;
grant select on host.log_lines to service_role;
create policy host_works on host.log_lines for all to outdial_host using (true) with check (true);
