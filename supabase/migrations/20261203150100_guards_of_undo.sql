-- An undo keeps what others have asked for since: an opt-out of a number that a member had put on the do-not-call list
-- before, and an erasure.

alter table public.do_not_call
  -- When the number was to be added once more, while the first addition could be undone.
  add column repeated_at timestamptz;

-- Before the insert, so that it also fires for an entry that exists already: "on conflict do nothing" forgets the second
-- request, and the undo of the first one would take the number off the list. Two hours: undo works for one.
create function private.note_repeated_opt_out() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  update public.do_not_call d set repeated_at = new.created_at
  where d.organization_id = new.organization_id and d.phone = new.phone and d.purpose = new.purpose
    and d.source = 'manual' and d.repeated_at is null
    and d.created_at <> new.created_at and d.created_at > new.created_at - interval '2 hours';
  return new;
end
$$;
revoke all on function private.note_repeated_opt_out() from public;
create trigger do_not_call_repeated before insert on public.do_not_call
  for each row execute function private.note_repeated_opt_out();

create or replace function private.unlist_contacts(p_organization_id uuid, p_act_id uuid, p_ids uuid[])
returns setof uuid
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
        and d.created_at = l.changed_at and d.repeated_at is null
      returning d.phone
    )
    select l.id from listed l where l.phone in (select r.phone from removed r);
end
$$;

create or replace function private.unlist_phones(p_organization_id uuid, p_act_id uuid) returns setof text
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
      and d.source = 'manual' and d.created_at = a.created_at and d.repeated_at is null
    returning d.phone;
end
$$;

-- The lock that erasures take first, shared: an erasure locks contacts and then deletes acts, an undo the other way round.
create or replace function private.lock_act(p_organization_id uuid, p_act_id uuid)
returns table (
  kind text, campaign_id uuid, is_bulk boolean, created_at timestamptz, undone_at timestamptz, may_unlist boolean
)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'undoing an act');
  perform pg_catalog.pg_advisory_xact_lock_shared(
    pg_catalog.hashtextextended('erasures:' || p_organization_id::text, 0));
  return query
    select a.kind, a.campaign_id, a.is_bulk, a.created_at, a.undone_at,
      current_setting('role') <> 'authenticated' or a.created_by = (select auth.uid())
        or p_organization_id = any (array(select private.my_organizations('admin')))
    from public.undoable_acts a
    where a.id = p_act_id and a.organization_id = p_organization_id
    for update;
end
$$;

-- As before, but an erased contact is not called back.
create or replace function private.set_callback(
  p_organization_id uuid, p_campaign_contact_id uuid, p_callback_at timestamptz, p_by text, p_now timestamptz
) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'setting a callback');
  perform from public.campaigns m
  join public.campaign_contacts cc on cc.campaign_id = m.id
  where cc.id = p_campaign_contact_id and cc.organization_id = p_organization_id
    and m.status in ('draft', 'scheduled', 'active', 'pausing', 'paused')
  for no key update of m;
  if not found then
    return;
  end if;
  return query
    update public.campaign_contacts cc
    set status = 'pending', callback_at = p_callback_at, next_attempt_at = p_callback_at, callback_late = null,
      callback_tries = case when cc.callback_at is null then 0 else cc.callback_tries end, rank = 0,
      usual_rank = coalesce(cc.usual_rank, nullif(cc.rank, 0), 5), status_reason = null, part_due_since = null,
      faults = case when cc.status = 'pending' then cc.faults else 0 end,
      decision = case when cc.status = 'review' then 'call_again' else cc.decision end,
      decision_note = case when cc.status = 'review' then null else cc.decision_note end,
      decided_by = case when cc.status = 'review' then coalesce((select auth.uid())::text, p_by) else cc.decided_by end,
      decided_at = case when cc.status = 'review' then p_now else cc.decided_at end,
      decided_calls = case when cc.status = 'pending' then cc.decided_calls else cc.call_count end,
      reentered_at = case when cc.status in ('completed', 'failed', 'skipped') then p_now else cc.reentered_at end,
      updated_at = p_now
    where cc.id = p_campaign_contact_id and cc.organization_id = p_organization_id
      and cc.status in ('pending', 'completed', 'failed', 'skipped', 'review') and cc.phone not like 'erased:%'
    returning cc.campaign_id;
end
$$;

-- As before, but it locks all contacts, not only those that the act changes: an act with several kinds of steps calls it
-- first with all of them, and no step locks one with a smaller id later.
create or replace function private.remember_contacts(
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
    where cc.id = any (p_ids) and cc.organization_id = p_organization_id
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
  where l.status = any (p_from)
    -- A job of the version before has no act, and neither has one on too many contacts.
    and exists (
      select from public.undoable_acts a where a.id = p_act_id and a.organization_id = p_organization_id
    )
  on conflict do nothing;
end
$$;
