-- The ledger: every webhook delivery from Retell, unchanged, and its processing status.

create table public.webhook_events (
  id bigint generated always as identity primary key,
  -- Set once the event is matched to its call.
  organization_id uuid references public.organizations (id) on delete cascade,
  call_id uuid references public.calls (id) on delete cascade,
  source text not null check (source in ('webhook', 'reconciler')),
  -- The credential whose key signed the event. An event changes only calls of that credential's account.
  credential text not null,
  retell_call_id text not null,
  event text not null,
  body bytea not null,
  body_sha256 bytea not null check (octet_length(body_sha256) = 32),
  status text not null default 'pending' check (status in ('pending', 'applied', 'unmatched', 'quarantined')),
  received_at timestamptz not null,
  applied_at timestamptz,
  next_try_at timestamptz not null,
  tries integer not null default 0,
  error text,
  -- How many times the same delivery was repeated.
  repeats integer not null default 0,
  unique (retell_call_id, event, body_sha256, credential)
);
-- Bodies are 1 to 4 KB, written once and rarely read. Keeping them in the row saves the TOAST table, its index and the
-- compression: 10 to 14 % of Postgres' work per event.
alter table public.webhook_events set (toast_tuple_target = 8160);
create index webhook_events_pending on public.webhook_events (next_try_at) where status = 'pending';
create index webhook_events_organization on public.webhook_events (organization_id, id desc);
create index webhook_events_call on public.webhook_events (call_id);
create index webhook_events_odd on public.webhook_events (id) where status in ('unmatched', 'quarantined');

-- An event may arrive before the response that contains Retell's call id. Settling calls this with the new ids.
create function private.reopen_unmatched(p_credential text, p_retell_call_ids text[], p_now timestamptz)
returns bigint
language sql volatile security definer set search_path = ''
as $$
  with reopened as (
    update public.webhook_events e
    set status = 'pending', next_try_at = p_now
    where e.id in (
      select u.id from public.webhook_events u
      where u.retell_call_id = any (p_retell_call_ids) and u.credential = p_credential and u.status = 'unmatched'
      order by u.id
      for update
    )
    returning 1
  )
  select count(*) from reopened
$$;
revoke all on function private.reopen_unmatched(text, text[], timestamptz) from public;
grant execute on function private.reopen_unmatched(text, text[], timestamptz) to outdial_dialer;

revoke all on public.webhook_events from anon, authenticated, service_role;
grant select, insert, update, delete on public.webhook_events to service_role;

alter table public.webhook_events enable row level security;
alter table public.webhook_events force row level security;
grant select on public.webhook_events to authenticated, outdial_webhook;
grant select, insert on public.webhook_events to outdial_dialer;
grant insert on public.webhook_events to outdial_webhook;
grant update (organization_id, call_id, status, applied_at, next_try_at, tries, error, repeats)
  on public.webhook_events to outdial_webhook;
create policy members_read on public.webhook_events for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy webhook_works on public.webhook_events for all to outdial_webhook using (true) with check (true);
create policy dialer_reads on public.webhook_events for select to outdial_dialer
  using (organization_id = (select private.current_organization()));
create policy dialer_inserts on public.webhook_events for insert to outdial_dialer
  with check (source = 'reconciler' and organization_id = (select private.current_organization()));
