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

-- name: keep_test_transcripts!
-- null: :test_call_ids[]
-- Keep what has been said so far in test calls that are live, if it is newer: with more lines, or as many and more
-- characters. The event of the end brings the final transcript. A test call has to belong to the account whose key signed
-- the event; one that another transaction has locked is left to the next event.
with newest as materialized (
  select t.id, u.transcript
  from test_calls t
  join provider_accounts a on a.id = t.provider_account_id
  join unnest(:credentials::text[], :retell_call_ids::text[], :test_call_ids::uuid[], :transcripts::text[],
      :lines::integer[], :characters::integer[])
    as u (credential, retell_call_id, test_call_id, transcript, lines, characters)
    on u.credential = a.credential
      and (u.retell_call_id = t.retell_call_id or t.retell_call_id is null and u.test_call_id = t.id)
  where (t.id = any (:test_call_ids::uuid[]) or t.retell_call_id = any (:retell_call_ids::text[]))
    and t.status = 'sent' and t.erased_at is null and t.transcript_removed_at is null
    and (t.transcript is null or (u.lines, u.characters) > (
      1 + length(t.transcript) - length(replace(t.transcript, e'\n', '')), length(t.transcript)))
  order by t.id
  for update of t skip locked
)
update test_calls t set transcript = n.transcript from newest n where t.id = n.id;

-- name: list_live_transcripts
-- returns: list[LiveTranscriptRow]
-- row: The end of what has been said so far in a live call, and how long the whole is.
-- List the transcripts of live calls.
select call_id, transcript, characters, updated_at from live_transcripts
where organization_id = :organization_id and call_id = any (:call_ids::uuid[]);
