-- What a member requests names that member, also when they insert it past the studio.

-- Returns the email of the acting member, else their id; for others the name that they give.
create function private.caller_name(p_name text) returns text
language sql stable security definer set search_path = ''
as $$
  select case when current_setting('role') <> 'authenticated' then p_name else coalesce(
    (select u.email::text from auth.users u where u.id = (select auth.uid())), (select auth.uid())::text, 'unknown') end
$$;
revoke all on function private.caller_name(text) from public;

create function private.sign_bulk_job() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  new.requested_by := private.caller_name(new.requested_by);
  return new;
end
$$;
revoke all on function private.sign_bulk_job() from public;
create trigger bulk_jobs_signed before insert on public.bulk_jobs
  for each row when (pg_catalog.current_setting('role') = 'authenticated') execute function private.sign_bulk_job();

-- One statement inserts a job and its portions, where a policy of the portions would not see the job yet. The contacts of
-- another campaign in a portion are left out by the worker.
create function private.check_own_portions() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if exists (
    select from (select distinct a.bulk_job_id from added a) p
    left join public.bulk_jobs b on b.id = p.bulk_job_id
    where b.created_by is distinct from (select auth.uid()) or b.status is distinct from 'queued'
  ) then
    raise exception 'portions are added only to a bulk job of your own that is queued'
      using errcode = 'check_violation', constraint = 'bulk_job_portions_own';
  end if;
  return null;
end
$$;
revoke all on function private.check_own_portions() from public;
create trigger bulk_job_portions_own after insert on public.bulk_job_portions
  referencing new table as added for each statement
  when (pg_catalog.current_setting('role') = 'authenticated') execute function private.check_own_portions();

-- The third argument is the type of the subject, where it is another than that of the changed row: requests of bulk jobs
-- are recorded at their campaign.
create or replace function private.audit_direct_change() returns trigger
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
  values (organization::uuid, pg_catalog.clock_timestamp(), author, 'change_' || tg_argv[0] || '_directly',
    coalesce(tg_argv[2], tg_argv[0]), subject,
    pg_catalog.jsonb_build_object('operation', lower(tg_op), 'changed', changed));
  return null;
end
$$;
create constraint trigger bulk_jobs_audited after insert or update on public.bulk_jobs
  deferrable initially deferred for each row when (pg_catalog.current_setting('role') = 'authenticated')
  execute function private.audit_direct_change('bulk_job', 'campaign_id', 'campaign');

create or replace function private.stop_organization(p_organization_id uuid, p_by text, p_reason text, p_now timestamptz)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'stopping all calls');
  perform from public.provider_accounts a where a.organization_id = p_organization_id order by a.id for no key update;
  update public.organizations o
  set stopped_at = p_now, stopped_by = private.caller_name(p_by), stop_reason = p_reason
  where o.id = p_organization_id and o.stopped_at is null;
  if not found then
    return false;
  end if;
  -- Calls that wait for their start check their account again, and are not sent.
  perform pg_catalog.pg_notify('outdial_accounts', a.id::text)
  from public.provider_accounts a where a.organization_id = p_organization_id;
  return true;
end
$$;

create or replace function private.request_test_call(
  p_organization_id uuid, p_id uuid, p_campaign_id uuid, p_phone text, p_is_own_phone boolean, p_contact_id uuid,
  p_contact_row integer, p_requested_by text, p_most integer, p_now timestamptz
) returns timestamptz
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'requesting a test call');
  perform from public.organizations o where o.id = p_organization_id for no key update;
  if (select count(*) from public.test_calls t
      where t.organization_id = p_organization_id and t.requested_at > p_now - interval '1 hour') >= p_most then
    return null;
  end if;
  insert into public.test_calls (id, organization_id, campaign_id, provider_account_id, phone, is_own_phone, contact_id,
    contact_row, requested_by, requested_at, next_check_at)
  select p_id, m.organization_id, m.id, m.provider_account_id, p_phone, p_is_own_phone, p_contact_id, p_contact_row,
    private.caller_name(p_requested_by), p_now, p_now
  from public.campaigns m
  where m.id = p_campaign_id and m.organization_id = p_organization_id;
  perform pg_catalog.pg_notify('outdial_test_calls', '');
  return p_now;
end
$$;
