-- The log of functions: invocations and lines.

-- name: commit_without_flush!
-- returns: None
-- Do not wait for the disk in this transaction. A crash of the server may lose the last lines of the log.
set local synchronous_commit = off;

-- name: force_custom_plans!
-- returns: None
-- Plan the queries of this transaction for their values. Which index fits depends on the filters.
set local plan_cache_mode = force_custom_plan;

-- name: insert_invocations!
-- Insert a JSON array of invocations, each an array. That takes 1 µs per row of the host's time, where arrays of
-- columns take 6 µs.
insert into host.invocations (at, request_id, slug, version, execution_id, method, path, status, code, ms, cpu_us,
  cold, request_bytes, response_bytes, region)
select (r ->> 0)::timestamptz, (r ->> 1)::uuid, r ->> 2, (r ->> 3)::integer, nullif(r ->> 4, '')::uuid, r ->> 5,
  r ->> 6, (r ->> 7)::smallint, r ->> 8, (r ->> 9)::double precision, (r ->> 10)::bigint, (r ->> 11)::boolean,
  (r ->> 12)::bigint, (r ->> 13)::bigint, r ->> 14
from jsonb_array_elements(:rows::text::jsonb) as r;

-- name: insert_log_lines!
-- Insert a JSON array of lines, each an array. The first item is Unix time in ms.
insert into host.log_lines (at, slug, version, execution_id, request_id, level, kind, text, details)
select timestamptz 'epoch' + (r ->> 0)::bigint * interval '1 millisecond', r ->> 1, (r ->> 2)::integer,
  nullif(r ->> 3, '')::uuid, nullif(r ->> 4, '')::uuid, r ->> 5, r ->> 6, r ->> 7, nullif(r -> 8, 'null')
from jsonb_array_elements(:rows::text::jsonb) as r;

-- name: lock_retention
-- returns: bool
-- Return whether this transaction is the only one on all hosts that deletes old rows.
select pg_try_advisory_xact_lock(:key) as taken;

-- name: delete_old_invocations!
-- Delete up to `limit` invocations before a time, oldest first.
delete from host.invocations
where ctid = any (array(select ctid from host.invocations where at < :before order by at, id limit :limit));

-- name: delete_old_lines!
-- Delete up to `limit` lines before a time, oldest first.
delete from host.log_lines
where ctid = any (array(select ctid from host.log_lines where at < :before order by at, id limit :limit));

-- name: list_log_entries
-- returns: list[LogEntryRow]
-- row: An invocation or a line. `kind` is invocation, log, boot, boot_failed, shutdown or dropped. Invocations have the
-- row: fields from `method` on, lines have `text` and `details`, which is JSON text.
-- null: execution_id, request_id, text, details, method, path, status, code, ms, cpu_us, cold, request_bytes,
-- null: response_bytes, region, :slug, :first_request, :since, :until, :before_at, :search, :before_id,
-- null: :last_request, :levels
-- List invocations and lines, newest first, before a position.
(select i.at, i.id, i.slug, i.version, i.execution_id, i.request_id,
  case when i.status >= 500 then 'error' when i.status >= 400 then 'warning' else 'info' end as level,
  'invocation' as kind, null as text, null as details, i.method, i.path, i.status, i.code, i.ms, i.cpu_us, i.cold,
  i.request_bytes, i.response_bytes, i.region
from host.invocations i
where :invocations::boolean
  and (:slug::text is null or i.slug = :slug)
  and (:first_request::uuid is null or i.request_id between :first_request and :last_request)
  and (:since::timestamptz is null or i.at >= :since)
  and (:until::timestamptz is null or i.at < :until)
  and (:before_at::timestamptz is null or (i.at, i.id) < (:before_at, :before_id::bigint))
  and (:levels::text[] is null
    or (i.status >= 500 and 'error' = any (:levels))
    or (i.status >= 400 and i.status < 500 and 'warning' = any (:levels))
    or (i.status < 400 and 'info' = any (:levels)))
  and (:search::text is null or position(lower(:search) in lower(i.path)) > 0)
order by i.at desc, i.id desc
limit :limit)
union all
(select l.at, l.id, l.slug, l.version, l.execution_id, l.request_id, l.level, l.kind, l.text, l.details::text,
  null, null, null, null, null, null, null, null, null, null
from host.log_lines l
where :lines::boolean
  and (:slug::text is null or l.slug = :slug)
  and (:first_request::uuid is null or l.request_id between :first_request and :last_request)
  and (:since::timestamptz is null or l.at >= :since)
  and (:until::timestamptz is null or l.at < :until)
  and (:before_at::timestamptz is null or (l.at, l.id) < (:before_at, :before_id::bigint))
  and (:levels::text[] is null or l.level = any (:levels))
  and (:search::text is null or position(lower(:search) in lower(l.text)) > 0)
order by l.at desc, l.id desc
limit :limit)
order by at desc, id desc
limit :limit;

