-- A function writes the entries of the audit log: the author is the caller, the time is the database's.

create function private.record_audit(
  p_organization_id uuid, p_actor text, p_action text, p_subject_type text, p_subject_id text, p_details jsonb
) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  -- The role that the session has assumed: one login may have the roles of several processes.
  acting text := coalesce(nullif(current_setting('role'), 'none'), session_user);
  author text := p_actor;
  is_author boolean;
begin
  if acting = 'authenticated' then
    author := (select auth.uid())::text;
    if author is null or not p_organization_id = any (array(select private.my_organizations('operator'))) then
      raise exception 'the audit log is written by operators of the organization'
        using errcode = 'insufficient_privilege';
    end if;
  elsif acting <> 'service_role' and not pg_catalog.pg_has_role(acting, current_user, 'usage') then
    -- A process, in the organization that it has declared. Jobs act on behalf of the user who requested the import.
    if pg_catalog.pg_has_role(acting, 'outdial_dialer', 'usage') then
      is_author := p_actor = 'dialer';
    else
      is_author := p_actor in ('jobs', 'service') or exists (
        select from public.imports i
        where i.organization_id = p_organization_id and i.created_by::text = p_actor
      );
    end if;
    if p_organization_id is distinct from private.current_organization() or is_author is not true then
      raise exception 'a process may write audit entries only as itself' using errcode = 'insufficient_privilege';
    end if;
  end if;
  insert into public.audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
  values (p_organization_id, pg_catalog.clock_timestamp(), author, p_action, p_subject_type, p_subject_id, p_details);
end
$$;
revoke all on function private.record_audit(uuid, text, text, text, text, jsonb) from public;
grant execute on function private.record_audit(uuid, text, text, text, text, jsonb)
  to authenticated, service_role, outdial_dialer, outdial_jobs;

-- Processes of the previous version insert entries themselves, and keep the right to until the next release. The webhook
-- receiver never did. No caller may choose the id, because entries are listed by it.
drop policy webhook_inserts on public.audit_log;
revoke insert on public.audit_log from authenticated, service_role, outdial_dialer, outdial_webhook, outdial_jobs;
grant insert (organization_id, at, actor, action, subject_type, subject_id, details) on public.audit_log
  to authenticated, service_role, outdial_dialer, outdial_jobs;

-- Such an entry gets the time of the database, and the caller as its author. The policies of the dialer and of jobs allow
-- only their own names. The functions that write entries have the rights of the table's owner, and set both themselves.
create function private.sign_audit_entry() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if (
    select pg_catalog.pg_has_role(current_user, c.relowner, 'usage') from pg_catalog.pg_class c where c.oid = tg_relid
  ) then
    return new;
  end if;
  new.at := pg_catalog.clock_timestamp();
  if current_user = 'authenticated' then
    new.actor := (select auth.uid())::text;
  elsif current_user = 'service_role' then
    new.actor := 'service';
  end if;
  return new;
end
$$;
revoke all on function private.sign_audit_entry() from public;
create trigger audit_log_signed before insert on public.audit_log
  for each row execute function private.sign_audit_entry();

-- A member who runs SQL directly can change settings without the studio. Each such change is recorded at commit, unless the
-- transaction has recorded one about the same subject itself: campaigns, and what admins configure.
-- The arguments are the type of the subject, and the column that its entries name. Entries are inserted here and not by
-- private.record_audit: a member who leaves an organization or lowers their own role may no longer write, but has acted.
create function private.audit_direct_change() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  former jsonb := case when tg_op = 'INSERT' then '{}' else pg_catalog.to_jsonb(old) end;
  present jsonb := case when tg_op = 'DELETE' then '{}' else pg_catalog.to_jsonb(new) end;
  subject text := coalesce(present ->> tg_argv[1], former ->> tg_argv[1]);
  organization text := case when tg_table_name = 'organizations' then subject
    else coalesce(present ->> 'organization_id', former ->> 'organization_id') end;
  author text := coalesce((select auth.uid())::text, 'unknown');
  changed text[];
