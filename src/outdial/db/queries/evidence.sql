-- What the check against the simulator's ledger reads: all calls, contacts, campaigns and limits.

-- name: all_campaigns
-- returns: list[CampaignEvidence]
-- List every campaign with its account and status.
select m.id, a.credential, m.status
from campaigns m join provider_accounts a on a.id = m.provider_account_id
order by m.id;

-- name: all_campaign_contacts
-- returns: list[ContactEvidence]
-- row: A campaign contact. `attempts` counts towards the cap, `call_count` counts all calls, and `earlier_calls` those
-- row: before it was added or called again. `has_member_callback`: a member has set, moved or ended a callback of it.
-- row: `changed_by_member_at`: when a member first decided about it, skipped it or made it pending again, as far as known.
-- null: status_reason, changed_by_member_at
-- List every campaign contact with its counts.
select cc.id, cc.campaign_id, cc.status, cc.status_reason, cc.attempts, cc.call_count, cc.earlier_calls,
  cc.id::text in (
    select a.subject_id from audit_log a
    where a.subject_type = 'campaign_contact' and a.action in ('set_callback', 'move_callback', 'drop_callback')
  ) as has_member_callback,
  least(cc.reentered_at, cc.decided_at,
    (select min(u.changed_at) from undo_contacts u where u.campaign_contact_id = cc.id)) as changed_by_member_at
from campaign_contacts cc order by cc.id;

-- name: all_calls
-- returns: list[CallEvidence]
-- row: A call. The analysis is JSON text.
-- null: retell_call_id, outcome, disconnection_reason, transcript, analysis, callback_of, callback_late
-- List every call with what is compared with the ledger of the provider.
select c.id, c.campaign_id, c.campaign_contact_id, a.credential, c.phone, c.attempt_number, c.status, c.retell_call_id,
  c.outcome, c.disconnection_reason, c.requested_at, c.transcript, c.analysis::text as analysis,
  c.callback_of, c.callback_late
from calls c join provider_accounts a on a.id = c.provider_account_id
order by c.id;

-- name: all_test_calls
-- returns: list[EvidenceOfTestCall]
-- row: A test call. The analysis is JSON text.
-- null: retell_call_id, outcome, disconnection_reason, transcript, analysis
-- List every test call with what is compared with the ledger of the provider.
select t.id, a.credential, t.phone, t.status, t.retell_call_id, t.outcome, t.disconnection_reason, t.transcript,
  t.analysis::text as analysis
from test_calls t join provider_accounts a on a.id = t.provider_account_id
order by t.id;

-- name: calls_so_far
-- returns: list[CallSoFar]
-- row: How an ended call went: what a forecast draws from. Calls whose cost is not known yet are left out.
-- List the ended calls of a campaign.
select attempt_number, outcome, coalesce(duration_ms, 0) as duration_ms,
  coalesce(cost_cents, 0)::double precision as cost_cents
from calls
where campaign_id = :campaign_id and status = 'ended' and outcome is not null
  and (cost_cents is not null or started_at is null)
order by created_at desc, id desc;

-- name: callback_delays
-- returns: list[float]
-- List how many seconds after the time asked for the callbacks of a campaign started.
select extract(epoch from requested_at - callback_of)::double precision as late_s
from calls
where campaign_id = :campaign_id and callback_of is not null and status not in ('refused', 'released')
order by 1;

-- name: all_number_rests
-- returns: list[NumberRest]
-- row: A rest of a caller number that the dialer began, and the calls that were claimed from the number, or
-- row: requested again, during it.
-- List every rest of a caller number with the calls that it should have prevented.
select r.phone, r.since, r.until, (
    select count(*) from calls c
    cross join lateral (select case when c.requests = 1 then c.created_at
      -- A repeated request starts within half a minute of the decision to repeat it.
      else greatest(c.created_at, c.requested_at - interval '30 seconds') end as decided_at) d
    where c.organization_id = r.organization_id and c.from_number = r.phone and d.decided_at > r.since
      and d.decided_at < r.until
  ) as calls
from (
  select a.organization_id, a.subject_id as phone,
    (a.details ->> 'until')::timestamptz - interval '24 hours' as since,
    least((a.details ->> 'until')::timestamptz, (select min(w.at) from audit_log w where w.action = 'wake_number'
      and w.organization_id = a.organization_id and w.subject_id = a.subject_id and w.at > a.at)) as until
  from audit_log a where a.action = 'rest_number' and a.actor = 'dialer'
) r
order by r.since, r.phone;

