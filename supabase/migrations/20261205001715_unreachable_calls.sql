-- Which calls of an organization Outdial cannot hang up, and why, for the pages that show them: `former_workspace` for a call
-- in a workspace that the account has left, `no_key` if the account has no key any more.

create function private.unreachable_calls(p_organization_id uuid, p_call_ids uuid[], p_now timestamptz)
returns table (call_id uuid, reason text)
language plpgsql stable security definer set search_path = ''
as $$
begin
  if current_setting('role') <> 'service_role'
    and not p_organization_id = any (array(select private.my_organizations())) then
    raise exception 'calls are those of your organization' using errcode = 'insufficient_privilege';
  end if;
  return query
    select f.id, f.why
    from (
      select c.id, case
          when private.workspace_of_call(c.provider_account_id, c.created_at, c.created_at, p_now) = 'former'
            then 'former_workspace'
          when not private.account_has_key(c.provider_account_id, p_now - interval '15 minutes')
            and exists (select from public.provider_workspaces w where w.provider_account_id = c.provider_account_id)
            then 'no_key'
          end as why
      from public.calls c
      where c.organization_id = p_organization_id and c.id = any (p_call_ids)
    ) f
    where f.why is not null;
end
$$;
revoke all on function private.unreachable_calls(uuid, uuid[], timestamptz) from public;
grant execute on function private.unreachable_calls(uuid, uuid[], timestamptz) to authenticated, service_role;

-- Nothing calls it any more.
-- squawk-ignore ban-drop-function
drop function private.workspace_of_own_call(uuid, uuid, timestamptz);
