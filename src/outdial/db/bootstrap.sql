-- Gives plain Postgres what Supabase already has: three roles, and the schema auth with the functions that policies use
-- to identify the caller (GoTrue migrations 20220224000811 and 20220531120530). Changes nothing that exists.

do $$
begin
  -- Roles are global to the server: another database may be creating them right now.
  begin
    if not exists (select from pg_roles where rolname = 'anon') then
      create role anon nologin noinherit;
    end if;
  exception when duplicate_object or unique_violation then null;
  end;
  begin
    if not exists (select from pg_roles where rolname = 'authenticated') then
      create role authenticated nologin noinherit;
    end if;
  exception when duplicate_object or unique_violation then null;
  end;
  begin
    if not exists (select from pg_roles where rolname = 'service_role') then
      create role service_role nologin noinherit bypassrls;
    end if;
  exception when duplicate_object or unique_violation then null;
  end;
end
$$;

do $$
begin
  if to_regnamespace('auth') is null then
    create schema auth;
    comment on schema auth is 'made by outdial';
  end if;
end
$$;

create table if not exists auth.users (
  id uuid primary key,
  aud text,
  role text,
  email text unique,
  encrypted_password text,
  email_confirmed_at timestamptz,
  last_sign_in_at timestamptz,
  raw_app_meta_data jsonb,
  raw_user_meta_data jsonb,
  created_at timestamptz,
  updated_at timestamptz
);

-- Tables of our subset of Supabase Auth (outdial.auth.local). On a Supabase project, Auth has its own tables and nothing
-- is created here.
do $$
begin
  if obj_description(to_regnamespace('auth'), 'pg_namespace') is distinct from 'made by outdial' then
    return;
  end if;
  create table if not exists auth.sessions (
    id uuid primary key,
    user_id uuid not null references auth.users (id) on delete cascade,
    created_at timestamptz not null,
    refreshed_at timestamptz not null,
    ended_at timestamptz
  );
  create index if not exists sessions_user on auth.sessions (user_id);
  -- Only hashes, so that reading this table is not enough to sign in.
  create table if not exists auth.refresh_tokens (
    token_sha256 bytea primary key check (octet_length(token_sha256) = 32),
    session_id uuid not null references auth.sessions (id) on delete cascade,
    created_at timestamptz not null,
    used_at timestamptz
  );
  create index if not exists refresh_tokens_session on auth.refresh_tokens (session_id);
  create table if not exists auth.signing_keys (
    kid uuid primary key,
    private_key text not null,
    created_at timestamptz not null
  );
  -- Sign-in attempts, by the hash of an email address or of a client's IP address.
  create table if not exists auth.attempts (
    subject_sha256 bytea primary key check (octet_length(subject_sha256) = 32),
    count integer not null,
    began_at timestamptz not null
  );
  create index if not exists attempts_began on auth.attempts (began_at);
  -- The browser of a session, and whether a second factor was given (aal2), in the columns that Supabase's Auth has.
  alter table auth.sessions add column if not exists user_agent text;
  alter table auth.sessions add column if not exists ip text;
  alter table auth.sessions add column if not exists aal text not null default 'aal1';
  create table if not exists auth.password_resets (
    token_sha256 bytea primary key check (octet_length(token_sha256) = 32),
    user_id uuid not null unique references auth.users (id) on delete cascade,
    expires_at timestamptz not null
  );
  -- The admin who made the link, and for which organization. Both are checked again when the link is used.
  alter table auth.password_resets add column if not exists organization_id uuid;
  alter table auth.password_resets add column if not exists made_by uuid;
  create table if not exists auth.mfa_factors (
    id uuid primary key,
    user_id uuid not null references auth.users (id) on delete cascade,
    friendly_name text,
    factor_type text not null check (factor_type = 'totp'),
    status text not null check (status in ('unverified', 'verified')),
    secret text not null,
    -- The 30 seconds of the last code that was accepted: a code works once.
    last_step bigint not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null
  );
  create index if not exists mfa_factors_user on auth.mfa_factors (user_id);
  create table if not exists auth.recovery_codes (
    user_id uuid not null references auth.users (id) on delete cascade,
    code_sha256 bytea not null check (octet_length(code_sha256) = 32),
    primary key (user_id, code_sha256)
  );
end
$$;

do $$
begin
  if to_regprocedure('auth.jwt()') is null then
    create function auth.jwt() returns jsonb language sql stable as $f$
      select coalesce(
        nullif(current_setting('request.jwt.claim', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')
      )::jsonb
    $f$;
  end if;
  if to_regprocedure('auth.uid()') is null then
    create function auth.uid() returns uuid language sql stable as $f$
      select coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
      )::uuid
    $f$;
  end if;
  if to_regprocedure('auth.role()') is null then
    create function auth.role() returns text language sql stable as $f$
      select coalesce(
        nullif(current_setting('request.jwt.claim.role', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
      )
    $f$;
  end if;
  if to_regprocedure('auth.email()') is null then
    create function auth.email() returns text language sql stable as $f$
      select coalesce(
        nullif(current_setting('request.jwt.claim.email', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email'
      )
    $f$;
  end if;
end
$$;

grant usage on schema auth, public to anon, authenticated, service_role;
