-- A new workspace of an account learns of all opt-outs. Beginning them again took 2 to 10 s for 100,000 opt-outs, within the
-- request in which an admin enters a key. Now that request only notes it, and dialers work it off in portions.

create table public.opt_out_restarts (
  provider_account_id uuid primary key,
  organization_id uuid not null,
  -- When the workspace began.
  requested_at timestamptz not null,
  foreign key (organization_id, provider_account_id)
    references public.provider_accounts (organization_id, id) on delete cascade
);
create index opt_out_restarts_organization on public.opt_out_restarts (organization_id, provider_account_id);
-- Written by the functions below.
revoke all on public.opt_out_restarts from anon, authenticated, service_role;
grant select on public.opt_out_restarts to authenticated, service_role, outdial_dialer;
alter table public.opt_out_restarts enable row level security;
alter table public.opt_out_restarts force row level security;
create policy members_read on public.opt_out_restarts for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy dialer_reads on public.opt_out_restarts for select to outdial_dialer
  using (organization_id = (select private.current_organization()));

create or replace function private.begin_opt_outs(p_provider_account_id uuid, p_now timestamptz) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  insert into public.opt_out_restarts (provider_account_id, organization_id, requested_at)
  select a.id, a.organization_id, p_now from public.provider_accounts a where a.id = p_provider_account_id
  on conflict (provider_account_id) do update set requested_at = excluded.requested_at;
  update public.opt_out_reads r
  set next_read_at = p_now + interval '5 minutes', page = null, read_at = null, error = null
  where r.provider_account_id = p_provider_account_id;
end
$$;

-- Begins the next opt-outs of an account again. Returns how many; null if no account waits for it, or another dialer does it.
create function private.restart_opt_outs(p_limit integer) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  restart public.opt_out_restarts;
  phones text[];
begin
  select r.* into restart from public.opt_out_restarts r
  order by r.requested_at, r.provider_account_id limit 1 for update skip locked;
  if not found then
    return null;
  end if;
  -- Those that the former workspace knows of, or may learn of from a request that is under way. In the order in which lists
  -- of numbers are added.
  select coalesce(pg_catalog.array_agg(l.phone), '{}') into phones from (
    select s.phone from public.opt_out_syncs s
    where s.provider_account_id = restart.provider_account_id
      and (s.confirmed_at is not null or s.tries > 0 or s.is_ours or not s.do_not_call)
    order by s.phone limit p_limit for update
  ) l;
  -- Outdial has put nothing on the list of the new workspace, and takes nothing off it. Nor does the new workspace get a
  -- number that has left the list, while the former one kept it.
  delete from public.opt_out_syncs s
  where s.provider_account_id = restart.provider_account_id and s.phone = any (phones)
    and (not s.do_not_call or s.next_try_at is null and not exists (
      select from public.do_not_call d
      where d.organization_id = s.organization_id and d.phone = s.phone and d.purpose = 'any'
    ));
  -- Once no dialer uses the former key any more, which would send them to the former workspace again.
  update public.opt_out_syncs s
  set next_try_at = restart.requested_at + interval '5 minutes', tries = 0, error = null, confirmed_at = null,
    is_ours = false
  where s.provider_account_id = restart.provider_account_id and s.phone = any (phones);
  if pg_catalog.cardinality(phones) < p_limit then
    delete from public.opt_out_restarts r where r.provider_account_id = restart.provider_account_id;
  end if;
  return pg_catalog.cardinality(phones);
end
$$;
revoke all on function private.restart_opt_outs(integer) from public;
grant execute on function private.restart_opt_outs(integer) to outdial_dialer;

-- Dialers with keys of two workspaces in their environments changed the account's workspace with each report, and each change
-- began all opt-outs again, so that none was ever sent. The keys that dialers report tell that apart from a changed key.
create table public.environment_keys (
  provider_account_id uuid not null,
  fingerprint text not null check (fingerprint <> ''),
  organization_id uuid not null,
  -- Null while Retell has not named it.
  workspace_id text check (workspace_id <> ''),
  workspace_name text not null default '',
  -- Since when a dialer has reported the key without a pause.
  first_reported_at timestamptz not null,
  reported_at timestamptz not null,
  primary key (provider_account_id, fingerprint),
  foreign key (organization_id, provider_account_id)
    references public.provider_accounts (organization_id, id) on delete cascade
);
create index environment_keys_organization on public.environment_keys (organization_id, provider_account_id);
-- Written by report_environment_keys.
revoke all on public.environment_keys from anon, authenticated, service_role;
grant select (provider_account_id, organization_id, workspace_id, workspace_name, first_reported_at, reported_at)
  on public.environment_keys to authenticated, service_role;
