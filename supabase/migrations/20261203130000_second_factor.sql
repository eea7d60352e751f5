-- A user with an authenticator app has to have given its code in this session (aal2). Without it, `private.my_organizations`
-- opens no organization; from now on, nothing else either: invitations, sessions, leaving an organization.

-- Written again in private.my_organizations, which runs in every policy.
create function private.lacks_second_factor() returns boolean
language sql stable security definer set search_path = ''
as $$
  select (select auth.jwt() ->> 'aal') is distinct from 'aal2' and exists (
    select from auth.mfa_factors f
    where f.user_id = (select auth.uid()) and f.status::text = 'verified' and f.factor_type::text = 'totp'
  )
$$;
revoke all on function private.lacks_second_factor() from public;
grant execute on function private.lacks_second_factor() to authenticated;

-- The caller's confirmed email address, in lower case. Claims may hold an address that was never confirmed.
create or replace function private.my_email() returns text
language sql stable security definer set search_path = ''
as $$
  select lower(u.email) from auth.users u
  where u.id = (select auth.uid()) and u.email_confirmed_at is not null and not (select private.lacks_second_factor())
$$;

create or replace function private.answer_invitation_link(p_token_sha256 bytea, p_accepts boolean, p_now timestamptz)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  found_organization uuid;
  found_email text;
begin
  if (select private.lacks_second_factor()) then
    return null;
  end if;
  select i.organization_id, i.email into found_organization, found_email
  from public.invitations i
  where i.token_sha256 = p_token_sha256
    and i.email = (select lower(u.email) from auth.users u where u.id = (select auth.uid()));
  if found_organization is not null and private.end_invitation(found_organization, found_email, p_accepts, p_now) then
    return found_organization;
  end if;
  return null;
end
$$;

-- The sessions of the caller. One that was begun with the password alone and waits for the code is pending: it opens nothing.
-- Processes of the version before call private.my_sessions.
create function private.my_sessions_and_pending(p_now timestamptz)
returns table (
  id uuid, created_at timestamptz, used_at timestamptz, user_agent text, is_current boolean, is_pending boolean
)
language plpgsql stable security definer set search_path = ''
as $$
declare
  present text := (select auth.jwt() ->> 'session_id');
  has_factor boolean := exists (
    select from auth.mfa_factors f
    where f.user_id = (select auth.uid()) and f.status::text = 'verified' and f.factor_type::text = 'totp'
  );
begin
  if (select private.lacks_second_factor()) then
    return;
  elsif pg_catalog.obj_description(pg_catalog.to_regnamespace('auth'), 'pg_namespace') = 'made by outdial' then
    return query
      select s.id, s.created_at, s.refreshed_at, s.user_agent, s.id::text = present, has_factor and s.aal <> 'aal2'
      from auth.sessions s
      where s.user_id = (select auth.uid()) and s.ended_at is null and s.refreshed_at > p_now - interval '30 days';
  else
    return query
      select s.id, s.created_at, coalesce(s.refreshed_at at time zone 'UTC', s.created_at), s.user_agent::text,
        s.id::text = present, has_factor and s.aal::text is distinct from 'aal2'
      from auth.sessions s
      where s.user_id = (select auth.uid()) and (s.not_after is null or s.not_after > p_now);
  end if;
end
$$;
revoke all on function private.my_sessions_and_pending(timestamptz) from public;
grant execute on function private.my_sessions_and_pending(timestamptz) to authenticated;

create or replace function private.my_sessions(p_now timestamptz)
returns table (id uuid, created_at timestamptz, used_at timestamptz, user_agent text, is_current boolean)
language sql stable security definer set search_path = ''
as $$
  select s.id, s.created_at, s.used_at, s.user_agent, s.is_current from private.my_sessions_and_pending(p_now) s
$$;

create or replace function private.end_my_session(p_id uuid, p_now timestamptz) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if (select private.lacks_second_factor()) then
    return false;
  elsif pg_catalog.obj_description(pg_catalog.to_regnamespace('auth'), 'pg_namespace') = 'made by outdial' then
    update auth.sessions s set ended_at = p_now
    where s.id = p_id and s.user_id = (select auth.uid()) and s.ended_at is null;
  else
    delete from auth.sessions s where s.id = p_id and s.user_id = (select auth.uid());
  end if;
  return found;
end
$$;

alter policy members_leave on public.organization_members
  using (user_id = (select auth.uid()) and not (select private.lacks_second_factor()));
