-- Bulk jobs: a member acts on all contacts of a campaign that match the filters of the list. The request stores which
-- contacts they are, in portions; a worker of outdial_jobs takes one portion per transaction.

create table public.bulk_jobs (
  id uuid primary key,
  organization_id uuid not null,
  campaign_id uuid not null,
  action text not null check (action in ('retry', 'skip', 'decide', 'call_again')),
  decision text check (decision in ('completed', 'failed', 'call_again', 'never_call')),
  -- Why, in the words of the member.
  reason text not null check (length(reason) between 1 and 1000),
  -- The earliest time of the next call. Null: as soon as the job reaches the contact.
  call_at timestamptz,
  -- The filters of the list. Of a search only the names of its fields are kept, because its terms may name a contact.
  filters jsonb not null default '{}' check (jsonb_typeof(filters) = 'object'),
  -- The draft of `call_again`.
  copy_id uuid,
  status text not null default 'queued' check (status in ('queued', 'running', 'completed', 'failed', 'cancelled')),
  -- Contacts in the portions, and contacts that match the filters but have a status that the action does not apply to.
  selected integer not null check (selected >= 0),
  other_status integer not null check (other_status >= 0),
  -- Written in the transactions that change the contacts.
  done integer not null default 0 check (done >= 0),
  left_out integer not null default 0 check (left_out >= 0),
  error text,
  -- Numbers the runs. A run that was overtaken by the next one writes nothing more.
  runs integer not null default 0 check (runs >= 0),
  -- Errors since the last portion.
  failures integer not null default 0 check (failures >= 0),
  heartbeat_at timestamptz,
  -- Null: requested with the service key. `requested_by` is the email of the member, or "the service".
  created_by uuid,
  requested_by text not null check (length(requested_by) between 1 and 400),
  created_at timestamptz not null,
  updated_at timestamptz not null,
  finished_at timestamptz,
  unique (organization_id, id),
  check ((decision is not null) = (action = 'decide')),
  check (done + left_out <= selected),
  foreign key (organization_id, campaign_id) references public.campaigns (organization_id, id) on delete cascade,
  foreign key (organization_id, copy_id) references public.campaigns (organization_id, id) on delete set null (copy_id)
);
create index bulk_jobs_campaign on public.bulk_jobs (campaign_id, created_at desc, id desc);
create index bulk_jobs_copy on public.bulk_jobs (copy_id);
create index bulk_jobs_open on public.bulk_jobs (updated_at) where status in ('queued', 'running');

create trigger bulk_jobs_arrow before update of status on public.bulk_jobs
  for each row execute function private.check_arrow(
    'queued>running', 'queued>cancelled', 'running>completed', 'running>failed', 'running>cancelled');

-- Contacts that the job still has to act on, with what they were when it was requested. Arrays, because a million rows
-- would take minutes to store.
create table public.bulk_job_portions (
  organization_id uuid not null,
  bulk_job_id uuid not null,
  number integer not null check (number >= 0),
  ids uuid[] not null,
  statuses text[] not null,
  -- How many calls each had had.
  calls integer[] not null,
  primary key (bulk_job_id, number),
  foreign key (organization_id, bulk_job_id) references public.bulk_jobs (organization_id, id) on delete cascade
);

-- Contacts that the job has not acted on, each with the reason.
create table public.bulk_job_left_out (
  organization_id uuid not null,
  bulk_job_id uuid not null,
  campaign_contact_id uuid not null,
  kind text not null,
  reason text not null,
  primary key (bulk_job_id, campaign_contact_id),
  foreign key (organization_id, bulk_job_id) references public.bulk_jobs (organization_id, id) on delete cascade
);

revoke all on public.bulk_jobs, public.bulk_job_portions, public.bulk_job_left_out
  from anon, authenticated, service_role;
grant select, insert, update, delete on public.bulk_jobs, public.bulk_job_portions, public.bulk_job_left_out
  to service_role;

alter table public.bulk_jobs enable row level security;
alter table public.bulk_jobs force row level security;
grant select on public.bulk_jobs to authenticated, outdial_jobs;
grant insert (id, organization_id, campaign_id, action, decision, reason, call_at, filters, copy_id, selected,
  other_status, created_by, requested_by, created_at, updated_at) on public.bulk_jobs to authenticated;
grant update (status, updated_at, finished_at) on public.bulk_jobs to authenticated;
grant update (status, done, left_out, error, runs, failures, heartbeat_at, updated_at, finished_at)
  on public.bulk_jobs to outdial_jobs;
create policy members_read on public.bulk_jobs for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy operators_insert on public.bulk_jobs for insert to authenticated
  with check (
    organization_id = any (array(select private.my_organizations('operator'))) and created_by = (select auth.uid())
  );
