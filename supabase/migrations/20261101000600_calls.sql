-- A call is one attempt to reach a campaign contact. The row is committed before any request leaves, and its id is the
-- idempotency key of every request for it.

create table public.calls (
  id uuid primary key,
  -- A separate reference, so that deleting an organization deletes its calls before the accounts they point to.
  organization_id uuid not null references public.organizations (id) on delete cascade,
  campaign_id uuid not null,
  campaign_contact_id uuid not null,
  contact_id uuid not null,
  provider_account_id uuid not null,
  attempt_number integer not null check (attempt_number > 0),
  phone text not null,
  from_number text not null,
  status text not null default 'placing' check (status in
    ('placing', 'placed', 'ongoing', 'ended', 'refused', 'unknown', 'released', 'review')),
  -- Body of the create-phone-call request. Every repetition sends the same bytes.
  request jsonb not null,
  -- Why this call was allowed: zones and their source, local times, caps, list checks.
  decision jsonb not null,
  -- A request for this call is in flight until this time at most: the sender gives up before it.
  request_deadline timestamptz,
  requested_at timestamptz not null,
  requests integer not null default 1 check (requests > 0),
  -- When rescue or reconcile should ask Retell. Null when there is nothing left to ask.
  next_check_at timestamptz,
  checks integer not null default 0,
  retell_call_id text unique,
  -- For each detail, the rank of the event that it came from (outdial.domain.call, DETAIL_FIELDS).
  detail_ranks smallint[] not null default '{0,0,0,0,0,0,0,0,0}',
  outcome text,
  disconnection_reason text,
  error text,
  placed_at timestamptz,
  started_at timestamptz,
  ended_at timestamptz,
  duration_ms bigint check (duration_ms >= 0),
  cost_cents numeric(12, 4) check (cost_cents >= 0),
  transcript text,
  recording_url text,
  public_log_url text,
  analysis jsonb,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  unique (campaign_contact_id, attempt_number),
  foreign key (organization_id, campaign_id) references public.campaigns (organization_id, id) on delete cascade,
  foreign key (organization_id, campaign_contact_id)
    references public.campaign_contacts (organization_id, id) on delete cascade,
  foreign key (organization_id, provider_account_id) references public.provider_accounts (organization_id, id)
);
-- One live call per phone of an organization, across all campaigns: the database rejects the second.
create unique index calls_live_phone on public.calls (organization_id, phone)
  where status in ('placing', 'placed', 'ongoing', 'unknown');
create index calls_live_account on public.calls (provider_account_id, campaign_id)
  where status in ('placing', 'placed', 'ongoing', 'unknown');
-- Released calls that turned out to exist. They occupy a slot until they are known to have ended. They cannot become live
-- again, because the phone may be on its next call by now.
create index calls_revived on public.calls (provider_account_id, campaign_id)
  where status in ('released', 'review') and next_check_at is not null;
create index calls_requesting on public.calls (campaign_id, request_deadline) where request_deadline is not null;
create index calls_check on public.calls (next_check_at) where next_check_at is not null;
create index calls_phone on public.calls (organization_id, phone, requested_at desc);
create index calls_campaign on public.calls (campaign_id, created_at desc);

create trigger calls_arrow before update of status on public.calls
  for each row execute function private.check_arrow(
    'placing>placed', 'placing>ongoing', 'placing>ended', 'placing>refused', 'placing>unknown', 'placing>released',
    'placed>ongoing', 'placed>ended', 'ongoing>ended',
    'unknown>placed', 'unknown>ongoing', 'unknown>ended', 'unknown>refused', 'unknown>released', 'unknown>review',
    'released>ended', 'review>ended', 'review>released');

-- Calls of all organizations that have had no event for too long.
create function private.calls_to_check(p_now timestamptz, p_limit integer)
returns table (organization_id uuid, call_id uuid)
language sql stable security definer set search_path = ''
as $$
  select c.organization_id, c.id
  from public.calls c
  where c.next_check_at <= p_now
  order by c.next_check_at
  limit p_limit
$$;
revoke all on function private.calls_to_check(timestamptz, integer) from public;
grant execute on function private.calls_to_check(timestamptz, integer) to outdial_dialer;

-- A campaign's status is true no matter who sets it: it is completed or cancelled only when every contact has a final
-- status, and paused only when none of its requests is in flight.
create function private.check_completed() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if exists (select from public.campaign_contacts cc where cc.campaign_id = new.id and cc.status = 'pending')
     or exists (select from public.campaign_contacts cc where cc.campaign_id = new.id and cc.status = 'calling') then
    raise exception 'campaign % still has contacts to call', new.id
      using errcode = 'check_violation', constraint = 'campaigns_' || new.status;
  end if;
  return new;
end
$$;
revoke all on function private.check_completed() from public;
create trigger campaigns_completed before update of status on public.campaigns
  for each row when (new.status in ('completed', 'cancelled') and old.status <> new.status)
  execute function private.check_completed();

create function private.check_paused() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if exists (select from public.calls c where c.campaign_id = new.id and c.request_deadline is not null) then
    raise exception 'campaign % still has requests under way', new.id
      using errcode = 'check_violation', constraint = 'campaigns_paused';
  end if;
  return new;
end
$$;
revoke all on function private.check_paused() from public;
create trigger campaigns_paused before update of status on public.campaigns
  for each row when (new.status = 'paused' and old.status <> 'paused')
  execute function private.check_paused();

revoke all on public.calls from anon, authenticated, service_role;
grant select, insert, update, delete on public.calls to service_role;

alter table public.calls enable row level security;
alter table public.calls force row level security;
grant select on public.calls to authenticated, outdial_webhook, outdial_dialer;
grant insert on public.calls to outdial_dialer;
grant update (status, request_deadline, requests, next_check_at, checks, retell_call_id, error, outcome, placed_at,
  ended_at, updated_at) on public.calls to outdial_dialer;
grant update (status, request_deadline, next_check_at, checks, retell_call_id, detail_ranks, outcome,
  disconnection_reason, started_at, ended_at, duration_ms, cost_cents, transcript, recording_url, public_log_url,
  analysis, placed_at, updated_at) on public.calls to outdial_webhook;
create policy members_read on public.calls for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy dialer_works on public.calls for all to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));
create policy webhook_reads on public.calls for select to outdial_webhook using (true);
create policy webhook_updates on public.calls for update to outdial_webhook using (true) with check (true);
