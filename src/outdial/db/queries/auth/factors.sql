-- Second factors, recovery codes and password resets of local Auth.

-- name: add_factor!
-- null: :friendly_name
-- Insert a factor that is not verified yet.
insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, secret, created_at, updated_at)
values (:id, :user_id, :friendly_name, 'totp', 'unverified', :secret, :now, :now);

-- name: delete_unverified_factors!
-- Delete the factors of a user whose enrolment was not completed.
delete from auth.mfa_factors where user_id = :user_id and status = 'unverified';

-- name: list_factors
-- returns: list[FactorRow]
-- row: A second factor of a user.
-- null: friendly_name
-- List the factors of a user, the oldest first.
select id, friendly_name, factor_type, status, created_at, updated_at
from auth.mfa_factors where user_id = :user_id order by created_at, id;

-- name: lock_factor
-- returns: FactorSecret | None
-- row: The secret of a factor, and the step of its last code.
-- secret: secret
-- Lock a factor of a user. Of two requests with one code, the second sees that it was used.
select id, secret, status, last_step from auth.mfa_factors where id = :id and user_id = :user_id for update;

-- name: accept_code
-- returns: UUID | None
-- Record that the code of a step was given, unless it or a later one was given before.
update auth.mfa_factors set last_step = :step, status = 'verified', updated_at = :now
where id = :id and last_step < :step
returning id;

-- name: delete_factor
-- returns: UUID | None
-- Delete a factor of a user.
delete from auth.mfa_factors where id = :id and user_id = :user_id returning id;

-- name: add_recovery_codes!
-- Insert the recovery codes of a user.
insert into auth.recovery_codes (user_id, code_sha256)
select :user_id::uuid, code from unnest(:codes::bytea[]) code;

-- name: delete_recovery_codes!
-- Delete the recovery codes of a user.
delete from auth.recovery_codes where user_id = :user_id;

-- name: use_recovery_code
-- returns: UUID | None
-- Use up a recovery code. Returns None when there is no such code.
delete from auth.recovery_codes where user_id = :user_id and code_sha256 = :code_sha256 returning user_id as id;

-- name: set_password_reset!
-- null: :made_by
-- Insert the reset of a user's password, in place of an earlier one.
insert into auth.password_resets (token_sha256, user_id, organization_id, made_by, expires_at)
values (:token_sha256, :user_id, :organization_id, :made_by, :expires_at)
on conflict (user_id) do update
set token_sha256 = excluded.token_sha256, organization_id = excluded.organization_id, made_by = excluded.made_by,
  expires_at = excluded.expires_at;

-- name: find_password_reset
-- returns: PasswordResetRow | None
-- row: A reset of a user's password, for an organization. `made_by` is null after a back end with the secret key.
-- null: made_by
-- Find a reset that has not expired.
select user_id, organization_id, made_by from auth.password_resets
where token_sha256 = :token_sha256 and expires_at > :now and organization_id is not null;

-- name: use_password_reset
-- returns: UUID | None
-- Use up a reset that has not expired, and return its user.
delete from auth.password_resets where token_sha256 = :token_sha256 and expires_at > :now returning user_id as id;

-- name: delete_password_reset!
-- Delete the reset of a user whose password has changed.
delete from auth.password_resets where user_id = :user_id;