-- name: count_unsettled
-- returns: UnsettledCount
-- row: Calls to check and events to apply.
-- Count the calls that are still to be checked, and the events that are still to be applied.
select (select count(*) from calls where next_check_at is not null)
    + (select count(*) from test_calls where next_check_at is not null) as calls,
  (select count(*) from webhook_events where status = 'pending') as events;

-- name: all_account_limits
-- returns: list[AccountLimits]
-- row: Concurrent outbound calls and starts per second of an account.
-- List the limits of every account.
select credential, least(concurrency_limit, coalesce(provider_limit, concurrency_limit)) - reserved_inbound
  as concurrency_limit, calls_per_second
from provider_accounts
order by credential;

-- name: call_places
-- returns: list[CallPlace]
-- row: A call with where its contact may be, what it was for, and the rules that its decision names. `decided_at` is the
-- row: time that the decision is about: a repeated request has a later start.
-- List every call of an organization with what decides whether it was lawful.
select c.id, c.phone, c.requested_at, case when c.requests = 1 then c.requested_at else c.created_at end as decided_at,
  cc.zone_key, cc.jurisdiction_key, m.purpose,
  array(select jsonb_array_elements_text(c.decision -> 'rule_ids')) as rule_ids
from calls c
join campaign_contacts cc on cc.id = c.campaign_contact_id
join campaigns m on m.id = c.campaign_id
where c.organization_id = :organization_id
order by c.id;

-- name: contact_places
-- returns: list[ContactPlace]
-- row: A place of a campaign: how many of its contacts were called, and how many were not.
-- Count the contacts of an organization's campaigns by place.
select m.purpose, cc.zone_key, cc.jurisdiction_key, count(*) filter (where cc.call_count > 0) as called,
  count(*) filter (where cc.call_count = 0 and cc.status in ('pending', 'skipped')) as not_called
from campaign_contacts cc join campaigns m on m.id = cc.campaign_id
where cc.organization_id = :organization_id
group by m.purpose, cc.zone_key, cc.jurisdiction_key
order by cc.jurisdiction_key, cc.zone_key, m.purpose;

-- name: all_budgets
-- returns: list[BudgetEvidence]
-- row: A budget: of a campaign, or of an organization on a day and in a month.
-- null: campaign_id, budget_cents, time_zone, day_cents, month_cents
-- List every budget.
select organization_id, id as campaign_id, name, budget_cents, null::text as time_zone, null::bigint as day_cents,
  null::bigint as month_cents
from campaigns where budget_cents is not null
union all
select b.organization_id, null, o.name, null, b.time_zone, b.day_cents, b.month_cents
from organization_budgets b join organizations o on o.id = b.organization_id;

-- name: all_claims
-- returns: list[ClaimEvidence]
-- row: A call and when it was claimed.
-- null: retell_call_id
-- List every call in the order of the claims.
select id, organization_id, campaign_id, retell_call_id, created_at as claimed_at from calls order by created_at, id;

-- name: voicemail_messages
-- returns: VoicemailCount
-- row: Calls of a campaign that reached a voicemail, and contacts for which a message was left.
-- Count the voicemails of a campaign.
select (select count(*) from calls c where c.campaign_id = :campaign_id and c.outcome = 'voicemail') as reached,
  (select count(*) from campaign_contacts cc
    where cc.campaign_id = :campaign_id and cc.voicemail_left_at is not null) as left_for;

-- name: day_part_counts
-- returns: list[DayPartCount]
-- row: A part of the day: the calls that were claimed in it, and the contacts that wait for it after their first attempt.
-- Count the calls and the waiting contacts of a campaign by part of the day, in the order of its attempts.
select part,
  (select count(*) from calls c where c.campaign_id = m.id and c.status not in ('refused', 'released')
    and c.decision ->> 'day_part' = part) as calls,
  (select count(*) from campaign_contacts cc where cc.campaign_id = m.id and cc.status = 'pending'
    and cc.attempts > 0 and m.day_parts[1 + cc.attempts % cardinality(m.day_parts)] = part) as waiting
from campaigns m cross join lateral unnest(m.day_parts) with ordinality as p (part, attempt)
where m.id = :campaign_id
order by attempt;
