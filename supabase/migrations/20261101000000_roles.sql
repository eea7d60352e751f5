-- Roles of Outdial's processes, and the schema for functions that the API does not expose.
--
-- outdial_api      functions and studio: may only assume anon, authenticated or service_role
-- outdial_webhook  receiver and applier: the ledger, and the columns of calls and contacts that events set
-- outdial_dialer   dialer: sees only the organization that its transaction declares
--
-- They have no password until `outdial db credentials` sets one.

-- Roles are global to the server: another database may have created them, or be creating them right now.
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

-- The organization that the dialer's transaction has declared. Null, and therefore no rows, when it has declared none.
create function private.current_organization() returns uuid
language sql stable set search_path = ''
as $$ select nullif(current_setting('outdial.organization_id', true), '')::uuid $$;
revoke all on function private.current_organization() from public;
grant execute on function private.current_organization() to outdial_dialer;

-- Rejects a status change that is not a transition of the state machine. TG_ARGV holds the transitions as 'from>to'. A
-- test compares them with outdial.domain.
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
