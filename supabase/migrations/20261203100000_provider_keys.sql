-- API keys of Retell workspaces that members enter. The studio encrypts them with a key of its environment, which the
-- database does not have. A row belongs to one key: a replaced or removed one stays while its webhooks are accepted.

create table public.provider_keys (
  id uuid primary key,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  provider_account_id uuid not null,
  -- AES-256-GCM, bound to the organization and the account (outdial.provider_keys.sealing).
  ciphertext bytea not null check (octet_length(ciphertext) between 29 and 1000),
  last_four text not null check (length(last_four) = 4),
  -- The workspace that Retell reported for the key; null if it reported none.
  workspace_id text check (workspace_id <> ''),
  workspace_name text not null default '',
  entered_by text not null check (entered_by <> ''),
  entered_at timestamptz not null,
  tested_at timestamptz not null,
  -- Null for the key in use. Webhooks that a former key signs are accepted until this time; then the row is deleted.
  accepted_until timestamptz,
  foreign key (organization_id, provider_account_id) references public.provider_accounts (organization_id, id)
    on delete cascade
);
create unique index provider_keys_current on public.provider_keys (provider_account_id) where accepted_until is null;
-- One workspace has one limit, hence one account (decision 8).
create unique index provider_keys_workspace on public.provider_keys (workspace_id) where accepted_until is null;
create index provider_keys_organization on public.provider_keys (organization_id);
create index provider_keys_account on public.provider_keys (provider_account_id);

revoke all on public.provider_keys from anon, authenticated, service_role;
-- Those who enter a key can write its ciphertext, and never read it. Processes read it through the function below.
grant select (id, organization_id, provider_account_id, last_four, workspace_id, workspace_name, entered_by, entered_at,
  tested_at, accepted_until) on public.provider_keys to authenticated, service_role;
grant insert, update (accepted_until) on public.provider_keys to authenticated, service_role;
alter table public.provider_keys enable row level security;
alter table public.provider_keys force row level security;
create policy members_read on public.provider_keys for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy admins_insert on public.provider_keys for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('admin'))));
create policy admins_update on public.provider_keys for update to authenticated
  using (organization_id = any (array(select private.my_organizations('admin'))))
  with check (organization_id = any (array(select private.my_organizations('admin'))));

create constraint trigger provider_keys_audited after insert or update on public.provider_keys
  deferrable initially deferred for each row when (pg_catalog.current_setting('role') = 'authenticated')
  execute function private.audit_direct_change('provider_account', 'provider_account_id');

create function private.notify_provider_keys() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform pg_catalog.pg_notify('outdial_provider_keys', '');
  return null;
end
$$;
revoke all on function private.notify_provider_keys() from public;
create trigger provider_keys_changed after insert or update or delete on public.provider_keys
  for each row execute function private.notify_provider_keys();

-- The keys of all organizations, for the processes that call Retell or verify its webhooks. Deletes former keys whose
-- time is over.
create function private.provider_keys_in_use(p_now timestamptz)
returns table (id uuid, organization_id uuid, provider_account_id uuid, credential text, ciphertext bytea,
  accepted_until timestamptz)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  delete from public.provider_keys k where k.accepted_until <= p_now;
  return query
    select k.id, k.organization_id, k.provider_account_id, a.credential, k.ciphertext, k.accepted_until
    from public.provider_keys k join public.provider_accounts a on a.id = k.provider_account_id
    order by k.entered_at, k.id;
end
$$;
revoke all on function private.provider_keys_in_use(timestamptz) from public;
grant execute on function private.provider_keys_in_use(timestamptz) to outdial_dialer, outdial_webhook;

-- Encrypts a key again, unless it has changed since it was read. For the rotation of the environment's key.
create function private.reencrypt_provider_key(p_id uuid, p_former bytea, p_ciphertext bytea) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.provider_keys k set ciphertext = p_ciphertext where k.id = p_id and k.ciphertext = p_former;
  return found;
end
$$;
revoke all on function private.reencrypt_provider_key(uuid, bytea, bytea) from public;
grant execute on function private.reencrypt_provider_key(uuid, bytea, bytea) to outdial_dialer;

-- Dialers report which accounts have a key in their environment: the studio cannot know, and such a key wins.
alter table public.provider_accounts
  add column environment_key_at timestamptz,
  add column environment_workspace_id text;

create function private.report_environment_keys(p_credentials text[], p_workspace_ids text[], p_now timestamptz)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform from public.provider_accounts a where a.credential = any (p_credentials) order by a.id for no key update;
  update public.provider_accounts a
  set environment_key_at = p_now, environment_workspace_id = coalesce(u.workspace_id, a.environment_workspace_id)
  from rows from (pg_catalog.unnest(p_credentials), pg_catalog.unnest(p_workspace_ids)) as u (credential, workspace_id)
  where a.credential = u.credential;
end
$$;
revoke all on function private.report_environment_keys(text[], text[], timestamptz) from public;
grant execute on function private.report_environment_keys(text[], text[], timestamptz) to outdial_dialer;

-- Whether another account, perhaps of another organization, calls with a key of this workspace.
create function private.workspace_in_use(
  p_organization_id uuid, p_provider_account_id uuid, p_workspace_id text, p_since timestamptz
) returns boolean
language plpgsql stable security definer set search_path = ''
as $$
begin
  if current_setting('role') <> 'service_role'
     and not p_organization_id = any (array(select private.my_organizations('admin'))) then
    raise exception 'entering a key requires the role admin in the organization' using errcode = 'insufficient_privilege';
  end if;
  return exists (
    select from public.provider_keys k
    where k.workspace_id = p_workspace_id and k.accepted_until is null
      and k.provider_account_id <> p_provider_account_id
  ) or exists (
    select from public.provider_accounts a
    where a.environment_workspace_id = p_workspace_id and a.environment_key_at >= p_since
      and a.id <> p_provider_account_id
  );
end
$$;
revoke all on function private.workspace_in_use(uuid, uuid, text, timestamptz) from public;
grant execute on function private.workspace_in_use(uuid, uuid, text, timestamptz) to authenticated, service_role;
