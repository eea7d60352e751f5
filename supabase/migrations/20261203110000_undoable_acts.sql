-- What members do in the studio can be undone for an hour: an act stores what it changed, and what that was before. Only
-- what is still as the act left it is undone.

create table public.undoable_acts (
  id uuid primary key,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  kind text not null check (kind in ('skip', 'retry', 'decide', 'block', 'pause', 'resume', 'list', 'unlist')),
  -- Null: an act on the do-not-call list.
  campaign_id uuid,
  -- A bulk job with the id of the act does it, and another one undoes it.
  is_bulk boolean not null default false,
  -- The entries of the do-not-call list that `list` and `unlist` name.
  former jsonb not null default '[]' check (jsonb_typeof(former) = 'array'),
  -- Null: done with the service key.
  created_by uuid,
  created_at timestamptz not null,
  undone_at timestamptz,
  unique (organization_id, id),
  foreign key (organization_id, campaign_id) references public.campaigns (organization_id, id) on delete cascade
);
create index undoable_acts_campaign on public.undoable_acts (campaign_id);
create index undoable_acts_age on public.undoable_acts (created_at);

create table public.undo_contacts (
  organization_id uuid not null,
  act_id uuid not null,
  campaign_contact_id uuid not null,
  -- What the act made of the contact. It is untouched while that holds.
  status text not null,
  call_count integer not null,
  changed_at timestamptz not null,
  -- The columns before the act, without those that are null.
  former jsonb not null check (jsonb_typeof(former) = 'object'),
  primary key (act_id, campaign_contact_id),
  foreign key (organization_id, act_id) references public.undoable_acts (organization_id, id) on delete cascade,
  foreign key (organization_id, campaign_contact_id)
    references public.campaign_contacts (organization_id, id) on delete cascade
);
create index undo_contacts_contact on public.undo_contacts (campaign_contact_id);

-- Members read; the functions below write.
revoke all on public.undoable_acts, public.undo_contacts from anon, authenticated, service_role;
grant select on public.undoable_acts, public.undo_contacts to authenticated, service_role;
alter table public.undoable_acts enable row level security;
alter table public.undoable_acts force row level security;
alter table public.undo_contacts enable row level security;
alter table public.undo_contacts force row level security;
create policy members_read on public.undoable_acts for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy members_read on public.undo_contacts for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));

create function private.record_act(
  p_organization_id uuid, p_id uuid, p_kind text, p_campaign_id uuid, p_is_bulk boolean, p_former jsonb,
  p_now timestamptz
) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'acting on contacts');
  insert into public.undoable_acts (id, organization_id, kind, campaign_id, is_bulk, former, created_by, created_at)
  values (p_id, p_organization_id, p_kind, p_campaign_id, p_is_bulk, p_former,
    case when current_setting('role') = 'authenticated' then (select auth.uid()) end, p_now);
end
$$;
revoke all on function private.record_act(uuid, uuid, text, uuid, boolean, jsonb, timestamptz) from public;
grant execute on function private.record_act(uuid, uuid, text, uuid, boolean, jsonb, timestamptz)
  to authenticated, service_role;

-- Stores what contacts are before an act that takes them from one of some statuses to another; null: it changes no
-- status. It locks their campaigns and then the contacts, in the order of their ids, as the acts do.
create function private.remember_contacts(
  p_organization_id uuid, p_act_id uuid, p_ids uuid[], p_from text[], p_status text, p_now timestamptz
) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'acting on contacts');
  perform from public.campaigns m
  where m.organization_id = p_organization_id
    and m.id in (select cc.campaign_id from public.campaign_contacts cc where cc.id = any (p_ids))
  order by m.id for no key update;
  with locked as materialized (
    select cc.* from public.campaign_contacts cc
    where cc.id = any (p_ids) and cc.organization_id = p_organization_id and cc.status = any (p_from)
    order by cc.id
    for update
  )
  insert into public.undo_contacts (organization_id, act_id, campaign_contact_id, status, call_count, changed_at, former)
  select p_organization_id, p_act_id, l.id, coalesce(p_status, l.status), l.call_count, p_now,
    pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
      'status', l.status, 'status_reason', l.status_reason, 'attempts', l.attempts, 'faults', l.faults,
      'earlier_calls', l.earlier_calls, 'decided_calls', l.decided_calls, 'callbacks', l.callbacks,
      'callback_at', l.callback_at, 'callback_tries', l.callback_tries, 'callback_late', l.callback_late,
      'part_due_since', l.part_due_since, 'rank', l.rank, 'usual_rank', l.usual_rank,
      'next_attempt_at', l.next_attempt_at, 'reentered_at', l.reentered_at, 'decision', l.decision,
      'decision_note', l.decision_note, 'decided_by', l.decided_by, 'decided_at', l.decided_at))
  from locked l
  -- A job of the version before has no act.
  where exists (
    select from public.undoable_acts a where a.id = p_act_id and a.organization_id = p_organization_id
  )
  on conflict do nothing;
