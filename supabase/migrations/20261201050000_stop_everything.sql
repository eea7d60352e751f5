-- Members stop all calls of their organization at once, and resume them.

alter table public.organizations
  -- While it is set, no create-call request is planned, moved to another start or repeated for the organization.
  add column stopped_at timestamptz,
  -- The email of the member, or "the service".
  add column stopped_by text check ((stopped_at is null) = (stopped_by is null)),
  add column stop_reason text check (stopped_at is not null and length(stop_reason) <= 1000 or stop_reason is null);

-- Returns whether it has changed anything. Claims, new start times and repeated requests read the flag under the lock of
-- their account: none of them is under way when it is set, and each later one sees it.
create function private.stop_organization(p_organization_id uuid, p_by text, p_reason text, p_now timestamptz)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'stopping all calls');
  perform from public.provider_accounts a where a.organization_id = p_organization_id order by a.id for no key update;
  update public.organizations o set stopped_at = p_now, stopped_by = p_by, stop_reason = p_reason
  where o.id = p_organization_id and o.stopped_at is null;
  if not found then
    return false;
  end if;
  -- Calls that wait for their start check their account again, and are not sent.
  perform pg_catalog.pg_notify('outdial_accounts', a.id::text)
  from public.provider_accounts a where a.organization_id = p_organization_id;
  return true;
end
$$;
revoke all on function private.stop_organization(uuid, text, text, timestamptz) from public;
grant execute on function private.stop_organization(uuid, text, text, timestamptz) to authenticated, service_role;

create function private.resume_organization(p_organization_id uuid) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'resuming all calls');
  update public.organizations o set stopped_at = null, stopped_by = null, stop_reason = null
  where o.id = p_organization_id and o.stopped_at is not null;
  return found;
end
$$;
revoke all on function private.resume_organization(uuid) from public;
grant execute on function private.resume_organization(uuid) to authenticated, service_role;
