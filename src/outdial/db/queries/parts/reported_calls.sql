-- The calls in `c` that events report on, with their contacts, campaigns and accounts: a ReportedCall.
select c.id, c.organization_id, c.campaign_id, c.campaign_contact_id, c.phone, c.status, c.retell_call_id,
  c.attempt_number, c.outcome, c.detail_ranks, c.disconnection_reason, c.started_at, c.ended_at, c.duration_ms,
  c.cost_cents, c.transcript, c.recording_url, c.public_log_url, c.analysis::text as analysis,
  c.erased_at is not null as is_erased, c.message_then, c.decides_at, c.callback_try,
  cc.status as contact_status, cc.attempts, cc.faults, cc.call_count, cc.decided_calls, cc.zone_key, cc.callback_at,
  cc.callbacks, m.status as campaign_status, m.retry_policy::text as retry_policy,
  m.callback_policy::text as callback_policy, m.max_attempts, m.provider_account_id, a.credential,
  cardinality(m.more_numbers) > 0 and exists (
    select from unnest(array_prepend(m.from_number, m.more_numbers)) as n (phone)
    where n.phone <> c.from_number and not exists (select from calls b where b.organization_id = c.organization_id
      and b.phone = c.phone and b.from_number = n.phone and b.outcome = 'blocked')
  ) as has_other_number
from c
join campaign_contacts cc on cc.id = c.campaign_contact_id
join campaigns m on m.id = c.campaign_id
join provider_accounts a on a.id = c.provider_account_id
