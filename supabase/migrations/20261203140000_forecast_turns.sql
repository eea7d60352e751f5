-- One jobs process makes a forecast, renews it or compares it: it takes the campaign for a time before it begins. A
-- campaign that fails, or whose process dies, is taken again after that time.

alter table public.campaigns
  -- No process forecasts the campaign before this time: one is at it, or has failed.
  add column forecast_after timestamptz;

alter table public.campaign_forecasts
  -- No process compares the forecast before this time: one is at it, or has failed.
  add column compare_after timestamptz,
  add column compare_failures integer not null default 0 check (compare_failures >= 0),
  -- Why it could not be compared the last time.
  add column compare_error text;
grant update (compare_after, compare_failures, compare_error) on public.campaign_forecasts to outdial_jobs;

-- Takes campaigns of any organization that have started since `p_since` and have no forecast of their start.
create function private.take_forecasts_to_make(
  p_since timestamptz, p_now timestamptz, p_until timestamptz, p_limit integer
) returns table (organization_id uuid, campaign_id uuid)
language sql volatile security definer set search_path = ''
as $$
  update public.campaigns m set forecast_after = p_until
  where m.id in (
    select s.id from public.campaigns s
    where s.status = 'active' and s.started_at >= p_since and coalesce(s.forecast_after, p_now) <= p_now
      and not exists (select from public.campaign_forecasts f where f.campaign_id = s.id and f.made_for = 'start')
    order by s.started_at
    limit p_limit
    for no key update skip locked
  )
  returning m.organization_id, m.id
$$;
revoke all on function private.take_forecasts_to_make(timestamptz, timestamptz, timestamptz, integer) from public;
grant execute on function private.take_forecasts_to_make(timestamptz, timestamptz, timestamptz, integer)
  to outdial_jobs;

-- Takes active campaigns of any organization whose newest forecast was made before `p_before`, the oldest first. A
-- campaign without any forecast has nothing to renew.
create function private.take_forecasts_to_renew(
  p_before timestamptz, p_now timestamptz, p_until timestamptz, p_limit integer
) returns table (organization_id uuid, campaign_id uuid)
language sql volatile security definer set search_path = ''
as $$
  update public.campaigns m set forecast_after = p_until
  where m.id in (
    select s.id
    from public.campaigns s
    cross join lateral (
      select f.made_at from public.campaign_forecasts f where f.campaign_id = s.id
      order by f.made_at desc, f.id desc limit 1
    ) newest
    where s.status = 'active' and newest.made_at < p_before and coalesce(s.forecast_after, p_now) <= p_now
    order by newest.made_at
    limit p_limit
    for no key update of s skip locked
  )
  returning m.organization_id, m.id
$$;
revoke all on function private.take_forecasts_to_renew(timestamptz, timestamptz, timestamptz, integer) from public;
grant execute on function private.take_forecasts_to_renew(timestamptz, timestamptz, timestamptz, integer)
  to outdial_jobs;

-- Takes campaigns of any organization that completed before `p_before` and have forecasts to compare with what happened.
create function private.take_forecasts_to_compare(
  p_before timestamptz, p_now timestamptz, p_until timestamptz, p_limit integer
) returns table (organization_id uuid, campaign_id uuid)
language sql volatile security definer set search_path = ''
as $$
  with ended as (
    select m.id from public.campaigns m
    where m.status = 'completed' and m.finished_at < p_before and m.id in (
      select o.campaign_id from public.campaign_forecasts o
      where o.finished_at is null and coalesce(o.compare_after, p_now) <= p_now
    )
    order by m.finished_at
    limit p_limit
    for no key update of m skip locked
  ), taken as (
    update public.campaign_forecasts f set compare_after = p_until
    from ended e
    where f.campaign_id = e.id and f.finished_at is null and coalesce(f.compare_after, p_now) <= p_now
    returning f.organization_id, f.campaign_id
  )
  select distinct t.organization_id, t.campaign_id from taken t
$$;
revoke all on function private.take_forecasts_to_compare(timestamptz, timestamptz, timestamptz, integer) from public;
grant execute on function private.take_forecasts_to_compare(timestamptz, timestamptz, timestamptz, integer)
  to outdial_jobs;

-- Without a claim, every process forecast the same campaigns.
-- squawk-ignore ban-drop-function
drop function private.forecasts_to_make(timestamptz, integer);
-- squawk-ignore ban-drop-function
drop function private.forecasts_to_renew(timestamptz, uuid[], integer);
-- squawk-ignore ban-drop-function
drop function private.forecasts_to_compare(timestamptz, integer);
