-- A workspace has its own do-not-call list, which does not have what the former one has confirmed. So a new workspace of an
-- account learns of all opt-outs, and its own list is read from the start.

create function private.begin_opt_outs(p_provider_account_id uuid, p_now timestamptz) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  -- Withdrawn ones: Outdial has put nothing on the list of the new workspace, and takes nothing off it.
  delete from public.opt_out_syncs s where s.provider_account_id = p_provider_account_id and not s.do_not_call;
  -- In the order in which lists of numbers are added.
  perform from public.opt_out_syncs s where s.provider_account_id = p_provider_account_id order by s.phone for update;
  -- Once no dialer uses the former key any more, which would send them to the former workspace again.
  update public.opt_out_syncs s
  set next_try_at = p_now + interval '5 minutes', tries = 0, error = null, confirmed_at = null, is_ours = false
  where s.provider_account_id = p_provider_account_id;
  update public.opt_out_reads r
  set next_read_at = p_now + interval '5 minutes', page = null, read_at = null, error = null
  where r.provider_account_id = p_provider_account_id;
end
$$;
revoke all on function private.begin_opt_outs(uuid, timestamptz) from public;

create function private.note_new_workspace() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  -- The first workspace of an account that is known is the one that its opt-outs went to.
  if exists (
    select from public.provider_workspaces w
    where w.provider_account_id = new.provider_account_id and w.since < new.since
  ) then
    perform private.begin_opt_outs(new.provider_account_id, new.since);
  end if;
  return null;
end
$$;
revoke all on function private.note_new_workspace() from public;
create trigger provider_workspaces_opt_outs after insert on public.provider_workspaces
  for each row execute function private.note_new_workspace();

-- Opt-outs of all organizations that are due, oldest first. Those of an account whose key has just changed wait, because a
-- dialer may still use the former one.
create or replace function private.opt_outs_to_send(p_now timestamptz, p_limit integer)
returns table (organization_id uuid, provider_account_id uuid, phone text)
language sql stable security definer set search_path = ''
as $$
  select s.organization_id, s.provider_account_id, s.phone
  from public.opt_out_syncs s
  where s.next_try_at <= p_now and private.workspace_settles_at(s.provider_account_id, p_now) is null
  order by s.next_try_at
  limit p_limit
$$;

-- Opt-outs that a former workspace has confirmed so far.
delete from public.opt_out_syncs s using public.provider_accounts a
where a.id = s.provider_account_id and s.confirmed_at < a.workspace_since and not s.do_not_call;
update public.opt_out_syncs s
set next_try_at = a.workspace_since, tries = 0, error = null, confirmed_at = null, is_ours = false
from public.provider_accounts a
where a.id = s.provider_account_id and s.confirmed_at < a.workspace_since;
