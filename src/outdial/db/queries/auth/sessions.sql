-- Sessions of local Auth, the keys that sign its tokens, and counts of attempts.

-- name: create_session!
-- A session.
insert into auth.sessions (id, user_id, created_at, refreshed_at) values (:id, :user_id, :now, :now);

-- name: find_session
-- returns: UUID | None
-- A session that has not ended, of this user.
select id from auth.sessions where id = :id and user_id = :user_id and ended_at is null;

-- name: refresh_session!
-- A session that goes on.
update auth.sessions set refreshed_at = :now where id = :id and ended_at is null;

-- name: end_sessions!
-- null: :only, :but
-- Sessions of a user: this one, all others, or all of them.
update auth.sessions
set ended_at = :now
where user_id = :user_id and ended_at is null
  and (:only::uuid is null or id = :only) and (:but::uuid is null or id <> :but);

-- name: delete_old_sessions!
-- Sessions that ended, or that nobody has refreshed for so long.
delete from auth.sessions where id in (
  select id from auth.sessions where coalesce(ended_at, refreshed_at) < :before
  limit :limit for update skip locked
);

-- name: add_refresh_token!
-- A refresh token that is good from now on.
insert into auth.refresh_tokens (token_sha256, session_id, created_at) values (:token_sha256, :session_id, :now);

-- name: lock_refresh_token
-- returns: RefreshTokenRow | None
-- null: used_at, ended_at
-- A refresh token with its session, locked, so that of two who come with one token the second sees what the first did.
select s.id as session_id, s.user_id, t.used_at, s.refreshed_at, s.ended_at
from auth.refresh_tokens t join auth.sessions s on s.id = t.session_id
where t.token_sha256 = :token_sha256
for update of s, t;

-- name: use_refresh_token!
-- A token is used once; this is when.
update auth.refresh_tokens set used_at = :now where token_sha256 = :token_sha256 and used_at is null;

-- name: list_signing_keys
-- returns: list[SigningKeyRow]
-- secret: private_key
-- The keys that sign tokens: the newest signs, all of them verify.
select kid, private_key, created_at from auth.signing_keys order by created_at desc, kid;

-- name: lock_signing_keys
-- returns: None
-- Only one process makes the first key.
select pg_advisory_xact_lock(5464813024);

-- name: add_signing_key!
-- A key that signs from now on.
insert into auth.signing_keys (kid, private_key, created_at) values (:kid, :private_key, :now);

-- name: delete_old_signing_keys!
-- Keys whose tokens have all expired; the newest stays.
delete from auth.signing_keys k
where exists (
  select from auth.signing_keys later where later.created_at > k.created_at and later.created_at < :before
);

-- name: count_attempt
-- returns: AttemptCount
-- One more attempt of a subject; the count begins anew when the former one is older than :before.
insert into auth.attempts as a (subject_sha256, count, began_at) values (:subject_sha256, 1, :now)
on conflict (subject_sha256) do update
set count = case when a.began_at < :before then 1 else a.count + 1 end,
  began_at = case when a.began_at < :before then excluded.began_at else a.began_at end
returning count, began_at;

-- name: delete_attempts!
-- Attempts of a subject that has signed in, and some of those before a moment; whoever counts one now keeps it.
delete from auth.attempts where subject_sha256 in (
  select subject_sha256 from auth.attempts where subject_sha256 = :subject_sha256 or began_at < :before
  order by subject_sha256 <> :subject_sha256 limit :limit for update skip locked
);
