-- Users of local Auth.

-- name: user_by_email
-- returns: UserRow | None
-- row: A user. The metadata is JSON text.
-- secret: encrypted_password
-- null: encrypted_password, email_confirmed_at, last_sign_in_at, created_at, updated_at
-- Find a user by email address. Addresses are stored in lower case.
select id, email, encrypted_password, email_confirmed_at, last_sign_in_at,
  coalesce(raw_app_meta_data, '{}')::text as app_metadata, coalesce(raw_user_meta_data, '{}')::text as user_metadata,
  created_at, updated_at
from auth.users where email = :email;

-- name: user_by_id
-- returns: UserRow | None
-- secret: encrypted_password
-- null: encrypted_password, email_confirmed_at, last_sign_in_at, created_at, updated_at
-- Find a user by id.
select id, email, encrypted_password, email_confirmed_at, last_sign_in_at,
  coalesce(raw_app_meta_data, '{}')::text as app_metadata, coalesce(raw_user_meta_data, '{}')::text as user_metadata,
  created_at, updated_at
from auth.users where id = :id;

-- name: list_users
-- returns: list[UserRow]
-- secret: encrypted_password
-- null: encrypted_password, email_confirmed_at, last_sign_in_at, created_at, updated_at
-- List a page of users, ordered by id.
select id, email, encrypted_password, email_confirmed_at, last_sign_in_at,
  coalesce(raw_app_meta_data, '{}')::text as app_metadata, coalesce(raw_user_meta_data, '{}')::text as user_metadata,
  created_at, updated_at
from auth.users order by id limit :limit offset :skip;

-- name: create_user
-- returns: UUID | None
-- null: :confirmed_at
-- Insert a user. Returns None when the email address is taken.
insert into auth.users (id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data,
  raw_user_meta_data, created_at, updated_at)
values (:id, 'authenticated', 'authenticated', :email, :encrypted_password, :confirmed_at, :app_metadata::text::jsonb,
  :user_metadata::text::jsonb, :now, :now)
on conflict (email) do nothing
returning id;

-- name: change_user
-- returns: UUID | None
-- null: :email, :encrypted_password, :app_metadata, :user_metadata
-- Change the values that are not null; `confirms`: the email address is the user's. Returns None when there is no such user.
-- The email address must be free.
update auth.users
set email = coalesce(:email, email), encrypted_password = coalesce(:encrypted_password, encrypted_password),
  raw_app_meta_data = coalesce(raw_app_meta_data, '{}') || coalesce(:app_metadata::text::jsonb, '{}'),
  raw_user_meta_data = coalesce(raw_user_meta_data, '{}') || coalesce(:user_metadata::text::jsonb, '{}'),
  email_confirmed_at = coalesce(email_confirmed_at, case when :confirms::boolean then :now::timestamptz end),
  updated_at = :now
where id = :id
returning id;

-- name: reset_password!
-- Set a password that came by a link. Who used the link has not shown that they read email at the user's address.
update auth.users set encrypted_password = :encrypted_password, email_confirmed_at = null, updated_at = :now
where id = :id;

-- name: rehash_password!
-- null: :former
-- Store the same password under current parameters, unless it has changed in the meantime.
update auth.users set encrypted_password = :encrypted_password where id = :id and encrypted_password = :former;

-- name: delete_user
-- returns: UUID | None
-- Delete a user and everything that belongs to it.
delete from auth.users where id = :id returning id;

-- name: record_sign_in!
-- Store the time of the last sign-in.
update auth.users set last_sign_in_at = :now where id = :id;

-- name: is_local_auth
-- returns: bool
-- Return whether Outdial made the schema `auth`. On a Supabase project it did not.
select coalesce(obj_description(to_regnamespace('auth'), 'pg_namespace') = 'made by outdial', false) as id;
