-- Members hang up single calls; the dialer ends them at Retell.

alter table public.calls
  -- When the dialer next asks Retell to end the call. Null unless a member has hung it up and it may still be live.
  add column hang_up_due_at timestamptz;
-- The runner keeps a migration in one transaction, where an index cannot be built concurrently. No call is in this one yet.
-- squawk-ignore require-concurrent-index-creation
create index calls_to_hang_up on public.calls (hang_up_due_at) where hang_up_due_at is not null;
grant update (hang_up_due_at) on public.calls to outdial_dialer;

-- Returns whether the call is live, so that it will be hung up.
create function private.hang_up_call(p_organization_id uuid, p_call_id uuid, p_now timestamptz) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'hanging up calls');
  update public.calls c set hang_up_due_at = coalesce(c.hang_up_due_at, p_now), updated_at = p_now
  where c.id = p_call_id and c.organization_id = p_organization_id
    and c.status in ('placing', 'placed', 'ongoing', 'unknown');
  if found then
    perform pg_catalog.pg_notify('outdial_hang_ups', '');
  end if;
  return found;
end
$$;
revoke all on function private.hang_up_call(uuid, uuid, timestamptz) from public;
grant execute on function private.hang_up_call(uuid, uuid, timestamptz) to authenticated, service_role;

create function private.due_hang_ups(p_now timestamptz, p_limit integer)
returns table (organization_id uuid, call_id uuid)
language sql stable security definer set search_path = ''
as $$
  select c.organization_id, c.id from public.calls c
  where c.hang_up_due_at <= p_now order by c.hang_up_due_at limit p_limit
$$;
revoke all on function private.due_hang_ups(timestamptz, integer) from public;
grant execute on function private.due_hang_ups(timestamptz, integer) to outdial_dialer;
