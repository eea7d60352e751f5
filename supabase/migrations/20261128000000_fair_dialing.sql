-- Due campaigns in turn, and contacts that come back when the setting that skipped them changes.

-- The accounts of an organization take turns, and so do the organizations: the limit cuts the longest queues first.
-- Dialers of earlier versions select columns that are still there.
-- squawk-ignore ban-drop-function
drop function private.due_campaigns(timestamptz, integer, uuid[]);
create function private.due_campaigns(p_now timestamptz, p_limit integer, p_named uuid[])
returns table (organization_id uuid, provider_account_id uuid, campaign_id uuid, status text)
language sql stable security definer set search_path = ''
as $$
  with due as (
    select c.organization_id, c.provider_account_id, c.id, c.status, c.next_batch_at,
      row_number() over (partition by c.provider_account_id order by c.next_batch_at) as account_turn
    from public.campaigns c
    where c.status in ('active', 'pausing', 'cancelling') and c.next_batch_at <= p_now
  ), in_turn as (
    select d.*, row_number() over (partition by d.organization_id order by d.account_turn, d.next_batch_at) as turn
    from due d
    order by turn, d.next_batch_at
    limit p_limit
  )
  select d.organization_id, d.provider_account_id, d.id, d.status
  from (
    select t.organization_id, t.provider_account_id, t.id, t.status, t.next_batch_at, t.turn from in_turn t
    union all
    select c.organization_id, c.provider_account_id, c.id, c.status, c.next_batch_at, 1
    from public.campaigns c
    where c.status in ('active', 'pausing', 'cancelling') and c.id = any (p_named)
      and not exists (select from in_turn t where t.id = c.id)
  ) d
  order by d.turn, d.next_batch_at
$$;
revoke all on function private.due_campaigns(timestamptz, integer, uuid[]) from public;
grant execute on function private.due_campaigns(timestamptz, integer, uuid[]) to outdial_dialer;

drop trigger campaign_contacts_arrow on public.campaign_contacts;
create trigger campaign_contacts_arrow before update of status on public.campaign_contacts
  for each row execute function private.check_arrow(
    'pending>calling', 'pending>skipped', 'pending>cancelled', 'calling>pending', 'calling>completed', 'calling>failed',
    'calling>review', 'calling>cancelled', 'review>completed', 'review>failed', 'skipped>pending', 'pending>completed',
    'pending>failed', 'pending>review');

-- A contact that was skipped because of its campaign's calling hours or attempt limit is pending again when that setting
-- changes. The update locks the campaign, so that it cannot complete meanwhile. Contacts are locked in id order. The
-- reasons are those of outdial.domain.contact and outdial.dialer.plan.
create function private.reopen_skipped_contacts() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  with skipped as materialized (
    select cc.id
    from public.campaign_contacts cc
    where cc.campaign_id = new.id and cc.status = 'skipped'
      and (new.calling_hours <> old.calling_hours
          and cc.status_reason = 'its time zones are never open together in the campaign''s calling hours'
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
revoke all on function private.reopen_skipped_contacts() from public;
create trigger campaigns_reopen_skipped after update of calling_hours, max_attempts on public.campaigns
  for each row
  when (new.status in ('draft', 'scheduled', 'active', 'pausing', 'paused')
    and (new.calling_hours <> old.calling_hours or new.max_attempts > old.max_attempts))
  execute function private.reopen_skipped_contacts();

-- Earlier versions skipped contacts whose zones open later than in 14 days. The dialer decides about them again.
update public.campaign_contacts cc
set status = 'pending', status_reason = null
from public.campaigns m
where m.id = cc.campaign_id and m.status in ('draft', 'scheduled', 'active', 'pausing', 'paused')
  and cc.status = 'skipped'
  and cc.status_reason = 'its time zones are never open together in the campaign''s calling hours';
