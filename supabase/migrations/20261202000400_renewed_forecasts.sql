-- The forecast of a running campaign is renewed by the jobs process. A campaign has one renewed forecast, which the next
-- one replaces. Its `made_for` stays 'request', so that a studio of the version before can show it.

alter table public.campaign_forecasts add column is_renewal boolean not null default false;
-- A campaign has a few forecasts, so the table is small.
-- squawk-ignore require-concurrent-index-creation
create unique index campaign_forecasts_renewal on public.campaign_forecasts (campaign_id) where is_renewal;
grant insert (is_renewal) on public.campaign_forecasts to authenticated, outdial_jobs;
grant delete on public.campaign_forecasts to outdial_jobs;
create policy members_renew_nothing on public.campaign_forecasts as restrictive for insert to authenticated
  with check (not is_renewal);

-- Active campaigns of all organizations whose newest forecast was made before `p_before`, the oldest first, without
-- those in `p_without`. A campaign without any forecast has nothing to renew.
create function private.forecasts_to_renew(p_before timestamptz, p_without uuid[], p_limit integer)
returns table (organization_id uuid, campaign_id uuid)
language sql stable security definer set search_path = ''
as $$
  select m.organization_id, m.id
  from public.campaigns m
  cross join lateral (
    select f.made_at from public.campaign_forecasts f where f.campaign_id = m.id
    order by f.made_at desc, f.id desc limit 1
  ) newest
  where m.status = 'active' and newest.made_at < p_before and m.id <> all (p_without)
  order by newest.made_at
  limit p_limit
$$;
revoke all on function private.forecasts_to_renew(timestamptz, uuid[], integer) from public;
grant execute on function private.forecasts_to_renew(timestamptz, uuid[], integer) to outdial_jobs;
