-- Archived campaigns: lists leave them out unless they are asked for. Retention and erasure treat them as any other.

alter table public.campaigns
  add column archived_at timestamptz,
  -- Outdial has paused it itself, because Retell refuses the account or the calls: a member has to act before it goes on.
  add column paused_automatically boolean not null default false,
  add constraint campaigns_archived
    check (archived_at is null or status in ('draft', 'completed', 'cancelled')) not valid;
grant update (archived_at, paused_automatically) on public.campaigns to authenticated;
grant update (paused_automatically) on public.campaigns to outdial_dialer, outdial_webhook;

-- A draft that is started leaves the archive, whichever version of a process starts it.
create function private.unarchive_campaign() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if new.status not in ('draft', 'completed', 'cancelled') then
    new.archived_at := null;
  end if;
  return new;
end
$$;
revoke all on function private.unarchive_campaign() from public;
create trigger campaigns_unarchived before update of status on public.campaigns
  for each row when (old.archived_at is not null) execute function private.unarchive_campaign();
