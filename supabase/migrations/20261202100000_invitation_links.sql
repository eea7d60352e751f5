-- An invitation has a link, which is valid for a week and once. Invitations without one are of studios of the version
-- before: they stay until they are accepted or withdrawn.

alter table public.invitations
  -- The studio signs the link's id, and stores a hash of the signature: neither the database nor its secret is enough
  -- to make a link.
  add column link_id uuid,
  add column token_sha256 bytea check (octet_length(token_sha256) = 32),
  add column expires_at timestamptz;
-- A table of few rows.
-- squawk-ignore require-concurrent-index-creation
create unique index invitations_token on public.invitations (token_sha256);

create function private.my_open_invitations(p_now timestamptz)
returns table (organization_id uuid, organization_name text, role text, created_at timestamptz)
language sql stable security definer set search_path = ''
as $$
  select i.organization_id, o.name, i.role, i.created_at
  from public.invitations i join public.organizations o on o.id = i.organization_id
  where i.email = (select private.my_email()) and (i.expires_at is null or i.expires_at > p_now)
$$;
revoke all on function private.my_open_invitations(timestamptz) from public;
grant execute on function private.my_open_invitations(timestamptz) to authenticated;

-- Ends the invitation of an address to an organization, and makes the caller a member if they accept. Returns false
-- without one, or when it has expired. The callers of this function check that the address is the caller's.
create function private.end_invitation(p_organization_id uuid, p_email text, p_accepts boolean, p_now timestamptz)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  caller uuid := (select auth.uid());
  invited_role text;
begin
  delete from public.invitations i
  where i.organization_id = p_organization_id and i.email = p_email
    and (i.expires_at is null or i.expires_at > p_now)
  returning i.role into invited_role;
  if invited_role is null then
    return false;
  end if;
  -- Not private.record_audit, which requires an operator.
  insert into public.audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
  values (p_organization_id, pg_catalog.clock_timestamp(), caller::text,
    case when p_accepts then 'accept_invitation' else 'decline_invitation' end, 'invitation', p_email,
    pg_catalog.jsonb_build_object('role', invited_role));
  if p_accepts then
    insert into public.organization_members (organization_id, user_id, role, created_at)
    values (p_organization_id, caller, invited_role, p_now)
    on conflict do nothing;
    -- A member keeps their role.
    if found then
      insert into public.audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
      values (p_organization_id, pg_catalog.clock_timestamp(), caller::text, 'add_member', 'member', caller::text,
        pg_catalog.jsonb_build_object('role', invited_role));
    end if;
  end if;
  return true;
end
$$;
revoke all on function private.end_invitation(uuid, text, boolean, timestamptz) from public;

create or replace function private.answer_invitation(p_organization_id uuid, p_accepts boolean, p_now timestamptz)
returns boolean
language sql volatile security definer set search_path = ''
as $$
  select private.end_invitation(p_organization_id, private.my_email(), p_accepts, p_now)
$$;

-- With the link, the address of the account has to be the invited one, but need not be confirmed: a user whom a link has
-- made has not shown that they read email at this address, so no other organization's invitation is theirs.
create function private.answer_invitation_link(p_token_sha256 bytea, p_accepts boolean, p_now timestamptz) returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  found_organization uuid;
  found_email text;
begin
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
revoke all on function private.answer_invitation_link(bytea, boolean, timestamptz) from public;
grant execute on function private.answer_invitation_link(bytea, boolean, timestamptz) to authenticated;
