-- Which Retell workspace the key of an account was one of, and when. A workspace knows only its own calls: that it does not
-- have a call says nothing about the call of another one.

create table public.provider_workspaces (
  organization_id uuid not null,
  provider_account_id uuid not null,
  -- Calls are placed in this workspace until the next row begins.
  since timestamptz not null,
  -- Null while Retell has not named it. It then counts as another workspace than any other.
  workspace_id text check (workspace_id <> ''),
  workspace_name text not null default '',
  -- The row of a stored key, or the fingerprint of one in the environment: the same key is of the same workspace.
  key_mark text not null check (key_mark <> ''),
  primary key (provider_account_id, since),
  foreign key (organization_id, provider_account_id) references public.provider_accounts (organization_id, id)
    on delete cascade
);
-- Written by the functions below.
revoke all on public.provider_workspaces from anon, authenticated, service_role;
grant select (organization_id, provider_account_id, since, workspace_id, workspace_name) on public.provider_workspaces
  to authenticated, service_role;
alter table public.provider_workspaces enable row level security;
alter table public.provider_workspaces force row level security;
create policy members_read on public.provider_workspaces for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));

alter table public.erasure_calls
  -- When the call was placed, as far as is known.
  add column placed_from timestamptz,
  add column placed_until timestamptz,
  -- The workspace of the key does not have the call, but the call may have been placed in a former one.
  add column out_of_reach_at timestamptz,
  -- The name of the former workspace.
  add column workspace_name text,
  -- Who has confirmed that the call is deleted. Null for Retell.
  add column confirmed_by text check (confirmed_by <> '');
-- The runner keeps a migration in one transaction, where an index cannot be built concurrently. The table is small.
-- squawk-ignore require-concurrent-index-creation
create index erasure_calls_call on public.erasure_calls (call_id);
grant update (out_of_reach_at, workspace_name) on public.erasure_calls to outdial_dialer;

-- Notes which workspace the key of an account is of, if that is new. Calls that are out of reach are tried again once
-- dialers have read the key.
create function private.begin_workspace(
  p_provider_account_id uuid, p_workspace_id text, p_workspace_name text, p_key_mark text, p_since timestamptz,
  p_now timestamptz
) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  latest public.provider_workspaces;
begin
  perform from public.provider_accounts a where a.id = p_provider_account_id for no key update;
  select w.* into latest from public.provider_workspaces w
  where w.provider_account_id = p_provider_account_id order by w.since desc limit 1;
  if latest.workspace_id = p_workspace_id
    or latest.key_mark = p_key_mark and (latest.workspace_id is null or p_workspace_id is null) then
    update public.provider_workspaces w
    set key_mark = p_key_mark, workspace_id = coalesce(p_workspace_id, w.workspace_id),
      workspace_name = coalesce(nullif(p_workspace_name, ''), w.workspace_name)
    where w.provider_account_id = p_provider_account_id and w.since = latest.since
      and (w.key_mark <> p_key_mark or w.workspace_id is distinct from coalesce(p_workspace_id, w.workspace_id)
        or w.workspace_name <> coalesce(nullif(p_workspace_name, ''), w.workspace_name));
    return;
  end if;
  insert into public.provider_workspaces (organization_id, provider_account_id, since, workspace_id, workspace_name,
    key_mark)
  select a.organization_id, a.id, case when latest is null then p_since else p_now end, p_workspace_id,
    p_workspace_name, p_key_mark
  from public.provider_accounts a where a.id = p_provider_account_id
  on conflict (provider_account_id, since) do update
    set workspace_id = excluded.workspace_id, workspace_name = excluded.workspace_name, key_mark = excluded.key_mark;
  if latest is null then
    return;
  end if;
  update public.provider_accounts a set workspace_since = p_now where a.id = p_provider_account_id;
  update public.erasure_calls c set next_try_at = p_now + interval '5 minutes'
  where c.provider_account_id = p_provider_account_id and c.confirmed_at is null and c.out_of_reach_at is not null;
  -- Two dialers with keys of two workspaces add a row every few minutes. What is forgotten counts as unknown.
  delete from public.provider_workspaces w
  where w.provider_account_id = p_provider_account_id and w.since in (
    select f.since from public.provider_workspaces f
    where f.provider_account_id = p_provider_account_id order by f.since desc offset 100
  );
