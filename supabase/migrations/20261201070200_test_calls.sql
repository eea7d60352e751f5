-- Test calls: a member has a campaign's agent call a phone at once, with the variables of one of its contacts. They are no
-- calls of the campaign: no attempt, cap, list, budget, figure of a number or forecast knows them. Only the lines and the
-- starts of the account do, which the provider limits.

create table public.test_calls (
  -- The idempotency key of the request, and `test_call_id` in its metadata.
  id uuid primary key,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  campaign_id uuid not null,
  provider_account_id uuid not null,
  phone text not null,
  -- The member has stated that the phone is their own: calling hours do not apply.
  is_own_phone boolean not null,
  -- The contact whose variables the call has, and its row in the campaign.
  contact_id uuid,
  contact_row integer check (contact_row > 0),
  -- requested > sent > ended | failed; requested > refused. A sent one without retell_call_id may not exist.
  status text not null default 'requested' check (status in ('requested', 'sent', 'ended', 'failed', 'refused')),
  reason text,
  requested_by text not null check (requested_by <> ''),
  requested_at timestamptz not null,
  -- Body of the create-phone-call request, which is sent at most once.
  request jsonb not null default '{}',
  from_number text,
  sent_at timestamptz,
  -- The request is in flight until this time at most.
  request_deadline timestamptz,
  -- When a dialer works on it next. Null when there is nothing left to do.
  next_check_at timestamptz,
  checks integer not null default 0,
  retell_call_id text unique,
  -- As in calls (outdial.domain.call, DETAIL_FIELDS).
  detail_ranks smallint[] not null default '{0,0,0,0,0,0,0,0,0}',
  outcome text,
  disconnection_reason text,
  started_at timestamptz,
  ended_at timestamptz,
  duration_ms bigint check (duration_ms >= 0),
  cost_cents numeric(12, 4) check (cost_cents >= 0),
  transcript text,
  recording_url text,
  public_log_url text,
  analysis jsonb,
  erased_at timestamptz,
  transcript_removed_at timestamptz,
  recording_removed_at timestamptz,
  foreign key (organization_id, campaign_id) references public.campaigns (organization_id, id) on delete cascade,
  foreign key (organization_id, provider_account_id) references public.provider_accounts (organization_id, id)
    on delete cascade,
  check (phone ~ '^\+[1-9][0-9]{6,14}$' or erased_at is not null and phone = 'erased'),
  check (status in ('requested', 'refused') or sent_at is not null)
);
create index test_calls_campaign on public.test_calls (campaign_id, requested_at desc, id desc);
create index test_calls_organization on public.test_calls (organization_id, requested_at desc);
create index test_calls_due on public.test_calls (next_check_at) where next_check_at is not null;
create index test_calls_account on public.test_calls (provider_account_id, status);
create index test_calls_live_phone on public.test_calls (organization_id, phone) where status = 'sent';

create trigger test_calls_arrow before update of status on public.test_calls
  for each row execute function private.check_arrow(
    'requested>sent', 'requested>refused', 'sent>ended', 'sent>failed', 'sent>refused', 'failed>ended');

-- What was removed stays away when an event arrives late. A call that was live when its phone was erased is deleted at
-- Retell once it has ended.
create function private.keep_removed_of_test_call() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if new.erased_at is not null then
    new.phone := 'erased';
    new.contact_id := null;
    new.request := '{}';
    new.reason := null;
    if new.status <> old.status and new.status in ('ended', 'failed') and new.retell_call_id is not null then
      insert into public.erasure_calls (organization_id, erasure_id, provider_account_id, retell_call_id, next_try_at)
      select e.organization_id, e.id, new.provider_account_id, new.retell_call_id, new.erased_at
      from public.erasures e
      where e.organization_id = new.organization_id and e.requested_at = new.erased_at
      on conflict do nothing;
    end if;
  end if;
  if new.erased_at is not null or new.transcript_removed_at is not null then
    new.transcript := null;
    new.analysis := null;
  end if;
  if new.erased_at is not null or new.recording_removed_at is not null then
    new.recording_url := null;
    new.public_log_url := null;
  end if;
  return new;
end
$$;
revoke all on function private.keep_removed_of_test_call() from public;
create trigger test_calls_keep_removed before update on public.test_calls
  for each row
  when (new.erased_at is not null or new.transcript_removed_at is not null or new.recording_removed_at is not null)
  execute function private.keep_removed_of_test_call();

-- Erasing a phone erases the test calls to it, and those with the variables of the contact who has it.
create function private.erase_test_calls() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  test_call_ids uuid[];
  retell_call_ids text[];
begin
  select coalesce(pg_catalog.array_agg(l.id), '{}'), coalesce(pg_catalog.array_agg(l.retell_call_id), '{}')
  into test_call_ids, retell_call_ids
  from (
    select t.id, t.retell_call_id from public.test_calls t
    where t.organization_id = new.organization_id
      and (t.phone = new.phone or t.contact_id in (
        select k.id from public.contacts k where k.organization_id = new.organization_id and k.phone = new.phone))
    order by t.id
    for update
  ) l;
  insert into public.erasure_calls (organization_id, erasure_id, provider_account_id, retell_call_id, next_try_at)
  select t.organization_id, new.id, t.provider_account_id, t.retell_call_id, new.requested_at
  from public.test_calls t
  where t.id = any (test_call_ids) and t.retell_call_id is not null and t.status <> 'sent'
  on conflict do nothing;
  update public.webhook_events e set body_removed_at = new.requested_at
  from (
    select w.id from public.webhook_events w
    where w.organization_id = new.organization_id and w.retell_call_id = any (retell_call_ids)
    order by w.id for update
  ) l
  where e.id = l.id;
  update public.test_calls t
  set erased_at = new.requested_at, next_check_at = case when t.status = 'sent' then t.next_check_at end,
    status = case when t.status = 'requested' then 'refused' else t.status end
  where t.id = any (test_call_ids);
  return null;
