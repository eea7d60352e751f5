-- Alerts that no claim would raise: a budget is nearly used up by costs that come after the last claim, and all numbers of a
-- campaign rest while it claims nothing.

alter table public.campaigns
  -- When it was last reported that all numbers of the campaign rest. It is reported again when one has begun a new rest.
  add column numbers_alerted_at timestamptz;
grant update (numbers_alerted_at) on public.campaigns to outdial_dialer;

-- Campaigns are few, and those of the index fewer.
-- squawk-ignore require-concurrent-index-creation
create index campaigns_unreported_budget on public.campaigns (organization_id)
  where budget_cents is not null and budget_alerted_at is null;

-- Organizations with a campaign whose budget is used by p_part and was not reported, or with a budget of their own and
-- calls since p_since.
create function private.organizations_with_budgets(p_part numeric, p_since date) returns table (organization_id uuid)
language sql stable security definer set search_path = ''
as $$
  select m.organization_id
  from public.campaigns m
  where m.budget_cents is not null and m.budget_alerted_at is null
    and (select sum(s.spent_cents + s.reserved_cents) from public.spending s where s.campaign_id = m.id)
      >= p_part * m.budget_cents
  union
  select b.organization_id
  from public.organization_budgets b
  where coalesce(b.day_cents, b.month_cents) is not null
    and exists (select from public.spending s where s.organization_id = b.organization_id and s.day >= p_since)
$$;
revoke all on function private.organizations_with_budgets(numeric, date) from public;
grant execute on function private.organizations_with_budgets(numeric, date) to outdial_dialer;
