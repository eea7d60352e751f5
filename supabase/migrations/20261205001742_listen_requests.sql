-- Members hear live calls, and take them over. A member asks; a dialer, which has the API key, asks Retell, and puts the
-- token here, encrypted for the request that waits for it. The audit entry is written with the token, not with the request.

-- Not logged: a request is over within seconds, and no backup and no replica needs a token.
create unlogged table public.listen_requests (
  id uuid primary key,
  call_id uuid not null references public.calls (id) on delete cascade,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  -- Null for the service key.
  requested_by uuid,
  requested_at timestamptz not null,
  action text not null check (action in ('listen', 'take_over')),
  -- The public key that the token is encrypted for; the process that waits keeps the private one in memory.
  reply_key bytea check (length(reply_key) = 32),
  status text not null default 'requested' check (status in ('requested', 'taken', 'granted', 'refused')),
  refusal text check (refusal in ('not_on_the_line', 'out_of_reach', 'dashboard_only', 'card_data', 'rate_limited', 'failed')),
  -- What Retell said about a failed one.
  reason text check (length(reason) <= 500),
  -- Who listens, as Retell names them. A member takes over as the participant that they listen as.
  participant_id text check (length(participant_id) between 1 and 500),
  sealed bytea check (length(sealed) <= 20000),
  check ((action = 'listen') = (reply_key is not null)),
  check ((refusal is not null) = (status = 'refused'))
);
create index listen_requests_call on public.listen_requests (call_id);
create index listen_requests_organization on public.listen_requests (organization_id, requested_at);
create index listen_requests_due on public.listen_requests (requested_at) where status = 'requested';

revoke all on public.listen_requests from anon, authenticated, service_role;
grant select, insert, update, delete on public.listen_requests to service_role;
grant select, delete on public.listen_requests to outdial_dialer;
grant update (status, refusal, reason) on public.listen_requests to outdial_dialer;
alter table public.listen_requests enable row level security;
alter table public.listen_requests force row level security;
create policy dialer_works on public.listen_requests for all to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

-- Ask for the sound of a call, or to speak in it as the participant of an earlier request of the same member. Returns
-- `requested`, or why not: `missing`, `former` (a call in a former workspace), `no_listener`, or else the call's status.
create function private.request_listening(
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
  perform pg_catalog.pg_notify('outdial_listen_requests', '');
  return 'requested';
end
$$;
revoke all on function private.request_listening(uuid, uuid, uuid, bytea, uuid, timestamptz) from public;
grant execute on function private.request_listening(uuid, uuid, uuid, bytea, uuid, timestamptz)
  to authenticated, service_role;

-- The response to a request of the same member.
create function private.read_listening(p_organization_id uuid, p_id uuid)
returns table (status text, refusal text, reason text, sealed bytea)
language plpgsql stable security definer set search_path = ''
as $$
declare
  member uuid := case when current_setting('role') = 'authenticated' then (select auth.uid()) end;
begin
  perform private.check_operates(p_organization_id, 'listening to calls');
  return query select r.status, r.refusal, r.reason, r.sealed from public.listen_requests r
    where r.id = p_id and r.organization_id = p_organization_id and r.requested_by is not distinct from member;
end
$$;
revoke all on function private.read_listening(uuid, uuid) from public;
grant execute on function private.read_listening(uuid, uuid) to authenticated, service_role;

create function private.listen_requests_due(p_now timestamptz, p_since timestamptz, p_limit integer)
returns table (organization_id uuid, request_id uuid, credential text)
language sql stable security definer set search_path = ''
as $$
  select r.organization_id, r.id, a.credential
  from public.listen_requests r
  join public.calls c on c.id = r.call_id
  join public.provider_accounts a on a.id = c.provider_account_id
  where r.status = 'requested' and r.requested_at between p_since and p_now
  order by r.requested_at
  limit p_limit
$$;
revoke all on function private.listen_requests_due(timestamptz, timestamptz, integer) from public;
grant execute on function private.listen_requests_due(timestamptz, timestamptz, integer) to outdial_dialer;

-- Retell has granted a request: store it together with its entry in the audit log, whose author is the member.
create function private.grant_listening(p_id uuid, p_participant_id text, p_sealed bytea, p_now timestamptz)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  granted record;
begin
  update public.listen_requests r
  set status = 'granted', participant_id = coalesce(p_participant_id, r.participant_id), sealed = p_sealed
  where r.id = p_id and r.status = 'taken' and r.organization_id = private.current_organization()
  returning r.organization_id, r.call_id, r.action, coalesce(r.requested_by::text, 'service') as actor into granted;
  if not found then
    return false;
  end if;
  insert into public.audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
  values (granted.organization_id, p_now, granted.actor,
    case granted.action when 'listen' then 'listen_to_call' else 'take_over_call' end, 'call', granted.call_id::text, '{}');
  return true;
end
$$;
revoke all on function private.grant_listening(uuid, text, bytea, timestamptz) from public;
grant execute on function private.grant_listening(uuid, text, bytea, timestamptz) to outdial_dialer;