end
$$;
revoke all on function private.erase_test_calls() from public;
create trigger erasures_erase_test_calls after insert or update of phone on public.erasures
  for each row when (new.phone is not null) execute function private.erase_test_calls();

-- Requests a test call unless the organization has requested p_most in the last hour. Returns null then; else the time.
-- The requests of an organization are counted under the lock of its row.
create function private.request_test_call(
  p_organization_id uuid, p_id uuid, p_campaign_id uuid, p_phone text, p_is_own_phone boolean, p_contact_id uuid,
  p_contact_row integer, p_requested_by text, p_most integer, p_now timestamptz
) returns timestamptz
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'requesting a test call');
  perform from public.organizations o where o.id = p_organization_id for no key update;
  if (select count(*) from public.test_calls t
      where t.organization_id = p_organization_id and t.requested_at > p_now - interval '1 hour') >= p_most then
    return null;
  end if;
  insert into public.test_calls (id, organization_id, campaign_id, provider_account_id, phone, is_own_phone, contact_id,
    contact_row, requested_by, requested_at, next_check_at)
  select p_id, m.organization_id, m.id, m.provider_account_id, p_phone, p_is_own_phone, p_contact_id, p_contact_row,
    p_requested_by, p_now, p_now
  from public.campaigns m
  where m.id = p_campaign_id and m.organization_id = p_organization_id;
  perform pg_catalog.pg_notify('outdial_test_calls', '');
  return p_now;
end
$$;
revoke all on function
  private.request_test_call(uuid, uuid, uuid, text, boolean, uuid, integer, text, integer, timestamptz) from public;
grant execute on function
  private.request_test_call(uuid, uuid, uuid, text, boolean, uuid, integer, text, integer, timestamptz)
  to authenticated, service_role;

create function private.test_calls_due(p_now timestamptz, p_limit integer)
returns table (organization_id uuid, test_call_id uuid)
language sql stable security definer set search_path = ''
as $$
  select t.organization_id, t.id from public.test_calls t
  where t.next_check_at <= p_now
  order by t.next_check_at
  limit p_limit
$$;
revoke all on function private.test_calls_due(timestamptz, integer) from public;
grant execute on function private.test_calls_due(timestamptz, integer) to outdial_dialer;

-- Removes what the organization no longer keeps of its test calls, which are few. Returns how many it has changed.
create function private.expire_test_calls(p_organization_id uuid, p_now timestamptz) returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  changed bigint;
begin
  perform private.check_sweep(p_organization_id);
  with kept as (
    select p_now - pg_catalog.make_interval(days => o.transcript_days) as transcripts_from,
      p_now - pg_catalog.make_interval(days => o.recording_days) as recordings_from,
      p_now - pg_catalog.make_interval(days => o.call_days) as calls_from
    from public.organizations o where o.id = p_organization_id
  ), old as (
    select t.id, coalesce(t.requested_at < k.calls_from, false) as is_whole,
      coalesce(t.requested_at < k.transcripts_from, false) as is_transcript,
      coalesce(t.requested_at < k.recordings_from, false) as is_recording
    from public.test_calls t cross join kept k
    where t.organization_id = p_organization_id and t.status not in ('requested', 'sent')
      and t.requested_at < greatest(k.transcripts_from, k.recordings_from, k.calls_from)
  ), removed as (
    update public.test_calls t
    set erased_at = case when o.is_whole then coalesce(t.erased_at, p_now) else t.erased_at end,
      transcript_removed_at = case when o.is_transcript then coalesce(t.transcript_removed_at, p_now)
        else t.transcript_removed_at end,
      recording_removed_at = case when o.is_recording then coalesce(t.recording_removed_at, p_now)
        else t.recording_removed_at end,
      next_check_at = case when o.is_whole then null else t.next_check_at end
    from old o
    where t.id = o.id and (o.is_whole and t.erased_at is null or o.is_transcript and t.transcript_removed_at is null
      or o.is_recording and t.recording_removed_at is null)
    returning 1
  )
  select count(*) into changed from removed;
  return changed;
end
$$;
revoke all on function private.expire_test_calls(uuid, timestamptz) from public;
grant execute on function private.expire_test_calls(uuid, timestamptz) to outdial_jobs;

revoke all on public.test_calls from anon, authenticated, service_role;
grant select, insert, update, delete on public.test_calls to service_role;
grant select on public.test_calls to authenticated, outdial_dialer, outdial_webhook;
grant update (status, reason, request, from_number, sent_at, request_deadline, next_check_at, checks, retell_call_id)
  on public.test_calls to outdial_dialer;
grant update (status, retell_call_id, detail_ranks, outcome, disconnection_reason, started_at, ended_at, duration_ms,
  cost_cents, transcript, recording_url, public_log_url, analysis, request_deadline, next_check_at, checks, reason)
  on public.test_calls to outdial_webhook;
alter table public.test_calls enable row level security;
alter table public.test_calls force row level security;
create policy members_read on public.test_calls for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy dialer_works on public.test_calls for all to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));
create policy webhook_reads on public.test_calls for select to outdial_webhook using (true);
create policy webhook_updates on public.test_calls for update to outdial_webhook using (true) with check (true);