end
$$;
revoke all on function private.begin_workspace(uuid, text, text, text, timestamptz, timestamptz) from public;

-- Where a call is that was placed between two times: `current` if the key of the account is of its workspace, `former` if
-- it is of another, `unclear` if both are possible. Dialers use a former key for at most five minutes after a change.
create function private.workspace_of_call(
  p_provider_account_id uuid, p_from timestamptz, p_until timestamptz, p_now timestamptz
) returns text
language sql stable security definer set search_path = ''
as $$
  with periods as (
    select w.since, w.workspace_id,
      lead(w.since) over (order by w.since) as next,
      first_value(w.workspace_id) over (order by w.since desc) as latest_id
    from public.provider_workspaces w where w.provider_account_id = p_provider_account_id
  ), judged as (
    select p.since <= p_until and coalesce(p.next + interval '5 minutes' > p_from, true) as may_have_call,
      coalesce(p.next + interval '5 minutes' > p_now, true) as may_respond,
      p.since <= p_from as began_before,
      p.next is null or coalesce(p.workspace_id = p.latest_id, false) as is_latest
    from periods p
  )
  select case
    when not exists (select from judged) then 'current'
    when not coalesce(bool_or(j.may_have_call and j.is_latest), false) then 'former'
    when bool_or(j.began_before) and not bool_or((j.may_have_call or j.may_respond) and not j.is_latest) then 'current'
    else 'unclear' end
  from judged j
$$;
revoke all on function private.workspace_of_call(uuid, timestamptz, timestamptz, timestamptz) from public;
grant execute on function private.workspace_of_call(uuid, timestamptz, timestamptz, timestamptz) to outdial_dialer;

-- Where a call of the caller's organization is.
create function private.workspace_of_own_call(p_organization_id uuid, p_call_id uuid, p_now timestamptz) returns text
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'hanging up calls');
  return (
    select private.workspace_of_call(c.provider_account_id, c.created_at, c.created_at, p_now)
    from public.calls c where c.id = p_call_id and c.organization_id = p_organization_id
  );
end
$$;
revoke all on function private.workspace_of_own_call(uuid, uuid, timestamptz) from public;
grant execute on function private.workspace_of_own_call(uuid, uuid, timestamptz) to authenticated, service_role;

-- The name of the last former workspace in which a call between two times may have been placed, empty if not known.
create function private.former_workspace(p_provider_account_id uuid, p_from timestamptz, p_until timestamptz)
returns text
language sql stable security definer set search_path = ''
as $$
  select coalesce((
    select w.workspace_name from public.provider_workspaces w
    where w.provider_account_id = p_provider_account_id and w.since <= p_until
      and w.workspace_id is distinct from (
        select l.workspace_id from public.provider_workspaces l
        where l.provider_account_id = p_provider_account_id order by l.since desc limit 1
      )
    order by w.since desc limit 1
  ), '')
$$;
revoke all on function private.former_workspace(uuid, timestamptz, timestamptz) from public;
grant execute on function private.former_workspace(uuid, timestamptz, timestamptz) to outdial_dialer;

-- A key that is entered.
create or replace function private.note_workspace_change() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform private.begin_workspace(new.provider_account_id, new.workspace_id, new.workspace_name,
    'stored:' || new.id::text, new.entered_at, new.entered_at);
  return null;
end
$$;

-- Keys of the environment. An account without any earlier workspace has always had this one, as far as is known.
-- Dialers of the version before log that they cannot report. They report again once they are new, too.
-- squawk-ignore ban-drop-function
drop function private.report_environment_keys(text[], text[], timestamptz);
create function private.report_environment_keys(
  p_credentials text[], p_workspace_ids text[], p_workspace_names text[], p_fingerprints text[], p_now timestamptz
) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform from public.provider_accounts a where a.credential = any (p_credentials) order by a.id for no key update;
  update public.provider_accounts a
  set environment_key_at = p_now, environment_workspace_id = coalesce(u.workspace_id, a.environment_workspace_id)
  from rows from (pg_catalog.unnest(p_credentials), pg_catalog.unnest(p_workspace_ids)) as u (credential, workspace_id)
  where a.credential = u.credential;
  perform private.begin_workspace(a.id, u.workspace_id, u.workspace_name, 'environment:' || u.fingerprint, '-infinity',
    p_now)
  from rows from (
      pg_catalog.unnest(p_credentials), pg_catalog.unnest(p_workspace_ids), pg_catalog.unnest(p_workspace_names),
      pg_catalog.unnest(p_fingerprints)
    ) as u (credential, workspace_id, workspace_name, fingerprint)
  join public.provider_accounts a on a.credential = u.credential;
