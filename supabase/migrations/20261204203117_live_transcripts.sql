-- What has been said so far in live calls: one row per call, the newest transcript that Retell has sent. It goes when the
-- call ends, because the event of the end brings the final transcript.

-- Not logged: a transcript changes with each turn and lasts as long as its call, and no backup needs it.
create unlogged table public.live_transcripts (
  call_id uuid primary key references public.calls (id) on delete cascade,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  -- The last LONGEST_LIVE_TRANSCRIPT characters.
  transcript text not null check (length(transcript) between 1 and 20000),
  -- Those of the whole transcript: a later one has more lines, or as many and more characters.
  lines integer not null check (lines > 0),
  characters integer not null check (characters > 0),
  updated_at timestamptz not null
);
create index live_transcripts_organization on public.live_transcripts (organization_id);

revoke all on public.live_transcripts from anon, authenticated, service_role;
grant select, insert, update, delete on public.live_transcripts to service_role;
grant select on public.live_transcripts to authenticated;
grant select, insert on public.live_transcripts to outdial_webhook;
grant update (transcript, lines, characters, updated_at) on public.live_transcripts to outdial_webhook;
alter table public.live_transcripts enable row level security;
alter table public.live_transcripts force row level security;
create policy members_read on public.live_transcripts for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy webhook_reads on public.live_transcripts for select to outdial_webhook using (true);
create policy webhook_inserts on public.live_transcripts for insert to outdial_webhook with check (true);
create policy webhook_updates on public.live_transcripts for update to outdial_webhook using (true) with check (true);

-- Whatever ends a call ends its live transcript: an event, the dialer, the reconciler. So do an erasure and the end of the
-- time for which transcripts are kept. Per statement, because events end many calls in one.
create function private.end_live_transcripts() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  delete from public.live_transcripts t
  using changed c
  where t.call_id = c.id
    and (c.status not in ('placing', 'placed', 'ongoing', 'unknown')
      or coalesce(c.erased_at, c.transcript_removed_at) is not null);
  return null;
end
$$;
revoke all on function private.end_live_transcripts() from public;
create trigger calls_end_transcripts after update on public.calls referencing new table as changed
  for each statement execute function private.end_live_transcripts();