end
$$;
revoke all on function private.remember_contacts(uuid, uuid, uuid[], text[], text, timestamptz) from public;
grant execute on function private.remember_contacts(uuid, uuid, uuid[], text[], text, timestamptz)
  to authenticated, service_role, outdial_jobs;

-- Locks an act until the transaction ends. `may_unlist`: the caller has done it, or may remove numbers from the
-- do-not-call list.
create function private.lock_act(p_organization_id uuid, p_act_id uuid)
returns table (
  kind text, campaign_id uuid, is_bulk boolean, created_at timestamptz, undone_at timestamptz, may_unlist boolean
)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'undoing an act');
  return query
    select a.kind, a.campaign_id, a.is_bulk, a.created_at, a.undone_at,
      current_setting('role') <> 'authenticated' or a.created_by = (select auth.uid())
        or p_organization_id = any (array(select private.my_organizations('admin')))
    from public.undoable_acts a
    where a.id = p_act_id and a.organization_id = p_organization_id
    for update;
end
$$;
revoke all on function private.lock_act(uuid, uuid) from public;
grant execute on function private.lock_act(uuid, uuid) to authenticated, service_role;

create function private.mark_act_undone(p_organization_id uuid, p_act_id uuid, p_now timestamptz) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'undoing an act');
  update public.undoable_acts a set undone_at = p_now
  where a.id = p_act_id and a.organization_id = p_organization_id and a.undone_at is null;
end
$$;
revoke all on function private.mark_act_undone(uuid, uuid, timestamptz) from public;
grant execute on function private.mark_act_undone(uuid, uuid, timestamptz) to authenticated, service_role;

-- Restores contacts that are as an act has left them, all of the act without ids, and returns them. One that would be
-- pending again needs a campaign that still places calls.
create function private.undo_contacts(p_organization_id uuid, p_act_id uuid, p_ids uuid[], p_now timestamptz)
returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'undoing an act');
  perform from public.campaigns m
  where m.organization_id = p_organization_id and m.id in (
    select cc.campaign_id from public.undo_contacts u join public.campaign_contacts cc on cc.id = u.campaign_contact_id
    where u.act_id = p_act_id and (p_ids is null or u.campaign_contact_id = any (p_ids))
  )
  order by m.id for no key update;
  return query
    with untouched as materialized (
      select cc.id, u.former
      from public.undo_contacts u
      join public.campaign_contacts cc on cc.id = u.campaign_contact_id
      join public.campaigns m on m.id = cc.campaign_id
      where u.act_id = p_act_id and u.organization_id = p_organization_id
        and (p_ids is null or u.campaign_contact_id = any (p_ids))
        and cc.status = u.status and cc.call_count = u.call_count and cc.updated_at = u.changed_at
        and (u.former ->> 'status' <> 'pending'
          or m.status in ('draft', 'scheduled', 'active', 'pausing', 'paused'))
      order by cc.id
      for update of cc
    )
    update public.campaign_contacts cc
    set status = f.status, status_reason = f.status_reason, attempts = f.attempts, faults = f.faults,
      earlier_calls = f.earlier_calls, decided_calls = f.decided_calls, callbacks = f.callbacks,
      callback_at = f.callback_at, callback_tries = f.callback_tries, callback_late = f.callback_late,
      part_due_since = f.part_due_since, rank = f.rank, usual_rank = f.usual_rank,
      next_attempt_at = f.next_attempt_at, reentered_at = f.reentered_at, decision = f.decision,
      decision_note = f.decision_note, decided_by = f.decided_by, decided_at = f.decided_at, updated_at = p_now
    from untouched t, pg_catalog.jsonb_populate_record(null::public.campaign_contacts, t.former) f
    where cc.id = t.id
    returning cc.id;
