-- Notifies open pages that a campaign has changed: once per statement and campaign, from any process.

create function private.tell_changed_calls() returns trigger
language plpgsql set search_path = ''
as $$
begin
  perform pg_catalog.pg_notify('outdial_changes', c.organization_id || ' ' || c.campaign_id)
  from (select distinct organization_id, campaign_id from changed) as c;
  return null;
end
$$;
revoke all on function private.tell_changed_calls() from public;

create function private.tell_changed_campaigns() returns trigger
language plpgsql set search_path = ''
as $$
begin
  perform pg_catalog.pg_notify('outdial_changes', c.organization_id || ' ' || c.id) from changed as c;
  return null;
end
$$;
revoke all on function private.tell_changed_campaigns() from public;

create trigger calls_tell_insert after insert on public.calls referencing new table as changed
  for each statement execute function private.tell_changed_calls();
create trigger calls_tell_update after update on public.calls referencing new table as changed
  for each statement execute function private.tell_changed_calls();
create trigger campaigns_tell_insert after insert on public.campaigns referencing new table as changed
  for each statement execute function private.tell_changed_campaigns();
create trigger campaigns_tell_update after update on public.campaigns referencing new table as changed
  for each statement execute function private.tell_changed_campaigns();
