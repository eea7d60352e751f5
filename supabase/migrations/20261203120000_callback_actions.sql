-- What members decide about callbacks: a new one for any contact that its campaign may still call, or none any more.

-- Makes a contact wait for a callback: one that is pending, finished or in review. Returns its campaign; nothing when the
-- contact is in a call or cancelled, or when its campaign can no longer call it. The lock keeps the campaign from
-- completing before the transaction ends. It is not shared, because the caller updates the campaign next, and two callers
-- with a shared lock would deadlock. Attempts stay as they are: a callback passes their limit. Events of earlier calls no
-- longer change a contact that was finished or in review.
create function private.set_callback(
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
      and cc.status in ('pending', 'completed', 'failed', 'skipped', 'review')
    returning cc.campaign_id;
end
$$;
revoke all on function private.set_callback(uuid, uuid, timestamptz, text, timestamptz) from public;
grant execute on function private.set_callback(uuid, uuid, timestamptz, text, timestamptz) to authenticated, service_role;

-- Ends the callback of a pending contact without a call. Returns its campaign; nothing when the contact waits for none, or
-- when it is to be retried without an attempt left. A retry comes no earlier than the contact asked for, in the contact's
-- usual turn. A trigger ends the callback of a contact that is done.
create function private.drop_callback(
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
      decided_calls = case when p_is_done then cc.call_count else cc.decided_calls end, updated_at = p_now
    from public.campaigns m
    where cc.id = p_campaign_contact_id and cc.organization_id = p_organization_id and cc.status = 'pending'
      and cc.callback_at is not null and m.id = cc.campaign_id and (p_is_done or cc.attempts < m.max_attempts)
    returning cc.campaign_id;
end
$$;
revoke all on function private.drop_callback(uuid, uuid, boolean, text, timestamptz) from public;
grant execute on function private.drop_callback(uuid, uuid, boolean, text, timestamptz) to authenticated, service_role;
