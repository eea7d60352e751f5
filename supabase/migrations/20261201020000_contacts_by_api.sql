-- Contacts come by the API too, may come again when they are finished, and single ones are skipped, called again and
-- changed.

alter table public.campaign_contacts
  -- When the contact was last made pending again after it was finished. `earlier_calls` counts the calls until then:
  -- attempts count the later ones.
  add column reentered_at timestamptz,
  add column earlier_calls integer not null default 0;
-- Validated in a later migration, because reading all contacts under the lock of this one would stop the dialer.
alter table public.campaign_contacts
  add constraint campaign_contacts_earlier_calls_check check (earlier_calls between 0 and call_count) not valid;

drop trigger campaign_contacts_arrow on public.campaign_contacts;
create trigger campaign_contacts_arrow before update of status on public.campaign_contacts
  for each row execute function private.check_arrow(
    'pending>calling', 'pending>skipped', 'pending>cancelled', 'calling>pending', 'calling>completed', 'calling>failed',
    'calling>review', 'calling>cancelled', 'calling>skipped', 'review>completed', 'review>failed', 'review>pending',
    'skipped>pending', 'pending>completed', 'pending>failed', 'pending>review', 'completed>pending', 'failed>pending');

-- A finished contact is pending again only when it is added or called again. No process may write `reentered_at`, so an
-- event or a dialer never brings a contact back.
create function private.check_reentry() returns trigger
language plpgsql set search_path = ''
as $$
begin
  raise exception 'campaign_contacts cannot go from % to pending without being added or called again', old.status
    using errcode = 'check_violation', constraint = 'campaign_contacts_reentry';
end
$$;
revoke all on function private.check_reentry() from public;
create trigger campaign_contacts_reentry before update of status on public.campaign_contacts
  for each row
  when (old.status in ('completed', 'failed') and new.status = 'pending'
    and (new.reentered_at is null or new.reentered_at is not distinct from old.reentered_at))
  execute function private.check_reentry();

-- The functions below check the caller themselves, because callers may not set the status of a contact. A user could
-- declare any organization, so a declared one counts for processes only.
create function private.check_operates(p_organization_id uuid, p_doing text) returns void
language plpgsql stable set search_path = ''
as $$
declare
  acting text := coalesce(nullif(current_setting('role'), 'none'), session_user);
  is_process boolean := pg_catalog.pg_has_role(acting, 'outdial_jobs', 'usage');
begin
  if acting <> 'service_role'
    and not (is_process and p_organization_id is not distinct from private.current_organization())
    and (is_process or not p_organization_id = any (array(select private.my_organizations('operator')))) then
    raise exception '% requires the role operator in the organization', p_doing using errcode = 'insufficient_privilege';
  end if;
end
$$;
revoke all on function private.check_operates(uuid, text) from public;

-- Makes contacts that are finished pending again, if the campaign's reentry_after has passed since their last change.
-- Returns those that are pending now. Events of their earlier calls no longer change them. Needs a lock of the campaign.
create function private.reenter_contacts(
  p_organization_id uuid, p_campaign_id uuid, p_contact_ids uuid[], p_variables text[], p_ranks smallint[],
  p_next_attempt_ats timestamptz[], p_now timestamptz
) returns table (id uuid, contact_id uuid)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'adding contacts again');
  return query
    with finished as materialized (
      select cc.id
      from public.campaign_contacts cc join public.campaigns m on m.id = cc.campaign_id
      where m.id = p_campaign_id and m.organization_id = p_organization_id
        and m.status in ('draft', 'scheduled', 'active', 'pausing', 'paused')
        and cc.contact_id = any (p_contact_ids) and cc.status in ('completed', 'failed', 'skipped')
        and cc.updated_at <= p_now - m.reentry_after
      order by cc.id
      for update of cc
    )
    update public.campaign_contacts cc
    set status = 'pending', status_reason = null, attempts = 0, faults = 0, earlier_calls = cc.call_count,
      decided_calls = cc.call_count, callbacks = 0, callback_at = null, part_due_since = null, rank = u.rank,
      next_attempt_at = u.next_attempt_at, variables = cc.variables || u.variables::jsonb, reentered_at = p_now,
      updated_at = p_now
    from finished f, unnest(p_contact_ids, p_variables, p_ranks, p_next_attempt_ats)
      as u (contact_id, variables, rank, next_attempt_at)
    where cc.id = f.id and cc.contact_id = u.contact_id and cc.status in ('completed', 'failed', 'skipped')
    returning cc.id, cc.contact_id;
