-- A contact with a new time waits anew: for its part of the day from then on, and for no reason of before.

-- Changes a pending contact. A null keeps the time or the rank. A callback is moved to the time and goes first as
-- before; the contact has the rank afterwards. Variables are merged, and those with the value null are removed.
create or replace function private.change_pending_contact(
  p_organization_id uuid, p_campaign_contact_id uuid, p_next_attempt_at timestamptz, p_rank smallint,
  p_variables text, p_now timestamptz
) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'changing contacts of a campaign');
  return query
    update public.campaign_contacts cc
    set next_attempt_at = coalesce(p_next_attempt_at, cc.next_attempt_at),
      part_due_since = case when p_next_attempt_at is null then cc.part_due_since end,
      status_reason = case when p_next_attempt_at is null then cc.status_reason end,
      callback_at = case when cc.callback_at is not null then coalesce(p_next_attempt_at, cc.callback_at) end,
      callback_late = case when p_next_attempt_at is null then cc.callback_late end,
      rank = case when cc.callback_at is null then coalesce(p_rank, cc.rank) else cc.rank end,
      usual_rank = case when cc.callback_at is not null then coalesce(p_rank, cc.usual_rank) end,
      variables = pg_catalog.jsonb_strip_nulls(cc.variables || p_variables::jsonb), updated_at = p_now
    where cc.id = p_campaign_contact_id and cc.organization_id = p_organization_id and cc.status = 'pending'
    returning cc.id;
end
$$;

-- Decides a contact in review. Returns nothing when it is not in review, or when its campaign can no longer call it. The
-- lock keeps the campaign from completing before the transaction ends. It is not shared, because the caller updates the
-- campaign next, and two callers with a shared lock would deadlock. The function checks the caller itself, because
-- callers may not set the status of a contact.
create or replace function private.decide_review(
  p_organization_id uuid, p_campaign_contact_id uuid, p_decision text, p_note text, p_decided_by text, p_reason text,
  p_call_at timestamptz, p_now timestamptz
) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  actor text := p_decided_by;
begin
  if current_setting('role') <> 'service_role' then
    if not p_organization_id = any (array(select private.my_organizations('operator'))) then
      raise exception 'deciding a review requires the role operator in the organization'
        using errcode = 'insufficient_privilege';
    end if;
    actor := (select auth.uid())::text;
  end if;
  if p_decision = 'call_again' then
    perform from public.campaigns m
    join public.campaign_contacts cc on cc.campaign_id = m.id
    where cc.id = p_campaign_contact_id and cc.organization_id = p_organization_id
      and m.status in ('draft', 'scheduled', 'active', 'pausing', 'paused') and cc.attempts < m.max_attempts
    for no key update of m;
    if not found then
      return;
    end if;
  end if;
  return query
    update public.campaign_contacts cc
    set status = case p_decision when 'completed' then 'completed' when 'call_again' then 'pending' else 'failed' end,
      faults = case when p_decision = 'call_again' then 0 else cc.faults end,
      next_attempt_at = case when p_decision = 'call_again' then p_call_at else cc.next_attempt_at end,
      status_reason = p_reason, decision = p_decision, decision_note = p_note, decided_by = actor, decided_at = p_now,
      decided_calls = cc.call_count, part_due_since = null, updated_at = p_now
    where cc.id = p_campaign_contact_id and cc.organization_id = p_organization_id and cc.status = 'review'
    returning cc.id;
end
$$;

-- Decides contacts in review, as private.decide_review does one, and returns those that are decided now. With never_call,
-- their phones are also on the do-not-call list. Needs a lock of the campaign.
create or replace function private.decide_reviews(
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

-- Moves the callback of a pending contact; returns its campaign. Callers may not set the time of the next call.
create or replace function private.move_callback(
  p_organization_id uuid, p_campaign_contact_id uuid, p_callback_at timestamptz, p_now timestamptz
) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'moving a callback');
  return query
    update public.campaign_contacts cc
    set callback_at = p_callback_at, next_attempt_at = p_callback_at, callback_late = null, status_reason = null,
      part_due_since = null, updated_at = p_now
    where cc.id = p_campaign_contact_id and cc.organization_id = p_organization_id and cc.status = 'pending'
      and cc.callback_at is not null
    returning cc.campaign_id;
end
$$;
