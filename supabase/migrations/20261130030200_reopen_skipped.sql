-- A contact that was skipped because of the calling rules is pending again when the purpose of its campaign changes, or
-- when its organization switches the rule off. The reasons are those of outdial.domain.contact.
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
create trigger campaigns_reopen_skipped after update of calling_hours, max_attempts, purpose on public.campaigns
  for each row
  when (new.status in ('draft', 'scheduled', 'active', 'pausing', 'paused')
    and (new.calling_hours <> old.calling_hours or new.max_attempts > old.max_attempts or new.purpose <> old.purpose))
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
