-- What the check against the simulator's ledger reads: all calls, contacts, campaigns and limits.

-- name: all_campaigns
-- returns: list[CampaignEvidence]
-- Every campaign with its account and where it stands.
select m.id, a.credential, m.status
from campaigns m join provider_accounts a on a.id = m.provider_account_id
order by m.id;

-- name: all_campaign_contacts
-- returns: list[ContactEvidence]
-- Every contact of every campaign with its counts.
select id, campaign_id, status, attempts, call_count from campaign_contacts order by id;

-- name: all_calls
-- returns: list[CallEvidence]
-- null: retell_call_id, outcome, disconnection_reason, transcript, analysis
-- Every call as it stands, with what is to be compared with the provider's own account of it.
select c.id, c.campaign_id, c.campaign_contact_id, a.credential, c.phone, c.attempt_number, c.status, c.retell_call_id,
  c.outcome, c.disconnection_reason, c.requested_at, c.transcript, c.analysis::text as analysis
from calls c join provider_accounts a on a.id = c.provider_account_id
order by c.id;

-- name: count_unsettled
-- returns: UnsettledCount
-- Calls of which something is still to come: an answer, an end, an analysis; and events that wait to be applied.
select (select count(*) from calls where next_check_at is not null) as calls,
  (select count(*) from webhook_events where status = 'pending') as events;

-- name: all_account_limits
-- returns: list[AccountLimits]
-- The limits of every account.
select credential, least(concurrency_limit, coalesce(provider_limit, concurrency_limit)) - reserved_inbound
  as concurrency_limit, calls_per_second
from provider_accounts
order by credential;