alter table public.environment_keys enable row level security;
alter table public.environment_keys force row level security;
create policy members_read on public.environment_keys for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));

-- Since when dialers have keys of different workspaces for the account; null if they do not.
alter table public.provider_accounts add column keys_differ_since timestamptz;

-- Whether dialers have keys of different workspaces for an account. Each of the two was reported after the other: a key that
-- has replaced another one is not, because the former one is reported no more. They count for 15 minutes, three reports.
create function private.environment_keys_differ(p_provider_account_id uuid, p_now timestamptz) returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (
    select from public.environment_keys a
    join public.environment_keys b
      on b.provider_account_id = a.provider_account_id and b.fingerprint > a.fingerprint
    where a.provider_account_id = p_provider_account_id
      and a.reported_at > p_now - interval '15 minutes' and b.reported_at > p_now - interval '15 minutes'
      and a.reported_at > b.first_reported_at and b.reported_at > a.first_reported_at
      and (a.workspace_id = b.workspace_id) is not true
  )
$$;
revoke all on function private.environment_keys_differ(uuid, timestamptz) from public;

-- While keys differ, opt-outs go to either workspace. Once they do not, the one that is left gets all of them.
create or replace function private.note_new_workspace() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  -- The first workspace of an account that is known is the one that its opt-outs went to.
  if not private.environment_keys_differ(new.provider_account_id, new.since) and exists (
    select from public.provider_workspaces w
    where w.provider_account_id = new.provider_account_id and w.since < new.since
  ) then
    perform private.begin_opt_outs(new.provider_account_id, new.since);
  end if;
  return null;
end
$$;

-- Returns the accounts for which dialers have keys of different workspaces.
-- squawk-ignore ban-drop-function
drop function private.report_environment_keys(text[], text[], text[], text[], timestamptz);
create function private.report_environment_keys(
  p_credentials text[], p_workspace_ids text[], p_workspace_names text[], p_fingerprints text[], p_now timestamptz
) returns setof text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  agreed uuid;
begin
  perform from public.provider_accounts a where a.credential = any (p_credentials) order by a.id for no key update;
  insert into public.environment_keys as k (
    provider_account_id, fingerprint, organization_id, workspace_id, workspace_name, first_reported_at, reported_at
  )
  select a.id, u.fingerprint, a.organization_id, u.workspace_id, coalesce(u.workspace_name, ''), p_now, p_now
  from rows from (
      pg_catalog.unnest(p_credentials), pg_catalog.unnest(p_workspace_ids), pg_catalog.unnest(p_workspace_names),
      pg_catalog.unnest(p_fingerprints)
    ) as u (credential, workspace_id, workspace_name, fingerprint)
  join public.provider_accounts a on a.credential = u.credential
  on conflict (provider_account_id, fingerprint) do update
    set workspace_id = coalesce(excluded.workspace_id, k.workspace_id),
      workspace_name = coalesce(nullif(excluded.workspace_name, ''), k.workspace_name),
      first_reported_at = case when k.reported_at > p_now - interval '15 minutes' then k.first_reported_at else p_now end,
      reported_at = p_now;
  delete from public.environment_keys k using public.provider_accounts a
  where a.id = k.provider_account_id and a.credential = any (p_credentials) and k.reported_at < p_now - interval '1 day';
  update public.provider_accounts a
  set environment_key_at = p_now, environment_workspace_id = coalesce(u.workspace_id, a.environment_workspace_id),
    keys_differ_since = case when private.environment_keys_differ(a.id, p_now)
      then coalesce(a.keys_differ_since, p_now) else a.keys_differ_since end
  from rows from (pg_catalog.unnest(p_credentials), pg_catalog.unnest(p_workspace_ids)) as u (credential, workspace_id)
  where a.credential = u.credential;
  perform private.begin_workspace(a.id, u.workspace_id, u.workspace_name, 'environment:' || u.fingerprint, '-infinity',
    p_now)
  from rows from (
      pg_catalog.unnest(p_credentials), pg_catalog.unnest(p_workspace_ids), pg_catalog.unnest(p_workspace_names),
      pg_catalog.unnest(p_fingerprints)
    ) as u (credential, workspace_id, workspace_name, fingerprint)
  join public.provider_accounts a on a.credential = u.credential;
  for agreed in
    select a.id from public.provider_accounts a
    where a.credential = any (p_credentials) and a.keys_differ_since is not null
      and not private.environment_keys_differ(a.id, p_now)
    order by a.id
  loop
    perform private.agree_on_workspace(agreed, p_now);
  end loop;
  return query select a.credential from public.provider_accounts a
    where a.credential = any (p_credentials) and a.keys_differ_since is not null order by a.credential;
