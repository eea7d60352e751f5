-- Callbacks: the contact of a call that has ended waits for the analysis, which has the time that the contact asked for.

alter table public.calls
  -- The call has ended, and its contact waits for the analysis until then at most.
  add column decides_at timestamptz,
  -- The time that the contact had asked for, if the call is a callback.
  add column callback_of timestamptz,
  -- 1 for a callback, 2 for its repetition, 0 for other calls.
  add column callback_try smallint not null default 0,
  -- Why the callback is later than asked for.
  add column callback_late text;
grant update (decides_at) on public.calls to outdial_webhook;
grant update (callback_late) on public.calls to outdial_dialer;

alter table public.campaign_contacts
  -- The rank that the contact has again after its callback.
  add column usual_rank smallint,
  -- Calls of the open callback that did not reach the contact.
  add column callback_tries smallint not null default 0,
  -- Why the open callback is late, once that has been reported.
  add column callback_late text;
grant update (rank, usual_rank, callback_at, callbacks, callback_tries, callback_late) on public.campaign_contacts
  to outdial_webhook;
grant update (callback_late) on public.campaign_contacts to outdial_dialer;

-- Calls of all organizations whose contacts have waited long enough, or wait in a campaign that is being cancelled.
create function private.calls_to_decide(p_now timestamptz, p_limit integer)
returns table (call_id uuid)
language sql stable security definer set search_path = ''
as $$
  select c.id
  from public.calls c
  where c.decides_at is not null
    and (c.decides_at <= p_now
      or exists (select from public.campaigns m where m.id = c.campaign_id and m.status = 'cancelling'))
  order by c.decides_at
  limit p_limit
$$;
revoke all on function private.calls_to_decide(timestamptz, integer) from public;
grant execute on function private.calls_to_decide(timestamptz, integer) to outdial_webhook;

-- Stores why callbacks of all organizations are late, once for each, and returns them.
create function private.report_late_callbacks(p_due_before timestamptz, p_now timestamptz, p_limit integer)
returns table (organization_id uuid, campaign_id uuid, id uuid, callback_at timestamptz, reason text)
language sql volatile security definer set search_path = ''
as $$
  update public.campaign_contacts cc
  set callback_late = case
      when m.status <> 'active' then 'the campaign is ' || m.status
      when cc.status_reason is not null then cc.status_reason
      when cc.next_attempt_at > p_now then 'a call has failed before'
      when m.waiting_for is not null then 'the campaign waits for ' || replace(m.waiting_for, '_', ' ')
      else 'no dialer claimed it in time'
    end
  from public.campaigns m
  where m.id = cc.campaign_id and cc.id in (
    select l.id from public.campaign_contacts l
    where l.callback_at < p_due_before and l.status = 'pending' and l.callback_late is null
    order by l.callback_at limit p_limit for update skip locked
  )
  returning cc.organization_id, cc.campaign_id, cc.id, cc.callback_at, cc.callback_late
$$;
revoke all on function private.report_late_callbacks(timestamptz, timestamptz, integer) from public;
grant execute on function private.report_late_callbacks(timestamptz, timestamptz, integer) to outdial_dialer;

-- A callback ends with the work on its contact.
create function private.end_callback() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.callback_at := null;
  new.callback_tries := 0;
  new.rank := coalesce(old.usual_rank, old.rank);
  new.usual_rank := null;
  return new;
end
$$;
revoke all on function private.end_callback() from public;
create trigger campaign_contacts_end_callback before update of status on public.campaign_contacts
  for each row
  when (old.usual_rank is not null and new.status not in ('pending', 'calling') and old.status <> new.status)
  execute function private.end_callback();

-- Moves the callback of a pending contact; returns its campaign. Callers may not set the time of the next call.
create function private.move_callback(
  p_organization_id uuid, p_campaign_contact_id uuid, p_callback_at timestamptz, p_now timestamptz
) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'moving a callback');
  return query
    update public.campaign_contacts cc
    set callback_at = p_callback_at, next_attempt_at = p_callback_at, callback_late = null, status_reason = null,
      updated_at = p_now
    where cc.id = p_campaign_contact_id and cc.organization_id = p_organization_id and cc.status = 'pending'
      and cc.callback_at is not null
    returning cc.campaign_id;
end
$$;
revoke all on function private.move_callback(uuid, uuid, timestamptz, timestamptz) from public;
grant execute on function private.move_callback(uuid, uuid, timestamptz, timestamptz) to authenticated, service_role;

-- What a contact said in a call is removed with the transcript of the call: the words in the reason for a review, and the
-- summary of the call before, which a callback gives to the agent.
create function private.forget_words() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.request := new.request #- '{retell_llm_dynamic_variables,last_call_summary}';
  update public.campaign_contacts cc
  set status_reason = 'the contact asked for a callback; the words were removed because of their age'
  where cc.id = new.campaign_contact_id and cc.call_count = new.attempt_number
    and cc.status_reason like 'the contact asked for a callback: %';
  return new;
end
$$;
revoke all on function private.forget_words() from public;
create trigger calls_forget_words before update of transcript_removed_at on public.calls
  for each row
  when (new.transcript_removed_at is not null and old.transcript_removed_at is null)
  execute function private.forget_words();
