-- Campaigns of an account take turns by weight: share << (priority - 1). See outdial.domain.policies.turns.

-- How far each campaign has come in the order of turns, and where its account is. Both only grow.
alter table public.campaigns add column turn double precision not null default 0;
alter table public.provider_accounts add column turn double precision not null default 0;
grant update (turn) on public.campaigns to outdial_dialer;
grant update (turn) on public.provider_accounts to outdial_dialer;

-- Of the campaigns of an account, the one that is behind in its turns goes first, and of equal ones the higher priority.
create or replace function private.due_campaigns(p_now timestamptz, p_limit integer, p_named uuid[])
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