end
$$;
revoke all on function private.undo_contacts(uuid, uuid, uuid[], timestamptz) from public;
grant execute on function private.undo_contacts(uuid, uuid, uuid[], timestamptz)
  to authenticated, service_role, outdial_jobs;

-- An operator may take back what they have just put on the do-not-call list; removing anything else is for admins.
create function private.check_may_unlist(p_organization_id uuid, p_act_id uuid) returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  if current_setting('role') = 'authenticated'
    and not p_organization_id = any (array(select private.my_organizations('admin')))
    and not exists (
      select from public.undoable_acts a
      where a.id = p_act_id and a.organization_id = p_organization_id and a.created_by = (select auth.uid())
    ) then
    raise exception 'only who added numbers to the do-not-call list, or an admin, may take them off it'
      using errcode = 'insufficient_privilege';
  end if;
end
$$;
revoke all on function private.check_may_unlist(uuid, uuid) from public;

-- Takes the numbers of contacts off the do-not-call list, where an act on the contacts has put them there, and returns
-- these contacts.
create function private.unlist_contacts(p_organization_id uuid, p_act_id uuid, p_ids uuid[]) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'undoing an act');
  if not exists (
    select from public.undoable_acts a
    where a.id = p_act_id and a.organization_id = p_organization_id and a.kind = 'block'
  ) then
    return;
  end if;
  perform private.check_may_unlist(p_organization_id, p_act_id);
  return query
    with listed as materialized (
      select cc.id, cc.phone, u.changed_at
      from public.undo_contacts u join public.campaign_contacts cc on cc.id = u.campaign_contact_id
      where u.act_id = p_act_id and u.organization_id = p_organization_id
        and (p_ids is null or u.campaign_contact_id = any (p_ids))
    ), removed as (
      delete from public.do_not_call d using listed l
      where d.organization_id = p_organization_id and d.phone = l.phone and d.purpose = 'any' and d.source = 'manual'
        and d.created_at = l.changed_at
      returning d.phone
    )
    select l.id from listed l where l.phone in (select r.phone from removed r);
end
$$;
revoke all on function private.unlist_contacts(uuid, uuid, uuid[]) from public;
grant execute on function private.unlist_contacts(uuid, uuid, uuid[]) to authenticated, service_role, outdial_jobs;

-- Takes off the do-not-call list what an act has put there, and returns the numbers.
create function private.unlist_phones(p_organization_id uuid, p_act_id uuid) returns setof text
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'undoing an act');
  perform private.check_may_unlist(p_organization_id, p_act_id);
  return query
    delete from public.do_not_call d
    using public.undoable_acts a, pg_catalog.jsonb_to_recordset(a.former) as f (phone text, purpose text)
    where a.id = p_act_id and a.organization_id = p_organization_id and a.kind = 'list'
      and d.organization_id = p_organization_id and d.phone = f.phone and d.purpose = f.purpose
      and d.source = 'manual' and d.created_at = a.created_at
    returning d.phone;
end
$$;
revoke all on function private.unlist_phones(uuid, uuid) from public;
grant execute on function private.unlist_phones(uuid, uuid) to authenticated, service_role;

-- Puts the numbers of contacts on the do-not-call list, for all calls. Returns the contacts whose number was not there.
create function private.block_contacts(
  p_organization_id uuid, p_ids uuid[], p_reason text, p_now timestamptz
) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'blocking numbers');
  return query
    with chosen as materialized (
      select cc.id, cc.phone from public.campaign_contacts cc
      where cc.id = any (p_ids) and cc.organization_id = p_organization_id and cc.phone not like 'erased:%'
    ), added as (
      insert into public.do_not_call (organization_id, phone, purpose, source, reason, created_at)
      select distinct p_organization_id, c.phone, 'any', 'manual', p_reason, p_now from chosen c
      order by c.phone
      on conflict do nothing
      returning phone
    )
    select c.id from chosen c where c.phone in (select a.phone from added a);
end
$$;
revoke all on function private.block_contacts(uuid, uuid[], text, timestamptz) from public;
grant execute on function private.block_contacts(uuid, uuid[], text, timestamptz)
  to authenticated, service_role, outdial_jobs;

