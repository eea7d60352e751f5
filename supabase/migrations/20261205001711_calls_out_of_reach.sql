-- Why a call of an erasure is out of reach, and what an admin confirms: the calls that the page has shown.

alter table public.erasure_calls
  -- `former_workspace`: the call is in a former workspace. `unclear_workspace`: it was placed while the key was changed, and
  -- the workspace of the key does not have it. `no_key`: the account has no key.
  add column out_of_reach_reason text
    check (out_of_reach_reason in ('former_workspace', 'unclear_workspace', 'no_key'));
update public.erasure_calls c
set out_of_reach_reason = case
    when private.workspace_of_call(c.provider_account_id, coalesce(c.placed_from, '-infinity'),
      coalesce(c.placed_until, 'infinity'), c.out_of_reach_at + interval '5 minutes') = 'former' then 'former_workspace'
    else 'unclear_workspace' end
where c.out_of_reach_at is not null;
grant update (out_of_reach_reason) on public.erasure_calls to outdial_dialer;

-- When the erasure was reported as finished although not all of its calls were known to be deleted.
alter table public.erasures add column finished_without_proof_at timestamptz;
grant select (finished_without_proof_at) on public.erasures to authenticated;

-- Whether an account has a key: a stored one, or one in the environment of a dialer that has reported it since then.
create function private.account_has_key(p_provider_account_id uuid, p_since timestamptz) returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (
    select from public.provider_keys k where k.provider_account_id = p_provider_account_id and k.accepted_until is null
  ) or exists (
    select from public.provider_accounts a
    where a.id = p_provider_account_id and a.environment_key_at > p_since
  )
$$;
revoke all on function private.account_has_key(uuid, timestamptz) from public;
grant execute on function private.account_has_key(uuid, timestamptz) to outdial_dialer;

-- The name of the workspace that an account had a key of at a time, empty if not known.
create function private.workspace_at(p_provider_account_id uuid, p_at timestamptz) returns text
language sql stable security definer set search_path = ''
as $$
  select coalesce((
    select w.workspace_name from public.provider_workspaces w
    where w.provider_account_id = p_provider_account_id and w.since <= p_at
    order by w.since desc limit 1
  ), '')
$$;
revoke all on function private.workspace_at(uuid, timestamptz) from public;
grant execute on function private.workspace_at(uuid, timestamptz) to outdial_dialer;

-- Until when a dialer may still use the former key of an account, and so does not know what the workspace of the new one
-- has. Null if the last change is longer ago.
create function private.workspace_settles_at(p_provider_account_id uuid, p_now timestamptz) returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select max(w.since) + interval '5 minutes' from public.provider_workspaces w
  where w.provider_account_id = p_provider_account_id and w.since > p_now - interval '5 minutes'
$$;
revoke all on function private.workspace_settles_at(uuid, timestamptz) from public;
grant execute on function private.workspace_settles_at(uuid, timestamptz) to outdial_dialer;

-- A key that is entered. Calls that it may reach are not out of reach any more, and are tried once dialers have read it.
create or replace function private.note_workspace_change() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform private.begin_workspace(new.provider_account_id, new.workspace_id, new.workspace_name,
    'stored:' || new.id::text, new.entered_at, new.entered_at);
  update public.erasure_calls c
  set next_try_at = coalesce(private.workspace_settles_at(new.provider_account_id, new.entered_at),
      new.entered_at + interval '30 seconds'),
    out_of_reach_at = null, out_of_reach_reason = null, workspace_name = null
  where c.provider_account_id = new.provider_account_id and c.confirmed_at is null and c.out_of_reach_at is not null
    and (c.out_of_reach_reason = 'no_key'
      or private.workspace_of_call(new.provider_account_id, coalesce(c.placed_from, '-infinity'),
        coalesce(c.placed_until, 'infinity'), new.entered_at + interval '5 minutes') = 'current');
  return null;
end
$$;

-- An admin confirms that the calls of an erasure that were out of reach at a time are deleted at Retell. Returns how many
-- there are. Calls that came later were not shown, and are not confirmed.
-- squawk-ignore ban-drop-function
drop function private.confirm_erasure_calls(uuid, uuid, text, timestamptz);
create function private.confirm_erasure_calls(
  p_organization_id uuid, p_erasure_id uuid, p_confirmed_by text, p_until timestamptz, p_now timestamptz
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
    and c.out_of_reach_at <= p_until;
  get diagnostics number_confirmed = row_count;
  return number_confirmed;
end
$$;
revoke all on function private.confirm_erasure_calls(uuid, uuid, text, timestamptz, timestamptz) from public;
grant execute on function private.confirm_erasure_calls(uuid, uuid, text, timestamptz, timestamptz)
  to authenticated, service_role;

-- What keeps an erasure from being swept. An opt-out of an account without a key reaches no one: it is not waited for. A day,
-- because dialers that have a key in their environment may be stopped for a while.
-- squawk-ignore ban-drop-function
drop function private.erasure_waits_for(uuid, text[]);
create function private.erasure_waits_for(p_erasure_id uuid, p_numbers text[], p_now timestamptz) returns text
language sql stable security definer set search_path = ''
as $$
  select w.what from (
    select 'the import of ' || i.file_name as what, i.created_at
    from public.erasures e
    join public.imports i on i.organization_id = e.organization_id and i.created_at <= e.requested_at
      and i.status in ('uploading', 'ready', 'queued', 'running', 'cancelling')
    where e.id = p_erasure_id
    union all
    select 'a running export', x.created_at
    from public.erasures e
    join public.exports x on x.organization_id = e.organization_id and x.status = 'running'
    where e.id = p_erasure_id
    union all
    select 'the do-not-call list of Retell, which does not have the number yet', e.requested_at
    from public.erasures e
    join public.opt_out_syncs s on s.organization_id = e.organization_id and s.phone = e.phone
      and s.next_try_at is not null and private.account_has_key(s.provider_account_id, p_now - interval '1 day')
    where e.id = p_erasure_id
    union all
    select 'an event that is still to be applied', w.received_at
    from public.erasures e
    join public.webhook_events w on w.status = 'pending' and w.body_removed_at is null
      and (w.organization_id = e.organization_id or w.organization_id is null and w.credential in (
        select a.credential from public.provider_accounts a where a.organization_id = e.organization_id
      ))
    where e.id = p_erasure_id and private.mentions(pg_catalog.encode(w.body, 'escape'), p_numbers, e.terms)
  ) w
  order by w.created_at
  limit 1
$$;
revoke all on function private.erasure_waits_for(uuid, text[], timestamptz) from public;
grant execute on function private.erasure_waits_for(uuid, text[], timestamptz) to outdial_jobs;

-- Deletes the opt-outs of the phone that the provider has confirmed, and those of accounts without a key.
-- squawk-ignore ban-drop-function
drop function private.sweep_opt_outs(uuid);
create function private.sweep_opt_outs(p_erasure_id uuid, p_now timestamptz) returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  owner_id uuid;
  number_deleted bigint;
begin
  select e.organization_id into owner_id from public.erasures e where e.id = p_erasure_id;
  perform private.check_sweep(owner_id);
  delete from public.opt_out_syncs s using public.erasures e
  where e.id = p_erasure_id and s.organization_id = owner_id and s.phone = e.phone
    and (s.next_try_at is null or not private.account_has_key(s.provider_account_id, p_now - interval '1 day'));
  get diagnostics number_deleted = row_count;
  return number_deleted;
end
$$;
revoke all on function private.sweep_opt_outs(uuid, timestamptz) from public;
grant execute on function private.sweep_opt_outs(uuid, timestamptz) to outdial_jobs;