-- name: list_log_entries_after
-- returns: list[LogEntryRow]
-- null: execution_id, request_id, text, details, method, path, status, code, ms, cpu_us, cold, request_bytes,
-- null: response_bytes, region, :slug, :first_request, :since, :until, :after_at, :search, :after_id, :last_request,
-- null: :levels
-- List invocations and lines, oldest first, after a position.
(select i.at, i.id, i.slug, i.version, i.execution_id, i.request_id,
  case when i.status >= 500 then 'error' when i.status >= 400 then 'warning' else 'info' end as level,
  'invocation' as kind, null as text, null as details, i.method, i.path, i.status, i.code, i.ms, i.cpu_us, i.cold,
  i.request_bytes, i.response_bytes, i.region
from host.invocations i
where :invocations::boolean
  and (:slug::text is null or i.slug = :slug)
  and (:first_request::uuid is null or i.request_id between :first_request and :last_request)
  and (:since::timestamptz is null or i.at >= :since)
  and (:until::timestamptz is null or i.at < :until)
  and (:after_at::timestamptz is null or (i.at, i.id) > (:after_at, :after_id::bigint))
  and (:levels::text[] is null
    or (i.status >= 500 and 'error' = any (:levels))
    or (i.status >= 400 and i.status < 500 and 'warning' = any (:levels))
    or (i.status < 400 and 'info' = any (:levels)))
  and (:search::text is null or position(lower(:search) in lower(i.path)) > 0)
order by i.at, i.id
limit :limit)
union all
(select l.at, l.id, l.slug, l.version, l.execution_id, l.request_id, l.level, l.kind, l.text, l.details::text,
  null, null, null, null, null, null, null, null, null, null
from host.log_lines l
where :lines::boolean
  and (:slug::text is null or l.slug = :slug)
  and (:first_request::uuid is null or l.request_id between :first_request and :last_request)
  and (:since::timestamptz is null or l.at >= :since)
  and (:until::timestamptz is null or l.at < :until)
  and (:after_at::timestamptz is null or (l.at, l.id) > (:after_at, :after_id::bigint))
  and (:levels::text[] is null or l.level = any (:levels))
  and (:search::text is null or position(lower(:search) in lower(l.text)) > 0)
order by l.at, l.id
limit :limit)
order by at, id
limit :limit;

-- name: list_arrived_log_entries
-- returns: list[LogEntryRow]
-- null: execution_id, request_id, text, details, method, path, status, code, ms, cpu_us, cold, request_bytes,
-- null: response_bytes, region, :slug, :first_request, :search, :last_request, :levels
-- List invocations and lines with ids above `after_id`, except those seen already. Hosts commit out of order.
(select i.at, i.id, i.slug, i.version, i.execution_id, i.request_id,
  case when i.status >= 500 then 'error' when i.status >= 400 then 'warning' else 'info' end as level,
  'invocation' as kind, null as text, null as details, i.method, i.path, i.status, i.code, i.ms, i.cpu_us, i.cold,
  i.request_bytes, i.response_bytes, i.region
from host.invocations i
where :invocations::boolean
  and i.id > :after_id
  and i.id <> all (:seen::bigint[])
  and (:slug::text is null or i.slug = :slug)
  and (:first_request::uuid is null or i.request_id between :first_request and :last_request)
  and (:levels::text[] is null
    or (i.status >= 500 and 'error' = any (:levels))
    or (i.status >= 400 and i.status < 500 and 'warning' = any (:levels))
    or (i.status < 400 and 'info' = any (:levels)))
  and (:search::text is null or position(lower(:search) in lower(i.path)) > 0)
order by i.id
limit :limit)
union all
(select l.at, l.id, l.slug, l.version, l.execution_id, l.request_id, l.level, l.kind, l.text, l.details::text,
  null, null, null, null, null, null, null, null, null, null
from host.log_lines l
where :lines::boolean
  and l.id > :after_id
  and l.id <> all (:seen::bigint[])
  and (:slug::text is null or l.slug = :slug)
  and (:first_request::uuid is null or l.request_id between :first_request and :last_request)
  and (:levels::text[] is null or l.level = any (:levels))
  and (:search::text is null or position(lower(:search) in lower(l.text)) > 0)
order by l.id
limit :limit)
order by id
limit :limit;