end
$$;
revoke all on function private.report_environment_keys(text[], text[], text[], text[], timestamptz) from public;
grant execute on function private.report_environment_keys(text[], text[], text[], text[], timestamptz)
  to outdial_dialer;

-- Stored keys that a dialer begins to use, perhaps because the environment has none any more.
create function private.report_stored_keys(p_provider_account_ids uuid[], p_now timestamptz) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform from public.provider_accounts a where a.id = any (p_provider_account_ids) order by a.id for no key update;
  perform private.begin_workspace(k.provider_account_id, k.workspace_id, k.workspace_name, 'stored:' || k.id::text,
    k.entered_at, p_now)
  from public.provider_keys k
  where k.provider_account_id = any (p_provider_account_ids) and k.accepted_until is null;
end
$$;
revoke all on function private.report_stored_keys(uuid[], timestamptz) from public;
grant execute on function private.report_stored_keys(uuid[], timestamptz) to outdial_dialer;

-- When a call that is to be deleted was placed. Webhooks of a former key are accepted for a day, so an event without a call
-- of ours may be of a workspace that was left a day before.
create function private.date_erasure_call() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  select c.created_at, c.created_at into new.placed_from, new.placed_until
  from public.calls c where c.id = new.call_id;
  if new.placed_from is null then
    select t.sent_at, t.sent_at into new.placed_from, new.placed_until
    from public.test_calls t where t.retell_call_id = new.retell_call_id;
  end if;
  if new.placed_from is null then
    select min(w.received_at) - interval '1 day', min(w.received_at) into new.placed_from, new.placed_until
    from public.webhook_events w where w.retell_call_id = new.retell_call_id;
  end if;
  return new;
end
$$;
revoke all on function private.date_erasure_call() from public;
create trigger erasure_calls_dated before insert on public.erasure_calls
  for each row execute function private.date_erasure_call();

-- An admin confirms that the calls of an erasure that are out of reach are deleted at Retell. Returns how many there are.
create function private.confirm_erasure_calls(
  p_organization_id uuid, p_erasure_id uuid, p_confirmed_by text, p_now timestamptz
) returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  number_confirmed bigint;
begin
  if current_setting('role') <> 'service_role'
    and not p_organization_id = any (array(select private.my_organizations('admin'))) then
    raise exception 'confirming deletions requires the role admin in the organization'
      using errcode = 'insufficient_privilege';
  end if;
  update public.erasure_calls c
  set confirmed_at = p_now, confirmed_by = private.caller_name(p_confirmed_by), error = null
  where c.organization_id = p_organization_id and c.erasure_id = p_erasure_id and c.confirmed_at is null
    and c.out_of_reach_at is not null;
  get diagnostics number_confirmed = row_count;
  return number_confirmed;
end
$$;
revoke all on function private.confirm_erasure_calls(uuid, uuid, text, timestamptz) from public;
grant execute on function private.confirm_erasure_calls(uuid, uuid, text, timestamptz) to authenticated, service_role;

-- What is known so far.
insert into public.provider_workspaces (organization_id, provider_account_id, since, workspace_id, key_mark)
select a.organization_id, a.id, '-infinity', a.environment_workspace_id, 'environment:unknown'
from public.provider_accounts a where a.environment_workspace_id is not null;
insert into public.provider_workspaces (organization_id, provider_account_id, since, workspace_id, workspace_name,
  key_mark)
select k.organization_id, k.provider_account_id, coalesce(a.workspace_since, k.entered_at), k.workspace_id,
  k.workspace_name, 'stored:' || k.id::text
from public.provider_keys k join public.provider_accounts a on a.id = k.provider_account_id
where k.accepted_until is null and k.workspace_id is distinct from a.environment_workspace_id;
update public.erasure_calls d set placed_from = c.created_at, placed_until = c.created_at
from public.calls c where d.confirmed_at is null and c.id = d.call_id;
