-- Budgets of campaigns and organizations, and what their calls cost.

-- name: lock_organization_budget
-- returns: OrganizationBudget | None
-- row: What the calls of an organization may cost on a day and in a month, and when it was last reported that a budget is
-- row: nearly used up.
-- null: day_cents, month_cents, day_alerted_on, month_alerted_on
-- Lock the budgets of an organization for a claim, if it has any. Claims of its other accounts wait.
select time_zone, day_cents, month_cents, day_alerted_on, month_alerted_on
from organization_budgets
where organization_id = :organization_id and coalesce(day_cents, month_cents) is not null
for no key update;

-- name: read_organization_budget
-- returns: OrganizationBudget | None
-- null: day_cents, month_cents, day_alerted_on, month_alerted_on
-- Read the budgets of an organization.
select time_zone, day_cents, month_cents, day_alerted_on, month_alerted_on
from organization_budgets
where organization_id = :organization_id;

-- name: set_organization_budget!
-- null: :day_cents, :month_cents
-- Store the budgets of an organization. A changed budget is reported again when it is nearly used up.
insert into organization_budgets as b (organization_id, time_zone, day_cents, month_cents, updated_at)
values (:organization_id, :time_zone, :day_cents, :month_cents, :now)
on conflict (organization_id) do update
set time_zone = excluded.time_zone, day_cents = excluded.day_cents, month_cents = excluded.month_cents,
  day_alerted_on = case when b.day_cents is not distinct from excluded.day_cents then b.day_alerted_on end,
  month_alerted_on = case when b.month_cents is not distinct from excluded.month_cents then b.month_alerted_on end,
  updated_at = excluded.updated_at;

-- name: campaign_spending
-- returns: SpentAmount
-- row: Known costs of calls, and what is reserved for calls with unknown cost.
-- Add up what the calls of a campaign cost.
select coalesce(sum(spent_cents), 0) as spent_cents, coalesce(sum(reserved_cents), 0) as reserved_cents
from spending where campaign_id = :campaign_id;

-- name: organization_spending
-- returns: OrganizationSpending
-- row: What the calls of an organization cost, claimed on a day and since the first day of its month.
-- Add up what the calls of an organization cost on a day and in its month. A later day counts too: calls have one after
-- the time zone was changed to one further west.
select coalesce(sum(spent_cents) filter (where day >= :today), 0) as day_spent_cents,
  coalesce(sum(reserved_cents) filter (where day >= :today), 0) as day_reserved_cents,
  coalesce(sum(spent_cents), 0) as month_spent_cents, coalesce(sum(reserved_cents), 0) as month_reserved_cents
from spending
where organization_id = :organization_id and day >= :month;

-- name: recent_costs
-- returns: list[AgentCost]
-- row: What one of an agent's last calls cost.
-- Read the costs of the last 200 calls of each of these agents that cost something.
select a.retell_agent_id, k.cost_cents
from unnest(:agents::text[]) as a (retell_agent_id)
cross join lateral (
  select c.cost_cents from calls c
  where c.organization_id = :organization_id and c.retell_agent_id = a.retell_agent_id and c.cost_cents > 0
  order by c.created_at desc
  limit 200
) k;

-- name: note_campaign_alert!
-- Note that the budget of a campaign is nearly used up. Needs lock_campaign.
update campaigns set budget_alerted_at = :now where id = :campaign_id;

-- name: organizations_with_budgets
-- returns: list[UUID]
-- List the organizations that may have a budget to report: a campaign's that is used by :part, or their own with calls
-- since a day.
select organization_id from private.organizations_with_budgets(:part, :since);

-- name: note_campaign_alerts
-- returns: list[NearlyUsedBudget]
-- row: The budget of a campaign that is nearly used up.
-- Note of the campaigns of an organization that :part of their budget is used, and return those that were not noted. One
-- that a claim has locked is noted by the claim, or the next time.
with used as (
  select m.id, m.budget_cents, sum(s.spent_cents) as spent_cents, sum(s.reserved_cents) as reserved_cents
  from campaigns m join spending s on s.campaign_id = m.id
  where m.organization_id = :organization_id and m.budget_cents is not null and m.budget_alerted_at is null
  group by m.id, m.budget_cents
  having sum(s.spent_cents + s.reserved_cents) >= :part::numeric * m.budget_cents
), due as (
  select m.id, u.budget_cents, u.spent_cents, u.reserved_cents
  from campaigns m join used u on u.id = m.id and u.budget_cents = m.budget_cents
  where m.budget_alerted_at is null
  order by m.id
  for no key update of m skip locked
)
update campaigns m set budget_alerted_at = :now
from due d
where m.id = d.id
returning d.id, d.budget_cents, d.spent_cents, d.reserved_cents;

-- name: note_organization_alert!
-- null: :day_alerted_on, :month_alerted_on
-- Note that a budget of the organization is nearly used up. Needs lock_organization_budget.
update organization_budgets set day_alerted_on = :day_alerted_on, month_alerted_on = :month_alerted_on
where organization_id = :organization_id;

-- name: budgeted_campaigns
-- returns: list[BudgetedCampaign]
-- row: A campaign whose calls a budget limits: its own, or one of its organization.
-- null: budget_cents, time_zone, day_cents, month_cents
-- List those of the given campaigns that a budget limits, with what their calls cost.
select m.id, m.organization_id, m.retell_agent_id, m.budget_cents, b.time_zone, b.day_cents, b.month_cents,
  spent.spent_cents, spent.reserved_cents
from campaigns m
left join organization_budgets b on b.organization_id = m.organization_id
cross join lateral (
  select coalesce(sum(s.spent_cents), 0) as spent_cents, coalesce(sum(s.reserved_cents), 0) as reserved_cents
  from spending s where s.campaign_id = m.id
) spent
where m.id = any (:campaign_ids::uuid[]) and coalesce(m.budget_cents, b.day_cents, b.month_cents) is not null;

-- name: unknown_costs
-- returns: list[UnknownCost]
-- row: A call that ended and whose cost is not known.
-- null: outcome, ended_at, :campaign_id, :before_at, :before_id
-- plan: custom
-- List the calls of an organization, or of a campaign, that ended without a known cost, newest first.
select c.id, c.campaign_id, m.name as campaign_name, c.phone, c.outcome, c.ended_at, c.created_at,
  c.reserved_cents
from calls c join campaigns m on m.id = c.campaign_id
where c.organization_id = :organization_id and c.reserved_cents is not null and c.cost_cents is null
  and c.status in ('ended', 'review') and (c.started_at is not null or c.disconnection_reason is null)
  and (:campaign_id::uuid is null or c.campaign_id = :campaign_id)
  and (:before_at::timestamptz is null or (c.created_at, c.id) < (:before_at, :before_id::uuid))
order by c.created_at desc, c.id desc
limit :limit;
