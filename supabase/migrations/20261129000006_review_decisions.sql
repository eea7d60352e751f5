-- A member decides what happens to a contact in review: completed, failed, call again, or never call again.

-- The latest decision, with the person, the note and the time. `decided_calls` counts the calls that the contact had
-- then: an event of one of them no longer changes the contact.
alter table public.campaign_contacts
  add column decision text,
  add column decision_note text,
  add column decided_by text,
  add column decided_at timestamptz,
  add column decided_calls integer not null default 0;
-- Validated in a later migration, because reading all contacts under the lock of this one would stop the dialer.
alter table public.campaign_contacts
  add constraint campaign_contacts_decision_check
    check (decision in ('completed', 'failed', 'call_again', 'never_call')) not valid,
  add constraint campaign_contacts_decision_note_check check (length(decision_note) <= 1000) not valid,
  add constraint campaign_contacts_decided_check check ((decision is null) = (decided_at is null)
    and (decision is null) = (decided_by is null) and (decision is not null or decision_note is null)) not valid,
  add constraint campaign_contacts_decided_calls_check check (decided_calls between 0 and call_count)
    not valid;

drop trigger campaign_contacts_arrow on public.campaign_contacts;
create trigger campaign_contacts_arrow before update of status on public.campaign_contacts
  for each row execute function private.check_arrow(
    'pending>calling', 'pending>skipped', 'pending>cancelled', 'calling>pending', 'calling>completed', 'calling>failed',
    'calling>review', 'calling>cancelled', 'review>completed', 'review>failed', 'review>pending', 'skipped>pending',
    'pending>completed', 'pending>failed', 'pending>review');

-- Only a decision takes a contact from review back to pending. No role of a process may write the columns of a decision.
create function private.check_review_decision() returns trigger
language plpgsql set search_path = ''
as $$
begin
  raise exception 'campaign_contacts cannot go from review to pending without a decision to call again'
    using errcode = 'check_violation', constraint = 'campaign_contacts_review_decision';
end
$$;
revoke all on function private.check_review_decision() from public;
create trigger campaign_contacts_review_decision before update of status on public.campaign_contacts
  for each row
  when (old.status = 'review' and new.status = 'pending'
    and (new.decision is distinct from 'call_again' or new.decided_calls <> new.call_count))
  execute function private.check_review_decision();

-- Decides a contact in review. Returns nothing when it is not in review, or when its campaign can no longer call it. The
-- lock keeps the campaign from completing before the transaction ends. It is not shared, because the caller updates the
-- campaign next, and two callers with a shared lock would deadlock. The function checks the caller itself, because
-- callers may not set the status of a contact.
create function private.decide_review(
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
      decided_calls = cc.call_count, updated_at = p_now
    where cc.id = p_campaign_contact_id and cc.organization_id = p_organization_id and cc.status = 'review'
    returning cc.id;
end
$$;
revoke all on function private.decide_review(uuid, uuid, text, text, text, text, timestamptz, timestamptz) from public;
grant execute on function private.decide_review(uuid, uuid, text, text, text, text, timestamptz, timestamptz)
  to authenticated, service_role;