end
$$;
revoke all on function private.reenter_contacts(uuid, uuid, uuid[], text[], smallint[], timestamptz[], timestamptz)
  from public;
grant execute on function private.reenter_contacts(uuid, uuid, uuid[], text[], smallint[], timestamptz[], timestamptz)
  to authenticated, service_role, outdial_jobs;

-- Makes finished contacts of campaigns that can still call pending again, with all attempts left. Returns those that are
-- pending now. The lock keeps the campaigns from completing before the transaction ends. It is not shared, because the
-- caller updates the campaigns next, and two callers with a shared lock would deadlock.
create function private.call_contacts_again(
  p_organization_id uuid, p_ids uuid[], p_call_at timestamptz, p_reason text, p_now timestamptz
) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'calling contacts again');
  perform from public.campaigns m
  where m.organization_id = p_organization_id
    and m.id in (select cc.campaign_id from public.campaign_contacts cc where cc.id = any (p_ids))
  order by m.id for no key update;
  return query
    with finished as materialized (
      select cc.id
      from public.campaign_contacts cc join public.campaigns m on m.id = cc.campaign_id
      where cc.id = any (p_ids) and cc.organization_id = p_organization_id
        and m.status in ('draft', 'scheduled', 'active', 'pausing', 'paused')
        and cc.status in ('completed', 'failed', 'skipped')
      order by cc.id
      for update of cc
    )
    update public.campaign_contacts cc
    set status = 'pending', status_reason = p_reason, attempts = 0, faults = 0, earlier_calls = cc.call_count,
      decided_calls = cc.call_count, callbacks = 0, callback_at = null, part_due_since = null,
      rank = case when cc.callback_at is null then cc.rank else 5 end, next_attempt_at = p_call_at,
      reentered_at = p_now, updated_at = p_now
    from finished f
    where cc.id = f.id and cc.status in ('completed', 'failed', 'skipped')
    returning cc.id;
end
$$;
revoke all on function private.call_contacts_again(uuid, uuid[], timestamptz, text, timestamptz) from public;
grant execute on function private.call_contacts_again(uuid, uuid[], timestamptz, text, timestamptz)
  to authenticated, service_role, outdial_jobs;

-- Skips pending contacts. Returns those that are skipped now.
create function private.skip_contacts_by_hand(
  p_organization_id uuid, p_ids uuid[], p_reason text, p_now timestamptz
) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'skipping contacts');
  return query
    with waiting as materialized (
      select cc.id from public.campaign_contacts cc
      where cc.id = any (p_ids) and cc.organization_id = p_organization_id and cc.status = 'pending'
      order by cc.id
      for update
    )
    update public.campaign_contacts cc
    set status = 'skipped', status_reason = p_reason, callback_at = null, updated_at = p_now
    from waiting w
    where cc.id = w.id and cc.status = 'pending'
    returning cc.id;
end
$$;
revoke all on function private.skip_contacts_by_hand(uuid, uuid[], text, timestamptz) from public;
grant execute on function private.skip_contacts_by_hand(uuid, uuid[], text, timestamptz)
  to authenticated, service_role, outdial_jobs;

-- Changes a pending contact. A null keeps the time or the rank. A callback is moved to the time and goes first as
-- before; the contact has the rank afterwards. Variables are merged, and those with the value null are removed.
create function private.change_pending_contact(
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
      callback_at = case when cc.callback_at is not null then coalesce(p_next_attempt_at, cc.callback_at) end,
      callback_late = case when p_next_attempt_at is null then cc.callback_late end,
      rank = case when cc.callback_at is null then coalesce(p_rank, cc.rank) else cc.rank end,
      usual_rank = case when cc.callback_at is not null then coalesce(p_rank, cc.usual_rank) end,
      variables = pg_catalog.jsonb_strip_nulls(cc.variables || p_variables::jsonb), updated_at = p_now
    where cc.id = p_campaign_contact_id and cc.organization_id = p_organization_id and cc.status = 'pending'
    returning cc.id;
end
$$;
revoke all on function private.change_pending_contact(uuid, uuid, timestamptz, smallint, text, timestamptz) from public;
grant execute on function private.change_pending_contact(uuid, uuid, timestamptz, smallint, text, timestamptz)
  to authenticated, service_role;
