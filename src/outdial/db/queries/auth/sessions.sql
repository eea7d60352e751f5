-- Sessions of local Auth, the keys that sign its tokens, and counts of attempts.

-- name: create_session!
-- null: :user_agent, :ip
-- Insert a session.
insert into auth.sessions (id, user_id, created_at, refreshed_at, user_agent, ip)
values (:id, :user_id, :now, :now, :user_agent::text, :ip::text);

-- name: find_session
-- returns: UUID | None
-- Find a session of this user that has not ended.
select id from auth.sessions where id = :id and user_id = :user_id and ended_at is null;

-- name: refresh_session!
-- Record that a session was refreshed.
update auth.sessions set refreshed_at = :now where id = :id and ended_at is null;

-- name: raise_session!
-- Record that a second factor was given in a session.
update auth.sessions set aal = 'aal2', refreshed_at = :now where id = :id and ended_at is null;

-- name: end_sessions!
-- null: :only, :but
-- End sessions of a user: only `only`, all except `but`, or all of them.
update auth.sessions
set ended_at = :now
where user_id = :user_id and ended_at is null
  and (:only::uuid is null or id = :only) and (:but::uuid is null or id <> :but);

-- name: delete_old_sessions!
-- Delete sessions that ended, or were last refreshed, before a time.
delete from auth.sessions where id in (
  select id from auth.sessions where coalesce(ended_at, refreshed_at) < :before
  limit :limit for update skip locked
);

-- name: add_refresh_token!
-- Insert a refresh token.
insert into auth.refresh_tokens (token_sha256, session_id, created_at) values (:token_sha256, :session_id, :now);

-- name: lock_refresh_token
-- returns: RefreshTokenRow | None
-- row: A refresh token with its session.
-- null: used_at, ended_at
-- Lock a refresh token and its session. Of two requests with one token, the second sees what the first did.
select s.id as session_id, s.user_id, s.aal, t.used_at, s.refreshed_at, s.ended_at
from auth.refresh_tokens t join auth.sessions s on s.id = t.session_id
where t.token_sha256 = :token_sha256
for update of s, t;

-- name: use_refresh_token!
-- Mark a refresh token as used. A token can be used once.
update auth.refresh_tokens set used_at = :now where token_sha256 = :token_sha256 and used_at is null;

-- name: delete_refresh_tokens!
-- Delete the refresh tokens of a session.
delete from auth.refresh_tokens where session_id = :session_id;

-- name: list_signing_keys
-- returns: list[SigningKeyRow]
-- row: A signing key. `private_key` is PEM.
-- secret: private_key
-- List the keys that sign tokens. The newest key signs, and all of them verify.
select kid, private_key, created_at from auth.signing_keys order by created_at desc, kid;

-- name: lock_signing_keys
-- returns: None
-- Wait for the lock under which one process at a time creates a key.
select pg_advisory_xact_lock(5464813024);

-- name: add_signing_key!
-- Insert a signing key. It signs from now on.
insert into auth.signing_keys (kid, private_key, created_at) values (:kid, :private_key, :now);

-- name: delete_old_signing_keys!
-- Delete keys whose tokens have all expired. The newest key stays.
delete from auth.signing_keys k
where exists (
  select from auth.signing_keys later where later.created_at > k.created_at and later.created_at < :before
);

-- name: count_attempt
-- returns: AttemptCount
-- row: The number of attempts since `began_at`.
-- Count an attempt of a subject. The count restarts when it began before `before`.
insert into auth.attempts as a (subject_sha256, count, began_at) values (:subject_sha256, 1, :now)
on conflict (subject_sha256) do update
set count = case when a.began_at < :before then 1 else a.count + 1 end,
  began_at = case when a.began_at < :before then excluded.began_at else a.began_at end
returning count, began_at;

-- name: return_attempt!
-- Take back one attempt of a subject.
update auth.attempts set count = count - 1 where subject_sha256 = :subject_sha256 and count > 0;

-- name: delete_attempts!
-- Delete the attempts of a subject that signed in, and some of those before a time. Rows that another transaction is
-- counting stay.
delete from auth.attempts where subject_sha256 in (
  select subject_sha256 from auth.attempts where subject_sha256 = :subject_sha256 or began_at < :before
  order by subject_sha256 <> :subject_sha256 limit :limit for update skip locked
);
