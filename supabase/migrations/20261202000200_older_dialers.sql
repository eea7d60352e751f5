-- A dialer of an older version that still runs during an upgrade does no harm. It knows no stop of an organization, no
-- open campaigns, budgets, pools of caller numbers, callbacks or parts of the day.

-- Each decision of the present version names its number's choice and its budget, so that a call without them is refused
-- for the price of reading its keys. This covers every gate that a claim passes.
create or replace function private.check_call_of_dialer() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if not new.decision ?& array['rule_ids', 'number_choice', 'budget'] then
    raise exception 'call %: its decision names no calling rules, number or budget; restart this dialer with the present version', new.id
      using errcode = 'check_violation', constraint = 'calls_of_dialer';
  end if;
  if not new.needs_clearance
     and exists (select from public.pre_dial_hooks h where h.organization_id = new.organization_id) then
    raise exception 'call %: the organization has a pre-dial hook, so its calls need clearance', new.id
      using errcode = 'check_violation', constraint = 'calls_of_dialer';
  end if;
  return new;
end
$$;

create or replace function private.check_repetition() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if new.requested_at <= old.requested_at then
    raise exception 'call %: a repeated request has a new start; restart this dialer with the present version', new.id
      using errcode = 'check_violation', constraint = 'calls_repetition';
  end if;
  if new.cleared_at is null and (new.needs_clearance
     or exists (select from public.pre_dial_hooks h where h.organization_id = new.organization_id)) then
    raise exception 'call %: the pre-dial hook has not allowed it, so it is not requested again', new.id
      using errcode = 'check_violation', constraint = 'calls_repetition';
  end if;
  if exists (
    select from public.number_health h
    where h.organization_id = new.organization_id and h.phone = new.from_number and h.rests_until > new.updated_at
  ) then
    raise exception 'call %: its caller number rests, so it is not requested again', new.id
      using errcode = 'check_violation', constraint = 'calls_repetition';
  end if;
  return new;
end
$$;

-- A start moves when a claimed call missed it, and when a request is repeated: both are rare.
create function private.check_moved_start() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if exists (select from public.organizations o where o.id = new.organization_id and o.stopped_at is not null) then
    raise exception 'call %: all calls of the organization are stopped', new.id
      using errcode = 'check_violation', constraint = 'calls_stopped';
  end if;
  return new;
end
$$;
revoke all on function private.check_moved_start() from public;
create trigger calls_stopped before update of requested_at on public.calls
  for each row when (current_user = 'outdial_dialer' and new.requested_at > old.requested_at)
  execute function private.check_moved_start();

create or replace function private.check_completed() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if new.keep_open and new.status = 'completed' then
    raise exception 'campaign % is kept open: it completes after it is closed', new.id
      using errcode = 'check_violation', constraint = 'campaigns_completed';
  end if;
  perform from public.campaigns m where m.id = new.id for update;
  if exists (select from public.campaign_contacts cc where cc.campaign_id = new.id and cc.status = 'pending')
     or exists (select from public.campaign_contacts cc where cc.campaign_id = new.id and cc.status = 'calling') then
    raise exception 'campaign % still has contacts to call', new.id
      using errcode = 'check_violation', constraint = 'campaigns_' || new.status;
  end if;
  return new;
end
$$;
