-- Forecasts of campaigns: what they are made from, and what is stored of them.

-- name: forecast_limits
-- returns: ForecastLimits | None
-- row: The limits of a campaign's account and organization, and the campaigns that share the account with it.
-- null: backoff_until
-- Read what limits how fast a campaign calls. The campaign itself counts as one that wants to call.
select least(a.concurrency_limit, coalesce(a.provider_limit, a.concurrency_limit)) as concurrency_limit,
  a.reserved_inbound, a.calls_per_second, a.rate_factor, a.next_start_at, a.backoff_until, o.daily_call_cap,
  exists (select from pre_dial_hooks h where h.organization_id = m.organization_id) as has_hook,
  1 + others.campaigns as sharers, (m.share << (m.priority - 1))::bigint as weight,
  (m.share << (m.priority - 1)) + others.weight as total_weight
from campaigns m
cross join lateral (
  select count(*) as campaigns, coalesce(sum(s.share << (s.priority - 1)), 0)::bigint as weight
  from campaigns s
  where s.provider_account_id = m.provider_account_id and s.status = 'active' and s.id <> m.id
    and coalesce(s.waiting_for, 'pacing') in ('concurrency', 'pacing')
) others
join provider_accounts a on a.id = m.provider_account_id
join organizations o on o.id = m.organization_id
where m.id = :campaign_id;

-- name: contacts_to_forecast
-- returns: list[ForecastGroup]
-- row: Contacts of one place with the same history that are due at about the same time, or in a call.
-- plan: custom
-- Group the contacts that a campaign has not finished. Due times are rounded down to `bin`.
select zone_key, jurisdiction_key, status = 'calling' as is_calling, rank = 0 as is_callback, callback_tries, attempts,
  faults, greatest(:now, date_bin(:bin::interval, next_attempt_at, 'epoch')) as due_at, count(*) as contacts
from campaign_contacts
where campaign_id = :campaign_id and status in ('pending', 'calling')
group by 1, 2, 3, 4, 5, 6, 7, 8
order by 1, 2, 8, 6, 7, 3, 4, 5;

-- name: numbers_to_forecast
-- returns: list[ForecastNumberRow]
-- row: A caller number of a campaign, with the calls of its last 24 hours.
-- null: daily_cap, warm_up_from, rests_until
-- Read what limits the calls from the numbers of a campaign.
select p.daily_cap, coalesce(p.warm_up_days, 0)::integer as warm_up_days, p.warm_up_from, h.rests_until,
  case when p.daily_cap is null then 0 else (
    select count(*) from calls c
    where c.organization_id = :organization_id and c.from_number = n.phone and c.requested_at > :day_ago
  ) end as calls
from unnest(:phones::text[]) with ordinality as n (phone, position)
left join phone_numbers p on p.organization_id = :organization_id and p.phone = n.phone
left join number_health h on h.organization_id = :organization_id and h.phone = n.phone
order by n.position;

-- name: past_calls
-- returns: list[PastCallRow]
-- row: How a call went: its outcome, the seconds from its request to its end, its cost, and its number for the contact.
-- row: `callback_after_s` is how long after its end the contact asked to be called back.
-- null: :agent_id, callback_after_s
-- plan: custom
-- List the newest ended calls of an organization with an agent, or with any agent. Calls whose cost is not known yet are
-- left out. The order decides what a seed draws: calls of one claim have the same time, and their ids order them.
select c.outcome, extract(epoch from c.ended_at - c.requested_at)::double precision as line_s,
  coalesce(c.cost_cents, 0)::double precision as cost_cents, c.attempt_number,
  (c.requested_at at time zone 'UTC')::date as day,
  case when c.outcome = any (:asked_in::text[]) then extract(epoch from coalesce(
    (select n.callback_of from calls n
     where n.organization_id = m.organization_id and n.phone = c.phone and n.campaign_id = m.id and n.callback_try = 1
       and n.attempt_number = c.attempt_number + 1 limit 1),
    (select cc.callback_at from campaign_contacts cc
     where cc.id = c.campaign_contact_id and cc.status = 'pending' and cc.call_count = c.attempt_number)
  ) - c.ended_at)::double precision end as callback_after_s
from campaigns m
cross join lateral (
  select c.outcome, c.ended_at, c.requested_at, c.cost_cents, c.attempt_number, c.created_at, c.id, c.phone,
    c.campaign_contact_id
  from calls c
  where c.campaign_id = m.id and c.status = 'ended' and c.outcome is not null and c.ended_at >= c.requested_at
    and (c.cost_cents is not null or c.started_at is null)
  order by c.created_at desc, c.id desc
  limit :limit
) c
where m.organization_id = :organization_id and m.started_at is not null
  and (:agent_id::text is null or m.retell_agent_id = :agent_id)
order by c.created_at desc, c.id desc
limit :limit;

-- name: campaign_spending
-- returns: CampaignSpending
-- row: How many calls of a campaign have ended, and what they cost.
-- Add up the calls of a campaign that have ended.
select count(*) as calls, coalesce(sum(cost_cents), 0)::double precision as cost_cents
from calls
where campaign_id = :campaign_id and status = 'ended';

