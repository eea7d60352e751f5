-- A dialer of an older version finds no campaign to claim for. Its calls are refused (private.check_call_of_dialer), but
-- before that its claim locks the campaign and the account, and afterwards it postpones the campaign for all dialers. The
-- present version looks for campaigns with another function.

create function private.campaigns_in_turn(p_now timestamptz, p_limit integer, p_named uuid[])
returns table (organization_id uuid, provider_account_id uuid, campaign_id uuid, status text, failures integer)
language sql stable security definer set search_path = ''
as $$
  with due as (
    select c.organization_id, c.provider_account_id, c.id, c.status, c.failures, c.next_batch_at,
      row_number() over (
        partition by c.provider_account_id order by c.turn, c.priority desc, c.next_batch_at
      ) as account_turn
    from public.campaigns c
    where c.status in ('active', 'pausing', 'cancelling') and c.next_batch_at <= p_now
  ), in_turn as (
    select d.*, row_number() over (partition by d.organization_id order by d.account_turn, d.next_batch_at) as turn
    from due d
    order by turn, d.next_batch_at
    limit p_limit
  )
  select d.organization_id, d.provider_account_id, d.id, d.status, d.failures
  from (
    select t.organization_id, t.provider_account_id, t.id, t.status, t.failures, t.next_batch_at, t.turn from in_turn t
    union all
    select c.organization_id, c.provider_account_id, c.id, c.status, c.failures, c.next_batch_at, 1
    from public.campaigns c
    where c.status in ('active', 'pausing', 'cancelling') and c.id = any (p_named)
      -- Nothing can start before the time that the pace has set, whatever the notification was about. After a claim that
      -- placed calls, this time is near and the campaign waits for nothing else.
      and (c.status <> 'active' or coalesce(c.next_batch_at, p_now) <= p_now
        or coalesce(c.waiting_for, case when c.next_batch_at <= p_now + interval '1 second' then 'pacing' end, '')
          <> 'pacing')
      and not exists (select from in_turn t where t.id = c.id)
  ) d
  order by d.turn, d.next_batch_at
$$;
revoke all on function private.campaigns_in_turn(timestamptz, integer, uuid[]) from public;
grant execute on function private.campaigns_in_turn(timestamptz, integer, uuid[]) to outdial_dialer;

-- It still brings campaigns to rest that are pausing or cancelling.
create or replace function private.due_campaigns(p_now timestamptz, p_limit integer, p_named uuid[])
returns table (organization_id uuid, provider_account_id uuid, campaign_id uuid, status text, failures integer)
language sql stable security definer set search_path = ''
as $$
  select c.organization_id, c.provider_account_id, c.id, c.status, c.failures
  from public.campaigns c
  where c.status in ('pausing', 'cancelling') and (c.next_batch_at <= p_now or c.id = any (p_named))
  order by c.next_batch_at
  limit p_limit
$$;