-- name: last_log_id
-- returns: int
-- Return the highest id of the log, 0 when it is empty.
select greatest(
  coalesce((select max(id) from host.invocations), 0), coalesce((select max(id) from host.log_lines), 0)
) as id;

-- name: function_stats
-- returns: list[FunctionStats]
-- row: Invocations and lines of a function in a time span. `refused` counts 4xx, `failed` 5xx. `infos`, `warnings` and
-- row: `errors` count lines and events of workers. `dropped_...` counts what the log lacks. Times in ms are None
-- row: without invocations.
-- null: p50_ms, p95_ms, p99_ms, mean_ms, most_ms, most_cpu_us, :slug
-- Count invocations and lines of each function per `span`, counted from `origin`.
with asked as (
  select slug, date_bin(:span::interval, at, :origin) as starts_at,
    count(*) as invocations,
    count(*) filter (where status < 300) as succeeded,
    count(*) filter (where status between 300 and 399) as redirected,
    count(*) filter (where status between 400 and 499) as refused,
    count(*) filter (where status >= 500) as failed,
    count(*) filter (where cold) as cold_starts,
    percentile_disc(array[0.5, 0.95, 0.99]) within group (order by ms) as percentiles,
    avg(ms) as mean_ms, max(ms) as most_ms,
    sum(cpu_us)::bigint as cpu_us, max(cpu_us) as most_cpu_us,
    sum(request_bytes)::bigint as request_bytes, sum(response_bytes)::bigint as response_bytes
  from host.invocations
  where at >= :since and at < :until and (:slug::text is null or slug = :slug)
  group by 1, 2
), logged as (
  select slug, date_bin(:span::interval, at, :origin) as starts_at,
    count(*) filter (where kind = 'log') as lines,
    count(*) filter (where level in ('debug', 'info')) as infos,
    count(*) filter (where level = 'warning') as warnings,
    count(*) filter (where level = 'error') as errors,
    coalesce(sum((details ->> 'lines')::bigint) filter (where kind = 'dropped'), 0)::bigint as dropped_lines,
    coalesce(sum((details ->> 'invocations')::bigint) filter (where kind = 'dropped'), 0)::bigint as dropped_invocations
  from host.log_lines
  where at >= :since and at < :until and (:slug::text is null or slug = :slug)
  group by 1, 2
)
select slug, starts_at, coalesce(invocations, 0) as invocations, coalesce(succeeded, 0) as succeeded,
  coalesce(redirected, 0) as redirected, coalesce(refused, 0) as refused, coalesce(failed, 0) as failed,
  coalesce(cold_starts, 0) as cold_starts, percentiles[1] as p50_ms, percentiles[2] as p95_ms,
  percentiles[3] as p99_ms, mean_ms, most_ms, coalesce(cpu_us, 0) as cpu_us, most_cpu_us,
  coalesce(request_bytes, 0) as request_bytes, coalesce(response_bytes, 0) as response_bytes,
  coalesce(lines, 0) as lines, coalesce(infos, 0) as infos, coalesce(warnings, 0) as warnings,
  coalesce(errors, 0) as errors, coalesce(dropped_lines, 0) as dropped_lines,
  coalesce(dropped_invocations, 0) as dropped_invocations
from asked full join logged using (slug, starts_at)
order by slug, starts_at;
