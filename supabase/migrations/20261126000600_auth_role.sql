-- Role for our subset of Supabase Auth on plain Postgres. On a Supabase project it has no rights.
--
-- outdial.db's bootstrap.sql creates its tables, because on a Supabase project the schema belongs to Supabase.

-- Roles are global to the server: another database may have created this one, or be creating it right now.
do $$
begin
  create role outdial_auth login noinherit;
exception when duplicate_object or unique_violation then
  null;
end
$$;

do $$
begin
  if obj_description(to_regnamespace('auth'), 'pg_namespace') = 'made by outdial' then
    grant usage on schema auth to outdial_auth;
    grant select, insert, update, delete on auth.users, auth.sessions, auth.refresh_tokens, auth.attempts to outdial_auth;
    grant select, insert, delete on auth.signing_keys to outdial_auth;
  end if;
end
$$;
