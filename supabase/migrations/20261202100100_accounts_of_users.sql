-- Sessions that their users see and end, password resets and second factors. On plain Postgres our own Auth keeps them;
-- on a Supabase project, Supabase's does.

do $$
begin
  if obj_description(to_regnamespace('auth'), 'pg_namespace') = 'made by outdial' then
    grant select, insert, update, delete on auth.password_resets, auth.mfa_factors, auth.recovery_codes to outdial_auth;
  end if;
end
$$;

-- Organizations in which the caller has at least the given role. A user with a second factor has to have given it in
-- this session (aal2): a password alone opens nothing.
create or replace function private.my_organizations(minimum text default 'viewer') returns setof uuid
language sql stable security definer set search_path = ''
as $$
  select m.organization_id
  from public.organization_members m
  where m.user_id = (select auth.uid())
    and array_position(array['viewer', 'operator', 'admin', 'owner'], m.role)
        >= array_position(array['viewer', 'operator', 'admin', 'owner'], minimum)
    and ((select auth.jwt() ->> 'aal') = 'aal2' or not exists (
      select from auth.mfa_factors f where f.user_id = (select auth.uid()) and f.status::text = 'verified'
    ))
$$;

create function private.my_sessions(p_now timestamptz)
returns table (id uuid, created_at timestamptz, used_at timestamptz, user_agent text, is_current boolean)
language plpgsql stable security definer set search_path = ''
as $$
declare
  present text := (select auth.jwt() ->> 'session_id');
begin
  if pg_catalog.obj_description(pg_catalog.to_regnamespace('auth'), 'pg_namespace') = 'made by outdial' then
    return query
      select s.id, s.created_at, s.refreshed_at, s.user_agent, s.id::text = present
      from auth.sessions s
      where s.user_id = (select auth.uid()) and s.ended_at is null and s.refreshed_at > p_now - interval '30 days';
  else
    return query
      select s.id, s.created_at, coalesce(s.refreshed_at at time zone 'UTC', s.created_at), s.user_agent::text,
        s.id::text = present
      from auth.sessions s
      where s.user_id = (select auth.uid()) and (s.not_after is null or s.not_after > p_now);
  end if;
end
$$;
revoke all on function private.my_sessions(timestamptz) from public;
grant execute on function private.my_sessions(timestamptz) to authenticated;

create function private.end_my_session(p_id uuid, p_now timestamptz) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if pg_catalog.obj_description(pg_catalog.to_regnamespace('auth'), 'pg_namespace') = 'made by outdial' then
    update auth.sessions s set ended_at = p_now
    where s.id = p_id and s.user_id = (select auth.uid()) and s.ended_at is null;
  else
    delete from auth.sessions s where s.id = p_id and s.user_id = (select auth.uid());
  end if;
  return found;
end
$$;
revoke all on function private.end_my_session(uuid, timestamptz) from public;
grant execute on function private.end_my_session(uuid, timestamptz) to authenticated;

-- What users change about their own account concerns each organization that they work for. The caller is the user, or
-- the service on behalf of one who has no session while they reset their password.
create function private.audit_account_change(p_user_id uuid, p_action text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if p_action not in ('change_password', 'reset_password', 'enable_two_factor', 'disable_two_factor') then
    raise exception 'not a change of an account: %', p_action using errcode = 'check_violation';
  end if;
  if pg_catalog.current_setting('role') <> 'service_role' and p_user_id is distinct from (select auth.uid()) then
    raise exception 'only about the own account' using errcode = 'insufficient_privilege';
  end if;
  insert into public.audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
  select m.organization_id, pg_catalog.clock_timestamp(), p_user_id::text, p_action, 'user', p_user_id::text, '{}'
  from public.organization_members m where m.user_id = p_user_id
  order by m.organization_id;
end
$$;
revoke all on function private.audit_account_change(uuid, text) from public;
grant execute on function private.audit_account_change(uuid, text) to authenticated, service_role;