-- name: insert_forecast!
-- null: :finish_p10, :finish_p50, :finish_p90
-- Store a forecast, unless another process has stored the one of the campaign's start, or renewed it.
insert into campaign_forecasts (id, organization_id, campaign_id, made_at, made_for, contacts, past_calls,
  unfinished_runs, finish_p10, finish_p50, finish_p90, cost_cents_p10, cost_cents_p50, cost_cents_p90, calls_p10,
  calls_p50, calls_p90, spent_cents, calls_made, is_renewal)
values (:id, :organization_id, :campaign_id, :made_at, :made_for, :contacts, :past_calls,
  :unfinished_runs, :finish_p10, :finish_p50, :finish_p90, :cost_cents_p10::double precision,
  :cost_cents_p50::double precision, :cost_cents_p90::double precision, :calls_p10, :calls_p50, :calls_p90, :spent_cents::double precision, :calls_made,
  :is_renewal)
on conflict do nothing;

-- name: delete_renewal!
-- Delete the renewed forecast of a campaign, which another one replaces.
delete from campaign_forecasts where campaign_id = :campaign_id and is_renewal;

-- name: list_forecasts
-- returns: list[StoredForecastRow]
-- row: A stored forecast; what happened is null until the campaign has completed.
-- null: finish_p10, finish_p50, finish_p90, finished_at, actual_cost_cents, actual_calls, compare_error
-- List the newest forecasts of a campaign; `is_outdated` ones were made before the settings were last changed.
select id, campaign_id, made_at, made_for, is_renewal, contacts, past_calls, unfinished_runs,
  finish_p10, finish_p50, finish_p90,
  cost_cents_p10::double precision as cost_cents_p10, cost_cents_p50::double precision as cost_cents_p50,
  cost_cents_p90::double precision as cost_cents_p90, calls_p10, calls_p50, calls_p90,
  spent_cents::double precision as spent_cents, calls_made, finished_at,
  actual_cost_cents::double precision as actual_cost_cents, actual_calls, compare_failures, compare_error,
  exists (
    select from audit_log a
    where a.organization_id = f.organization_id and a.subject_id = f.campaign_id::text and a.action = 'edit_campaign'
      and a.at > f.made_at
  ) as is_outdated
from campaign_forecasts f
where campaign_id = :campaign_id and organization_id = :organization_id
order by made_at desc, id desc
limit :limit;

-- name: forecast_accuracy
-- returns: ForecastAccuracy
-- row: How many of the newest forecasts with an end and a cost that happened lie between p10 and p90.
-- Count how many of an organization's newest forecasts from the start of a campaign have held.
select count(*) as forecasts,
  count(*) filter (where finished_at between finish_p10 and finish_p90) as ends_within,
  count(*) filter (where actual_cost_cents between cost_cents_p10 and cost_cents_p90) as costs_within
from (
  select finished_at, finish_p10, finish_p90, actual_cost_cents, cost_cents_p10, cost_cents_p90
  from campaign_forecasts
  where organization_id = :organization_id and made_for = 'start' and finished_at is not null and finish_p10 is not null
  order by made_at desc
  limit :limit
) newest;

-- name: take_forecasts_to_make
-- returns: list[CampaignToForecast]
-- row: A campaign of any organization.
-- Take campaigns that have started since a moment and have no forecast of their start yet. No other process takes them
-- until a time.
select organization_id, campaign_id from private.take_forecasts_to_make(:since, :now, :until, :limit);

-- name: take_forecasts_to_renew
-- returns: list[CampaignToForecast]
-- Take active campaigns whose newest forecast was made before a moment, the oldest first. No other process takes them
-- until a time.
select organization_id, campaign_id from private.take_forecasts_to_renew(:before, :now, :until, :limit);

-- name: take_forecasts_to_compare
-- returns: list[CampaignToForecast]
-- Take campaigns that completed before a moment and whose forecasts have not been compared with what happened. No other
-- process takes them until a time.
select organization_id, campaign_id from private.take_forecasts_to_compare(:before, :now, :until, :limit);

-- name: compare_forecasts
-- returns: list[UUID]
-- Store beside the forecasts of a completed campaign what happened after each of them.
update campaign_forecasts f
set finished_at = m.finished_at, actual_calls = done.calls - f.calls_made,
  actual_cost_cents = greatest(0, done.cost_cents - f.spent_cents)
from campaigns m
cross join lateral (
  select count(*) as calls, coalesce(sum(c.cost_cents), 0) as cost_cents from calls c
  where c.campaign_id = m.id and c.status not in ('refused', 'released')
) done
where f.campaign_id = m.id and m.id = :campaign_id and m.status = 'completed' and m.finished_at is not null
  and f.finished_at is null
returning f.id;

-- name: note_failed_comparison!
-- Note why the forecasts of a campaign could not be compared. The next try comes after a delay that doubles each time.
update campaign_forecasts
set compare_failures = compare_failures + 1, compare_error = :reason,
  compare_after = :now::timestamptz
    + least(:first_delay::interval * power(2, least(compare_failures, 20)), :longest_delay::interval)
where campaign_id = :campaign_id and finished_at is null;
