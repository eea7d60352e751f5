-- Members are invited by email address and become members when they accept. An invitation is the same whether the
-- address has an account or not, so an admin learns nothing about users of other organizations.

create table public.invitations (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  email text not null check (email = lower(email) and length(email) between 3 and 320),
  role text not null check (role in ('owner', 'admin', 'operator', 'viewer')),
  created_at timestamptz not null,
  primary key (organization_id, email)
);
create index invitations_email on public.invitations (email);

revoke all on public.invitations from anon, authenticated, service_role;
grant select, insert, delete on public.invitations to authenticated, service_role;
alter table public.invitations enable row level security;
alter table public.invitations force row level security;
-- Admins manage all invitations except those of owners, which only owners add or withdraw.
create policy admins_read on public.invitations for select to authenticated
  using (organization_id = any (array(select private.my_organizations('admin'))));
create policy admins_insert on public.invitations for insert to authenticated
  with check (
    organization_id = any (array(select private.my_organizations('admin')))
    and (role <> 'owner' or organization_id = any (array(select private.my_organizations('owner'))))
  );
create policy admins_delete on public.invitations for delete to authenticated
  using (
    organization_id = any (array(select private.my_organizations('admin')))
    and (role <> 'owner' or organization_id = any (array(select private.my_organizations('owner'))))
  );

-- The caller's confirmed email address, in lower case. Claims may hold an address that was never confirmed.
create function private.my_email() returns text
language sql stable security definer set search_path = ''
as $$
  select lower(u.email) from auth.users u where u.id = (select auth.uid()) and u.email_confirmed_at is not null
$$;
revoke all on function private.my_email() from public;

create function private.my_invitations()
returns table (organization_id uuid, organization_name text, role text, created_at timestamptz)
language sql stable security definer set search_path = ''
as $$
  select i.organization_id, o.name, i.role, i.created_at
  from public.invitations i join public.organizations o on o.id = i.organization_id
  where i.email = (select private.my_email())
$$;
revoke all on function private.my_invitations() from public;
grant execute on function private.my_invitations() to authenticated;

-- Ends the caller's invitation to an organization, and makes them a member if they accept. Returns false without one.
create function private.answer_invitation(p_organization_id uuid, p_accepts boolean, p_now timestamptz) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  caller uuid := (select auth.uid());
  invited_email text;
  invited_role text;
begin
  delete from public.invitations i
  where i.organization_id = p_organization_id and i.email = private.my_email()
  returning i.email, i.role into invited_email, invited_role;
  if invited_role is null then
    return false;
  end if;
  -- Not private.record_audit, which requires an operator.
  insert into public.audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
  values (p_organization_id, pg_catalog.clock_timestamp(), caller::text,
    case when p_accepts then 'accept_invitation' else 'decline_invitation' end, 'invitation', invited_email,
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
revoke all on function private.answer_invitation(uuid, boolean, timestamptz) from public;
grant execute on function private.answer_invitation(uuid, boolean, timestamptz) to authenticated;

create constraint trigger invitations_audited after insert or delete on public.invitations
  deferrable initially deferred for each row when (pg_catalog.current_setting('role') = 'authenticated')
  execute function private.audit_direct_change('invitation', 'email');

-- An admin who may insert members can add any user by id, and then read their email address.
drop policy admins_insert on public.organization_members;
revoke insert on public.organization_members from authenticated;
-- It showed admins who has an account. Studios of the previous version report an error when a member is added.
-- squawk-ignore ban-drop-function
drop function private.user_to_add(uuid, text);