begin
  select pg_catalog.array_agg(n.key order by n.key) into changed
  from pg_catalog.jsonb_object_keys(former || present) as n (key)
  where former -> n.key is distinct from present -> n.key
    and n.key not in ('created_at', 'updated_at', 'next_batch_at', 'next_batch_size', 'waiting_for', 'paused_reason',
      'started_at', 'finished_at');
  if changed is null or exists (
    select from public.audit_log a
    where a.organization_id = organization::uuid and a.subject_id = subject
      and a.at >= pg_catalog.transaction_timestamp() and a.actor = author
  ) or not exists (select from public.organizations o where o.id = organization::uuid) then
    return null;
  end if;
  insert into public.audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
  values (organization::uuid, pg_catalog.clock_timestamp(), author, 'change_' || tg_argv[0] || '_directly', tg_argv[0],
    subject, pg_catalog.jsonb_build_object('operation', lower(tg_op), 'changed', changed));
  return null;
end
$$;
revoke all on function private.audit_direct_change() from public;

create constraint trigger campaigns_audited after insert or update or delete on public.campaigns
  deferrable initially deferred for each row when (pg_catalog.current_setting('role') = 'authenticated')
  execute function private.audit_direct_change('campaign', 'id');
create constraint trigger organizations_audited after update on public.organizations
  deferrable initially deferred for each row when (pg_catalog.current_setting('role') = 'authenticated')
  execute function private.audit_direct_change('organization', 'id');
create constraint trigger organization_members_audited after insert or update or delete on public.organization_members
  deferrable initially deferred for each row when (pg_catalog.current_setting('role') = 'authenticated')
  execute function private.audit_direct_change('member', 'user_id');
create constraint trigger provider_accounts_audited after insert or update or delete on public.provider_accounts
  deferrable initially deferred for each row when (pg_catalog.current_setting('role') = 'authenticated')
  execute function private.audit_direct_change('provider_account', 'id');
create constraint trigger phone_numbers_audited after insert or update or delete on public.phone_numbers
  deferrable initially deferred for each row when (pg_catalog.current_setting('role') = 'authenticated')
  execute function private.audit_direct_change('phone_number', 'id');

-- These functions asked the claims whether the caller is the service. Claims are whatever the caller's token says, and a
-- statement of the caller can set them; the role is what the session has assumed.
create or replace function private.people_of(p_organization_id uuid)
returns table (user_id uuid, email text, role text, created_at timestamptz)
language sql stable security definer set search_path = ''
as $$
  select m.user_id, u.email::text, m.role, m.created_at
  from public.organization_members m join auth.users u on u.id = m.user_id
  where m.organization_id = p_organization_id
    and (current_setting('role') = 'service_role'
      or p_organization_id = any (array(select private.my_organizations())))
$$;

create or replace function private.user_to_add(p_organization_id uuid, p_email text)
returns uuid
language sql stable security definer set search_path = ''
as $$
  select u.id from auth.users u
  where lower(u.email) = lower(p_email)
    and (current_setting('role') = 'service_role'
      or p_organization_id = any (array(select private.my_organizations('admin'))))
$$;

create or replace function private.replay_events(
  p_organization_id uuid, p_first_id bigint, p_last_id bigint, p_status text, p_event text, p_limit integer,
  p_now timestamptz
) returns setof bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  is_service boolean := current_setting('role') = 'service_role';
  is_admin boolean := is_service or p_organization_id = any (array(select private.my_organizations('admin')));
begin
  if not is_admin and not p_organization_id = any (array(select private.my_organizations('operator'))) then
    raise exception 'replaying events requires the role operator in the organization' using errcode = 'insufficient_privilege';
  end if;
  return query
    update public.webhook_events e
    set status = 'pending', next_try_at = p_now, tries = 0, error = null
    where e.id in (
      select w.id from public.webhook_events w
      where w.id between p_first_id and p_last_id and w.status in ('applied', 'unmatched', 'quarantined')
        and (p_status is null or w.status = p_status)
        and (p_event is null or w.event = p_event)
        and (
          w.organization_id = p_organization_id
          or is_admin and w.organization_id is null and w.credential in (
            select a.credential from public.provider_accounts a where a.organization_id = p_organization_id
          )
        )
      order by w.id
      limit p_limit
      for update
    )
    returning e.id;
end
$$;
