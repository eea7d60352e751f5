-- The roles that Outdial's processes connect as, and the schema for functions that the API does not expose.
--
-- outdial_api      functions and studio: may only assume anon, authenticated or service_role
-- outdial_webhook  the receiver and the applier: ledger, and the columns of calls and contacts that events own
-- outdial_dialer   the dialer: sees the rows of the one organization that its transaction declares
--
-- They have no password until `outdial db credentials` gives them one.

-- Roles belong to the whole server: another database may have made them, or be making them right now.
do $$
declare
  name text;
begin
  foreach name in array array['outdial_api', 'outdial_webhook', 'outdial_dialer'] loop
    begin
      execute format('create role %I login noinherit', name);
    exception when duplicate_object or unique_violation then
      null;
    end;
  end loop;
end
$$;

grant anon, authenticated, service_role to outdial_api;

create schema private;
grant usage on schema private to authenticated, service_role, outdial_webhook, outdial_dialer;
grant usage on schema public to outdial_webhook, outdial_dialer;

-- The organization that the transaction of a dialer has declared; null, and so no row at all, when it has not.
create function private.current_organization() returns uuid
language sql stable set search_path = ''
as $$ select nullif(current_setting('outdial.organization_id', true), '')::uuid $$;
revoke all on function private.current_organization() from public;
grant execute on function private.current_organization() to outdial_dialer;

-- Refuses a change of status that is no arrow of the machine. TG_ARGV holds the arrows as 'from>to'; they are the
-- ones of outdial.domain, which a test compares with what this trigger lets through.
create function private.check_arrow() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if new.status is distinct from old.status and not (old.status || '>' || new.status = any (tg_argv)) then
    raise exception '% cannot go from % to %', tg_table_name, old.status, new.status
      using errcode = 'check_violation', constraint = tg_table_name || '_arrow';
  end if;
  return new;
end
$$;
revoke all on function private.check_arrow() from public;
