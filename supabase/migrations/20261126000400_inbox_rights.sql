-- Access to the ledger for users: admins of the account whose key signed an event see it even if it matched no call, and
-- operators may replay events.

create policy admins_read_unmatched on public.webhook_events for select to authenticated
  using (
    organization_id is null
    and credential in (
      select a.credential from public.provider_accounts a
      where a.organization_id = any (array(select private.my_organizations('admin')))
    )
  );
-- The ledger is written on every webhook. Building a partial index over the few unmatched rows reads it once.
-- squawk-ignore require-concurrent-index-creation
create index webhook_events_unowned on public.webhook_events (credential, id desc) where organization_id is null;

-- Marks events of one organization as pending, so that the applier takes them. Applying an event twice changes nothing.
-- The function checks the caller itself, because callers may not update the ledger.
create function private.replay_events(
  p_organization_id uuid, p_first_id bigint, p_last_id bigint, p_status text, p_event text, p_limit integer,
  p_now timestamptz
) returns setof bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  is_service boolean := coalesce((select auth.role()), '') = 'service_role';
  is_admin boolean := is_service or p_organization_id = any (array(select private.my_organizations('admin')));
begin
  if not is_admin and not p_organization_id = any (array(select private.my_organizations('operator'))) then
    raise exception 'replaying events requires the role operator in the organization' using errcode = 'insufficient_privilege';
  end if;
  return query
    update public.webhook_events e
    set status = 'pending', next_try_at = p_now, tries = 0, error = null
    where e.id in (
      select w.id from public.webhook_events w
      where w.id between p_first_id and p_last_id and w.status in ('applied', 'unmatched', 'quarantined')
        and (p_status is null or w.status = p_status)
        and (p_event is null or w.event = p_event)
        and (
          w.organization_id = p_organization_id
          or is_admin and w.organization_id is null and w.credential in (
            select a.credential from public.provider_accounts a where a.organization_id = p_organization_id
          )
        )
      order by w.id
      limit p_limit
      for update
    )
    returning e.id;
end
$$;
revoke all on function private.replay_events(uuid, bigint, bigint, text, text, integer, timestamptz) from public;
grant execute on function private.replay_events(uuid, bigint, bigint, text, text, integer, timestamptz)
  to authenticated, service_role;