-- Deletes some contacts of acts that are too old to be undone. When none are left, it deletes acts that are a day older:
-- until then, a page can say why one cannot be undone. Returns how many rows it has deleted.
create function private.forget_acts(p_before timestamptz, p_limit integer) returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  forgotten bigint;
begin
  delete from public.undo_contacts u where u.ctid = any (array(
    select o.ctid from public.undo_contacts o join public.undoable_acts a on a.id = o.act_id
    where a.created_at < p_before limit p_limit for update of o skip locked
  ));
  get diagnostics forgotten = row_count;
  if forgotten = 0 then
    delete from public.undoable_acts a where a.id in (
      select o.id from public.undoable_acts o
      where o.created_at < p_before - interval '1 day' limit p_limit for update skip locked
    );
    get diagnostics forgotten = row_count;
  end if;
  return forgotten;
end
$$;
revoke all on function private.forget_acts(timestamptz, integer) from public;
grant execute on function private.forget_acts(timestamptz, integer) to outdial_jobs;

-- What an act was about may name a person. After an erasure, no earlier act of the organization can be undone.
create function private.forget_acts_of_erased() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  delete from public.undoable_acts a where a.organization_id = new.organization_id;
  return null;
end
$$;
revoke all on function private.forget_acts_of_erased() from public;
create trigger erasures_forget_acts after insert or update of phone on public.erasures
  for each row when (new.phone is not null) execute function private.forget_acts_of_erased();

-- The decision "failed" about a contact in review can be undone.
drop trigger campaign_contacts_arrow on public.campaign_contacts;
create trigger campaign_contacts_arrow before update of status on public.campaign_contacts
  for each row execute function private.check_arrow(
    'pending>calling', 'pending>skipped', 'pending>cancelled', 'calling>pending', 'calling>completed', 'calling>failed',
    'calling>review', 'calling>cancelled', 'calling>skipped', 'review>completed', 'review>failed', 'review>pending',
    'skipped>pending', 'pending>completed', 'pending>failed', 'pending>review', 'completed>pending', 'failed>pending',
    'completed>review', 'failed>review');

-- No process may write the columns of a decision, so only an undo brings a failed contact back to review.
create function private.check_undone_decision() returns trigger
language plpgsql set search_path = ''
as $$
begin
  raise exception 'campaign_contacts cannot go from failed to review unless a decision is undone'
    using errcode = 'check_violation', constraint = 'campaign_contacts_undone_decision';
end
$$;
revoke all on function private.check_undone_decision() from public;
create trigger campaign_contacts_undone_decision before update of status on public.campaign_contacts
  for each row
  when (old.status = 'failed' and new.status = 'review' and new.decided_at is not distinct from old.decided_at)
  execute function private.check_undone_decision();

-- Decides contacts in review, as private.decide_review does one, and returns those that are decided now. With never_call,
-- their phones are also on the do-not-call list. Needs a lock of the campaign. A member is the one who decides.
create or replace function private.decide_reviews(
  p_organization_id uuid, p_ids uuid[], p_decision text, p_note text, p_decided_by text, p_reason text,
  p_call_at timestamptz, p_now timestamptz
) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  decided uuid[];
  author text := case when current_setting('role') = 'authenticated' then (select auth.uid())::text else p_decided_by end;
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
      status_reason = p_reason, decision = p_decision, decision_note = p_note, decided_by = author,
      decided_at = p_now, decided_calls = cc.call_count, part_due_since = null, updated_at = p_now
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
grant execute on function private.decide_reviews(uuid, uuid[], text, text, text, text, timestamptz, timestamptz)
  to authenticated, service_role;

-- A job may put numbers on the do-not-call list, and undo what another one has done: `undoes` is its act.
-- Validated in a later migration.
-- squawk-ignore ban-drop-constraint
alter table public.bulk_jobs drop constraint bulk_jobs_action_check;
alter table public.bulk_jobs
  add column undoes uuid,
  add constraint bulk_jobs_action_check
    check (action in ('retry', 'skip', 'decide', 'new_campaign', 'do_not_call', 'undo')) not valid,
  add constraint bulk_jobs_undoes_check check ((undoes is not null) = (action = 'undo')) not valid;
grant insert (undoes) on public.bulk_jobs to authenticated;
