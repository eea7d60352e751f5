-- Members of an organization with their email addresses, which only Auth's own table has and callers may not read.

create function private.people_of(p_organization_id uuid)
returns table (user_id uuid, email text, role text, created_at timestamptz)
language sql stable security definer set search_path = ''
as $$
  select m.user_id, u.email::text, m.role, m.created_at
  from public.organization_members m join auth.users u on u.id = m.user_id
  where m.organization_id = p_organization_id
    and (coalesce((select auth.role()), '') = 'service_role'
      or p_organization_id = any (array(select private.my_organizations())))
$$;
revoke all on function private.people_of(uuid) from public;
grant execute on function private.people_of(uuid) to authenticated, service_role;

-- Finds a user by email address, for callers who may add them to the organization.
create function private.user_to_add(p_organization_id uuid, p_email text)
returns uuid
language sql stable security definer set search_path = ''
as $$
  select u.id from auth.users u
  where lower(u.email) = lower(p_email)
    and (coalesce((select auth.role()), '') = 'service_role'
      or p_organization_id = any (array(select private.my_organizations('admin'))))
$$;
revoke all on function private.user_to_add(uuid, text) from public;
grant execute on function private.user_to_add(uuid, text) to authenticated, service_role;

-- Members may leave an organization. A trigger keeps its last owner.
create policy members_leave on public.organization_members for delete to authenticated
  using (user_id = (select auth.uid()));

-- Versions of functions, for the studio, which reads them as the service after checking its caller.
grant select on host.functions, host.function_versions to service_role;
