-- The end of a callback is an act that can be undone, and "done" is a member's decision that the contact is completed.

-- Validated in a later migration.
-- squawk-ignore ban-drop-constraint
alter table public.undoable_acts drop constraint undoable_acts_kind_check;
alter table public.undoable_acts
  add constraint undoable_acts_kind_check check (
    kind in ('skip', 'retry', 'decide', 'block', 'pause', 'resume', 'list', 'unlist', 'end_callback')) not valid;

-- As before, but a finished contact that waits again was called again, as a trigger requires.
create or replace function private.undo_contacts(p_organization_id uuid, p_act_id uuid, p_ids uuid[], p_now timestamptz)
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
      next_attempt_at = f.next_attempt_at,
      reentered_at = case when cc.status in ('completed', 'failed') and f.status = 'pending' then p_now
        else f.reentered_at end,
      decision = f.decision,
      decision_note = f.decision_note, decided_by = f.decided_by, decided_at = f.decided_at, updated_at = p_now
    from untouched t, pg_catalog.jsonb_populate_record(null::public.campaign_contacts, t.former) f
    where cc.id = t.id
    returning cc.id;
end
$$;

-- As before, with the decision, so that the filter for contacts that were not reached leaves out what is done.
create or replace function private.drop_callback(
  p_organization_id uuid, p_campaign_contact_id uuid, p_is_done boolean, p_reason text, p_now timestamptz
) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'ending a callback');
  return query
    update public.campaign_contacts cc
    set status = case when p_is_done then 'completed' else 'pending' end, status_reason = p_reason,
      next_attempt_at = greatest(cc.next_attempt_at, p_now), callback_at = null, callback_tries = 0, callback_late = null,
      rank = coalesce(cc.usual_rank, 5), usual_rank = null, part_due_since = null,
      decided_calls = case when p_is_done then cc.call_count else cc.decided_calls end,
      decision = case when p_is_done then 'completed' else cc.decision end,
      decision_note = case when p_is_done then null else cc.decision_note end,
      decided_by = case when p_is_done then coalesce((select auth.uid())::text, 'service') else cc.decided_by end,
      decided_at = case when p_is_done then p_now else cc.decided_at end,
      updated_at = p_now
    from public.campaigns m
    where cc.id = p_campaign_contact_id and cc.organization_id = p_organization_id and cc.status = 'pending'
      and cc.callback_at is not null and m.id = cc.campaign_id and (p_is_done or cc.attempts < m.max_attempts)
    returning cc.campaign_id;
end
$$;
