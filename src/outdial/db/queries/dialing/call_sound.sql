-- Members who hear a live call, and take it over: what they request, and what a dialer was granted by the provider.

-- name: request_listening
-- returns: str
-- null: :reply_key, :listening_id
-- Ask a dialer for the sound of a call, or, with an audit entry, to speak in it as the listener of an earlier request.
-- Returns `requested`, or why not: `missing`, `former`, `no_listener`, or the status of a call that is not on the line.
select private.request_listening(
  :organization_id, :call_id, :id, :reply_key::bytea, :listening_id::uuid, :now
) as outcome;

-- name: read_listening
-- returns: ListeningAnswer | None
-- row: What has become of a request. `sealed` is the token, encrypted for who asked.
-- null: refusal, reason, sealed
-- Read the response to a request of the caller.
select status, refusal, reason, sealed from private.read_listening(:organization_id, :id);

-- name: due_listen_requests
-- returns: list[DueListenRequest]
-- row: A request that no dialer has taken, with the account that can carry it out.
-- List the requests of all organizations since a time; who asked earlier has given up.
select organization_id, request_id, credential from private.listen_requests_due(:now, :since, :limit);

-- name: take_listen_request
-- returns: ListenRequest | None
-- row: A request that a dialer carries out, with its call.
-- null: reply_key, participant_id, retell_call_id
-- Take a request, unless another dialer has.
update listen_requests r set status = 'taken'
from calls c
where r.id = :id and r.status = 'requested' and c.id = r.call_id
returning r.id, r.organization_id, r.call_id, r.action, r.reply_key, r.participant_id, c.retell_call_id,
  c.status in ('placed', 'ongoing') as is_on_the_line,
  private.workspace_of_call(c.provider_account_id, c.created_at, c.created_at, :now) as workspace;

-- name: grant_listening
-- returns: bool
-- null: :participant_id, :sealed
-- Store what the provider has granted, with its audit entry.
select private.grant_listening(:id, :participant_id::text, :sealed::bytea, :now) as is_granted;

-- name: refuse_listening
-- returns: bool
-- null: :reason
-- Store why a request was not granted; that of a takeover with its audit entry.
select private.refuse_listening(:id, :refusal, :reason::text, :now) as is_refused;

-- name: forget_listen_requests!
-- Delete the requests before a time; their calls are over.
delete from listen_requests where organization_id = :organization_id and requested_at < :before;