-- Callers may not set what only a run may set.
create policy operators_cancel on public.bulk_jobs for update to authenticated
  using (organization_id = any (array(select private.my_organizations('operator'))))
  with check (
    organization_id = any (array(select private.my_organizations('operator'))) and status in ('queued', 'cancelled')
  );
create policy jobs_work on public.bulk_jobs for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

alter table public.bulk_job_portions enable row level security;
alter table public.bulk_job_portions force row level security;
grant insert on public.bulk_job_portions to authenticated;
grant select, delete on public.bulk_job_portions to outdial_jobs;
create policy operators_insert on public.bulk_job_portions for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy jobs_work on public.bulk_job_portions for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

alter table public.bulk_job_left_out enable row level security;
alter table public.bulk_job_left_out force row level security;
grant select on public.bulk_job_left_out to authenticated;
grant select, insert on public.bulk_job_left_out to outdial_jobs;
create policy members_read on public.bulk_job_left_out for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy jobs_work on public.bulk_job_left_out for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

-- Decides contacts in review, as private.decide_review does one, and returns those that are decided now. With never_call,
-- their phones are also on the do-not-call list. Needs a lock of the campaign.
create function private.decide_reviews(
  p_organization_id uuid, p_ids uuid[], p_decision text, p_note text, p_decided_by text, p_reason text,
  p_call_at timestamptz, p_now timestamptz
) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  decided uuid[];
begin
  perform private.check_operates(p_organization_id, 'deciding reviews');
  with waiting as materialized (
    select cc.id
    from public.campaign_contacts cc join public.campaigns m on m.id = cc.campaign_id
    where cc.id = any (p_ids) and cc.organization_id = p_organization_id and cc.status = 'review'
      and (p_decision <> 'call_again'
        or m.status in ('draft', 'scheduled', 'active', 'pausing', 'paused') and cc.attempts < m.max_attempts)
    order by cc.id
    for update of cc
  ), changed as (
    update public.campaign_contacts cc
    set status = case p_decision when 'completed' then 'completed' when 'call_again' then 'pending' else 'failed' end,
      faults = case when p_decision = 'call_again' then 0 else cc.faults end,
      next_attempt_at = case when p_decision = 'call_again' then p_call_at else cc.next_attempt_at end,
      status_reason = p_reason, decision = p_decision, decision_note = p_note, decided_by = p_decided_by,
      decided_at = p_now, decided_calls = cc.call_count, updated_at = p_now
    -- Their status is that of the rows locked above. Naming it here again made the planner read the index of contacts in
    -- review once per contact, when there were many more than it knew of: 4 s for a thousand.
    from waiting w
    where cc.id = w.id
    returning cc.id
  )
  select pg_catalog.array_agg(c.id) into decided from changed c;
  if p_decision = 'never_call' then
    insert into public.do_not_call (organization_id, phone, purpose, source, reason, created_at)
    select cc.organization_id, cc.phone, 'any', 'manual', coalesce(p_note, 'decided in review'), p_now
    from public.campaign_contacts cc where cc.id = any (decided)
    order by cc.phone
    on conflict do nothing;
  end if;
  return query select pg_catalog.unnest(decided);
end
$$;
revoke all on function private.decide_reviews(uuid, uuid[], text, text, text, text, timestamptz, timestamptz)
  from public;
grant execute on function private.decide_reviews(uuid, uuid[], text, text, text, text, timestamptz, timestamptz)
  to outdial_jobs;

create or replace function private.job_organization(p_kind text, p_id uuid) returns uuid
language sql stable security definer set search_path = ''
as $$
  select i.organization_id from public.imports i where p_kind = 'import' and i.id = p_id
  union all
  select e.organization_id from public.exports e where p_kind = 'export' and e.id = p_id
  union all
  select b.organization_id from public.bulk_jobs b where p_kind = 'bulk' and b.id = p_id
$$;

create or replace function private.lost_jobs(p_before timestamptz, p_limit integer) returns table (kind text, id uuid)
language sql stable security definer set search_path = ''
as $$
  (
    select 'import', i.id from public.imports i
    where i.status in ('queued', 'running', 'cancelling') and coalesce(i.heartbeat_at, i.updated_at) < p_before
    order by i.updated_at
    limit p_limit
  )
  union all
  (
    select 'export', e.id from public.exports e
    where e.status in ('queued', 'running') and coalesce(e.heartbeat_at, e.updated_at) < p_before
    order by e.updated_at
    limit p_limit
  )
  union all
  (
    select 'bulk', b.id from public.bulk_jobs b
    where b.status in ('queued', 'running') and coalesce(b.heartbeat_at, b.updated_at) < p_before
    order by b.updated_at
    limit p_limit
  )
$$;
