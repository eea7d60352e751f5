-- What has been said so far in live calls.

-- name: keep_live_transcripts
-- returns: list[UUID]
-- null: :call_ids[]
-- Keep transcripts of live calls that are newer than those kept: with more lines, or as many and more characters. Returns
-- the calls. A call has to belong to the account whose key signed the event. The lock keeps a call from ending meanwhile;
-- a call that another transaction has locked is left to the next event.
with locked as materialized (
  select c.id, c.organization_id, c.provider_account_id, c.retell_call_id, c.status, c.erased_at,
    c.transcript_removed_at
  from calls c
  where c.id = any (:call_ids::uuid[]) or c.retell_call_id = any (:retell_call_ids::text[])
  order by c.id
  for share skip locked
), newest as (
  select distinct on (c.id) c.id, c.organization_id, u.transcript, u.lines, u.characters
  from locked c
  join provider_accounts a on a.id = c.provider_account_id
  join unnest(:credentials::text[], :retell_call_ids::text[], :call_ids::uuid[], :transcripts::text[],
      :lines::integer[], :characters::integer[])
    as u (credential, retell_call_id, call_id, transcript, lines, characters)
    on u.credential = a.credential and coalesce(u.call_id, c.id) = c.id
      and (u.retell_call_id = c.retell_call_id or c.retell_call_id is null and u.call_id = c.id)
  where c.status in ('placing', 'placed', 'ongoing', 'unknown')
    and c.erased_at is null and c.transcript_removed_at is null
  order by c.id, u.lines desc, u.characters desc
), kept as (
  insert into live_transcripts as t (call_id, organization_id, transcript, lines, characters, updated_at)
  select n.id, n.organization_id, n.transcript, n.lines, n.characters, :now from newest n order by n.id
  on conflict (call_id) do update
  set transcript = excluded.transcript, lines = excluded.lines, characters = excluded.characters,
    updated_at = excluded.updated_at
  where (excluded.lines, excluded.characters) > (t.lines, t.characters)
  returning t.call_id, t.organization_id
)
select k.call_id as id from kept k, lateral pg_notify('outdial_transcripts', k.organization_id || ' ' || k.call_id);

-- name: list_live_transcripts
-- returns: list[LiveTranscriptRow]
-- row: The end of what has been said so far in a live call, and how long the whole is.
-- List the transcripts of live calls.
select call_id, transcript, characters, updated_at from live_transcripts
where organization_id = :organization_id and call_id = any (:call_ids::uuid[]);
