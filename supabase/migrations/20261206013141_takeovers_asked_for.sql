-- A dialer that ends between the response of Retell and the audit entry left a takeover without a trace. So the request of a
-- member is in the audit log before Retell gets it, and what comes of it follows: `take_over_call`, `take_over_refused`, or
-- `take_over_unconfirmed`, after which the agent may have stopped. Nothing follows if no dialer was there, or if it ended.

create or replace function private.request_listening(
  p_organization_id uuid, p_call_id uuid, p_id uuid, p_reply_key bytea, p_listening_id uuid, p_now timestamptz
) returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  member uuid := case when current_setting('role') = 'authenticated' then (select auth.uid()) end;
  call record;
  participant text;
begin
  perform private.check_operates(p_organization_id, 'listening to calls');
  select c.status, private.workspace_of_call(c.provider_account_id, c.created_at, c.created_at, p_now) as workspace
  into call from public.calls c where c.id = p_call_id and c.organization_id = p_organization_id;
  if not found then
    return 'missing';
  elsif call.status not in ('placed', 'ongoing') then
    return call.status;
  elsif call.workspace = 'former' then
    return 'former';
  end if;
  if p_listening_id is not null then
    select r.participant_id into participant from public.listen_requests r
    where r.id = p_listening_id and r.call_id = p_call_id and r.organization_id = p_organization_id
      and r.action = 'listen' and r.status = 'granted' and r.requested_by is not distinct from member;
    if participant is null then
      return 'no_listener';
    end if;
  end if;
  insert into public.listen_requests (
    id, call_id, organization_id, requested_by, requested_at, action, reply_key, participant_id
  ) values (
    p_id, p_call_id, p_organization_id, member, p_now,
    case when p_listening_id is null then 'listen' else 'take_over' end, p_reply_key, participant
  );
  if p_listening_id is not null then
    insert into public.audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
    values (p_organization_id, p_now, coalesce(member::text, 'service'), 'ask_to_take_over_call', 'call',
      p_call_id::text, '{}');
  end if;
  perform pg_catalog.pg_notify('outdial_listen_requests', '');
  return 'requested';
end
$$;

-- Store why a request was not granted. Of a takeover, the audit log has it, too: the request is there already. What the
-- provider has said stays out of it.
create function private.refuse_listening(p_id uuid, p_refusal text, p_reason text, p_now timestamptz) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  refused record;
begin
  update public.listen_requests r set status = 'refused', refusal = p_refusal, reason = p_reason
  where r.id = p_id and r.status = 'taken' and r.organization_id = private.current_organization()
  returning r.organization_id, r.call_id, r.action into refused;
  if not found then
    return false;
  end if;
  if refused.action = 'take_over' then
    insert into public.audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
    values (refused.organization_id, p_now, 'dialer',
      case p_refusal when 'failed' then 'take_over_unconfirmed' else 'take_over_refused' end, 'call',
      refused.call_id::text,
      case p_refusal when 'failed' then '{}' else pg_catalog.jsonb_build_object('refusal', p_refusal) end);
  end if;
  return true;
end
$$;
revoke all on function private.refuse_listening(uuid, text, text, timestamptz) from public;
grant execute on function private.refuse_listening(uuid, text, text, timestamptz) to outdial_dialer;