end
$$;
revoke all on function private.report_environment_keys(text[], text[], text[], text[], timestamptz) from public;
grant execute on function private.report_environment_keys(text[], text[], text[], text[], timestamptz)
  to outdial_dialer;

-- Keys of an account no longer differ: its opt-outs begin again, because either workspace has only some of them.
create function private.agree_on_workspace(p_provider_account_id uuid, p_now timestamptz) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.provider_accounts a set keys_differ_since = null
  where a.id = p_provider_account_id and a.keys_differ_since is not null;
  if found then
    perform private.begin_opt_outs(p_provider_account_id, p_now);
  end if;
end
$$;
revoke all on function private.agree_on_workspace(uuid, timestamptz) from public;

-- Stored keys that a dialer begins to use, perhaps because the environment has none any more.
create or replace function private.report_stored_keys(p_provider_account_ids uuid[], p_now timestamptz) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform from public.provider_accounts a where a.id = any (p_provider_account_ids) order by a.id for no key update;
  perform private.begin_workspace(k.provider_account_id, k.workspace_id, k.workspace_name, 'stored:' || k.id::text,
    k.entered_at, p_now)
  from public.provider_keys k
  where k.provider_account_id = any (p_provider_account_ids) and k.accepted_until is null;
  perform private.agree_on_workspace(a.id, p_now) from public.provider_accounts a
  where a.id = any (p_provider_account_ids) and a.keys_differ_since is not null
    and not private.environment_keys_differ(a.id, p_now);
end
$$;

-- Opt-outs of all organizations that are due, oldest first. Those of an account whose key has just changed wait, because a
-- dialer may still use the former one; and until all of them have begun again, because a withdrawn one would take a number
-- off the list of the new workspace. Where keys differ, they go to the workspace of the dialer that takes them; withdrawn
-- ones wait.
create or replace function private.opt_outs_to_send(p_now timestamptz, p_limit integer)
returns table (organization_id uuid, provider_account_id uuid, phone text)
language sql stable security definer set search_path = ''
as $$
  select s.organization_id, s.provider_account_id, s.phone
  from public.opt_out_syncs s join public.provider_accounts a on a.id = s.provider_account_id
  where s.next_try_at <= p_now
    and not exists (select from public.opt_out_restarts r where r.provider_account_id = s.provider_account_id)
    and case when a.keys_differ_since is null
      then private.workspace_settles_at(s.provider_account_id, p_now) is null else s.do_not_call end
  order by s.next_try_at
  limit p_limit
$$;

-- Accounts of all organizations whose list is due to be read.
create or replace function private.opt_out_reads_due(p_now timestamptz, p_limit integer)
returns table (organization_id uuid, provider_account_id uuid, credential text)
language sql stable security definer set search_path = ''
as $$
  select a.organization_id, a.id, a.credential
  from public.provider_accounts a left join public.opt_out_reads r on r.provider_account_id = a.id
  where (r.next_read_at is null or r.next_read_at <= p_now)
    and not exists (select from public.opt_out_restarts w where w.provider_account_id = a.id)
  order by r.next_read_at nulls first, a.id
  limit p_limit
$$;

-- An erasure keeps the opt-outs of the phone that are still to be sent. Those that are about to begin again are.
create function private.restart_opt_outs_of_erased() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  update public.opt_out_syncs s
  set next_try_at = r.requested_at + interval '5 minutes', tries = 0, error = null, confirmed_at = null, is_ours = false
  from public.opt_out_restarts r
  where r.provider_account_id = s.provider_account_id and s.organization_id = new.organization_id
    and s.phone = new.phone and s.do_not_call and exists (
      select from public.do_not_call d
      where d.organization_id = s.organization_id and d.phone = s.phone and d.purpose = 'any'
    );
  return new;
end
$$;
revoke all on function private.restart_opt_outs_of_erased() from public;
create trigger erasures_restart_opt_outs before insert or update of phone on public.erasures
  for each row when (new.phone is not null) execute function private.restart_opt_outs_of_erased();
