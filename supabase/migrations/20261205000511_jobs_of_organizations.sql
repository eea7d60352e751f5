-- A bulk job without a campaign acts on all contacts, or all calls, of an organization that match the filters of their
-- lists: `do_not_call` on contacts, `mark_reviewed` on calls. The ids in its portions, and among those it has left out, are
-- then those of contacts or of calls. The new constraints are validated in a later migration.

-- Processes of the version before list the jobs of a campaign only.
-- squawk-ignore ban-drop-not-null
alter table public.bulk_jobs alter column campaign_id drop not null;
-- squawk-ignore ban-drop-constraint
alter table public.bulk_jobs drop constraint bulk_jobs_action_check;
alter table public.bulk_jobs
  add constraint bulk_jobs_action_check
    check (action in ('retry', 'skip', 'decide', 'new_campaign', 'do_not_call', 'mark_reviewed', 'undo')) not valid,
  add constraint bulk_jobs_campaign_check check (
    campaign_id is not null and action <> 'mark_reviewed'
    or campaign_id is null and action in ('do_not_call', 'mark_reviewed')
  ) not valid,
  -- A job without a campaign has no other row that it is deleted with when its organization is.
  add constraint bulk_jobs_organization_fkey
    foreign key (organization_id) references public.organizations (id) on delete cascade not valid;
-- The runner keeps a migration in one transaction, where an index cannot be built concurrently; there are few jobs.
-- squawk-ignore require-concurrent-index-creation
create index bulk_jobs_organization on public.bulk_jobs (organization_id, created_at desc, id desc)
  where campaign_id is null;

drop trigger bulk_jobs_audited on public.bulk_jobs;
create constraint trigger bulk_jobs_audited after insert or update on public.bulk_jobs
  deferrable initially deferred for each row
  when (pg_catalog.current_setting('role') = 'authenticated' and new.campaign_id is not null)
  execute function private.audit_direct_change('bulk_job', 'campaign_id', 'campaign');
create constraint trigger bulk_jobs_without_campaign_audited after insert or update on public.bulk_jobs
  deferrable initially deferred for each row
  when (pg_catalog.current_setting('role') = 'authenticated' and new.campaign_id is null)
  execute function private.audit_direct_change('bulk_job', 'id');

-- Puts the numbers of contacts on the do-not-call list, for all calls, and stores in their act which it has added. Returns
-- the contacts whose number was not there. The entries have the time of the act, by which an undo finds them. The lock is
-- that of erasures, which lock contacts and then delete acts; here it is the other way round.
create function private.block_listed_contacts(
  p_organization_id uuid, p_act_id uuid, p_ids uuid[], p_reason text, p_now timestamptz
) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  requested timestamptz;
  added text[];
begin
  perform private.check_operates(p_organization_id, 'blocking numbers');
  perform pg_catalog.pg_advisory_xact_lock_shared(
    pg_catalog.hashtextextended('erasures:' || p_organization_id::text, 0));
  select a.created_at into requested from public.undoable_acts a
  where a.id = p_act_id and a.organization_id = p_organization_id
  for update;
  with listed as (
    insert into public.do_not_call (organization_id, phone, purpose, source, reason, created_at)
    select p_organization_id, k.phone, 'any', 'manual', p_reason, coalesce(requested, p_now)
    from public.contacts k
    where k.id = any (p_ids) and k.organization_id = p_organization_id and k.erased_at is null
    order by k.phone
    on conflict do nothing
    returning phone
  )
  select pg_catalog.array_agg(l.phone) into added from listed l;
  update public.undoable_acts a set former = a.former || (
    select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('phone', p.phone, 'purpose', 'any'))
    from pg_catalog.unnest(added) as p (phone)
  )
  where a.id = p_act_id and a.organization_id = p_organization_id and added is not null;
  return query
    select k.id from public.contacts k
    where k.id = any (p_ids) and k.organization_id = p_organization_id and k.phone = any (added);
end
$$;
revoke all on function private.block_listed_contacts(uuid, uuid, uuid[], text, timestamptz) from public;
grant execute on function private.block_listed_contacts(uuid, uuid, uuid[], text, timestamptz) to outdial_jobs;

-- Marks calls as reviewed that no member has marked yet, and returns them. A call whose words are no longer kept gets no
-- note.
create function private.mark_calls_reviewed(
  p_organization_id uuid, p_ids uuid[], p_by text, p_note text, p_now timestamptz
) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'reviewing calls');
  return query
    insert into public.call_reviews (call_id, organization_id, reviewed_by, reviewed_at, note)
    select c.id, c.organization_id, private.caller_name(p_by), p_now,
      case when c.erased_at is null and c.transcript_removed_at is null then p_note end
    from public.calls c
    where c.id = any (p_ids) and c.organization_id = p_organization_id
    order by c.id
    on conflict do nothing
    returning call_id;
end
$$;
revoke all on function private.mark_calls_reviewed(uuid, uuid[], text, text, timestamptz) from public;
grant execute on function private.mark_calls_reviewed(uuid, uuid[], text, text, timestamptz)
  to authenticated, service_role, outdial_jobs;
