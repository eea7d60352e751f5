-- A role for our subset of Supabase Auth, where the database is plain Postgres; on a Supabase project it may do nothing.
--
-- Its tables are made by outdial.db's bootstrap.sql, because the schema is Supabase's to fill where there is Supabase.

-- Roles belong to the whole server: another database may have made this one, or be making it right now.
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
