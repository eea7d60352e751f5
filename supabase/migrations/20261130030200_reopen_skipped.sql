-- A contact that was skipped because of the calling rules, without consent, or because of a national or state list is
-- pending again when the purpose or the requirements of its campaign change. Switching a rule off does the same for the
-- contacts that it kept from being called. The reasons are those of outdial.domain.contact,
-- outdial.domain.permission.consent and outdial.domain.permission.screening.
create or replace function private.reopen_skipped_contacts() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  with skipped as materialized (
    select cc.id
    from public.campaign_contacts cc
    where cc.campaign_id = new.id and cc.status = 'skipped'
      and (new.calling_hours <> old.calling_hours
          and cc.status_reason = 'its time zones are never open together in the campaign''s calling hours'
        or (new.calling_hours <> old.calling_hours or new.purpose <> old.purpose)
          and cc.status_reason = 'the calling rules of its place allow no call within the campaign''s calling hours'
        or new.purpose <> old.purpose
          and cc.status_reason like 'calls for the purpose of the campaign are forbidden by the calling rule %'
        or (new.purpose, new.consent_required, new.lists_required)
            is distinct from (old.purpose, old.consent_required, old.lists_required)
          and (cc.status_reason like 'no % consent for % calls on record' or cc.status_reason like 'on the % list of %')
        or new.max_attempts > cc.attempts and cc.status_reason like '% attempts were made% the campaign allows %')
    order by cc.id
    for update
  )
  update public.campaign_contacts cc
  set status = 'pending', status_reason = null, updated_at = new.updated_at
  from skipped s
  where cc.id = s.id;
  return null;
end
$$;
drop trigger campaigns_reopen_skipped on public.campaigns;
create trigger campaigns_reopen_skipped after update of calling_hours, max_attempts, purpose, consent_required,
  lists_required on public.campaigns
  for each row
  when (new.status in ('draft', 'scheduled', 'active', 'pausing', 'paused')
    and (new.max_attempts > old.max_attempts
      or (new.calling_hours, new.purpose, new.consent_required, new.lists_required)
        is distinct from (old.calling_hours, old.purpose, old.consent_required, old.lists_required)))
  execute function private.reopen_skipped_contacts();

-- The locks keep the campaigns from completing meanwhile, and wait for claims that still skip contacts: the next statement
-- sees those, too. Campaigns and contacts are locked in id order.
create function private.reopen_forbidden_contacts() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform from public.campaigns m
  where m.organization_id = new.organization_id and m.status in ('draft', 'scheduled', 'active', 'pausing', 'paused')
  order by m.id
  for no key update;
  with skipped as materialized (
    select cc.id
    from public.campaigns m
    join public.campaign_contacts cc on cc.campaign_id = m.id and cc.status = 'skipped'
    where m.organization_id = new.organization_id and m.status in ('draft', 'scheduled', 'active', 'pausing', 'paused')
      and cc.status_reason in (
        'calls for the purpose of the campaign are forbidden by the calling rule ' || new.rule_id,
        'the calling rules of its place allow no call within the campaign''s calling hours')
    order by cc.id
    for update of cc
  )
  update public.campaign_contacts cc
  set status = 'pending', status_reason = null, updated_at = new.at
  from skipped s
  where cc.id = s.id;
  return null;
end
$$;
revoke all on function private.reopen_forbidden_contacts() from public;
create trigger rule_switches_reopen after insert on public.rule_switches
  for each row when (new.is_off) execute function private.reopen_forbidden_contacts();
