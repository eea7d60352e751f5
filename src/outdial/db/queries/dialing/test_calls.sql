-- Test calls: sent by a dialer, ended by events.

-- name: due_test_calls
-- returns: list[DueTestCall]
-- row: A test call that a dialer works on.
-- List the test calls of all organizations that are due: requested ones, and those whose end has not come.
select organization_id, test_call_id from private.test_calls_due(:now, :limit);

-- name: claim_facts
-- returns: TestCallFacts | None
-- row: A requested test call, locked, with its campaign, the contact whose variables it has, and what could forbid it.
-- row: `to_number` is called; `phone` is the contact's. Hours, variables, attributes and voicemail policy are JSON
-- row: text.
-- null: name, email, company, external_id, from_number
-- Lock a requested test call, unless another dialer has it, and read what the request needs.
select t.id, t.organization_id, t.campaign_id, t.provider_account_id, t.phone as to_number, t.is_own_phone,
  t.requested_at,
  m.retell_agent_id, m.dynamic_variables::text as dynamic_variables, m.voicemail_policy::text as voicemail_policy,
  m.max_attempts, m.calling_hours::text as calling_hours, m.purpose, m.consent_required, m.lists_required,
  coalesce(k.phone, t.phone) as phone, k.name, k.email, k.company, k.external_id,
  coalesce(k.zone_key, '') as zone_key, coalesce(k.attributes, '{}')::text as attributes,
  coalesce(cc.variables, '{}')::text as variables,
  o.stopped_at is not null as is_stopped,
  exists (select from pre_dial_hooks h where h.organization_id = t.organization_id) as has_hook,
  exists (select from do_not_call d where d.organization_id = t.organization_id and d.phone = t.phone
    and d.purpose in ('any', m.purpose)) as do_not_call,
  exists (select from calls c where c.organization_id = t.organization_id and c.phone = t.phone
    and c.status in ('placing', 'placed', 'ongoing', 'unknown'))
  or exists (select from calls c where c.organization_id = t.organization_id and c.phone = t.phone
    and c.status in ('released', 'review') and c.next_check_at is not null)
  or exists (select from test_calls l where l.organization_id = t.organization_id and l.phone = t.phone
    and l.status = 'sent') as live,
  exists (select from contacts s where s.organization_id = t.organization_id and s.phone = t.phone) as is_contact,
  coalesce((select c.basis from consents c where c.organization_id = t.organization_id and c.phone = t.phone
    and c.basis in ('written', 'express') and c.scope in ('any', m.purpose) and c.revoked_at is null
    and not exists (select from consents r where r.organization_id = c.organization_id and r.phone = c.phone
      and r.basis = 'none' and r.scope in ('any', m.purpose) and r.given_at >= c.given_at)
    order by c.basis desc limit 1), '') as consent,
  array(select n.list_id from screened_numbers n where n.organization_id = t.organization_id and n.phone = t.phone)
    as listed_on,
  (select n.phone from unnest(array_prepend(m.from_number, m.more_numbers)) with ordinality as n (phone, position)
    where not exists (select from number_health h where h.organization_id = t.organization_id and h.phone = n.phone
      and h.rests_until > :now)
    order by n.position limit 1) as from_number
from test_calls t
join campaigns m on m.id = t.campaign_id
join organizations o on o.id = t.organization_id
left join contacts k on k.id = t.contact_id
left join campaign_contacts cc on cc.campaign_id = t.campaign_id and cc.contact_id = t.contact_id
where t.id = :id and t.status = 'requested' and t.next_check_at <= :now
for update of t skip locked;

-- name: send_test_call
-- returns: UUID | None
-- Mark a requested test call as sent, before its request leaves: no other dialer sends it, and this one not again.
update test_calls
set status = 'sent', request = :request::text::jsonb, from_number = :from_number, sent_at = :start_at,
  request_deadline = :deadline, next_check_at = :deadline
where id = :id and status = 'requested'
returning id;

-- name: leave_test_call
-- returns: UUID | None
-- Store that the request of a test call leaves now. It does not when all calls have been stopped meanwhile, its phone has
-- been erased, it has missed its start, or it would outlive its deadline.
update test_calls t set sent_at = :now
from organizations o
where t.id = :id and t.status = 'sent' and t.retell_call_id is null and t.erased_at is null
  and :now::timestamptz <= t.request_deadline - :request_timeout::interval and :now <= :latest_start
  and o.id = t.organization_id and o.stopped_at is null
returning t.id;

-- name: postpone_test_call!
-- Look at a requested test call again later, because no line or start is free.
update test_calls set next_check_at = :next_check_at where id = :id and status = 'requested';

-- name: refuse_test_call
-- returns: UUID | None
-- null: :reason
-- Refuse a test call: there is no such call. One that an event reports on is not refused any more.
update test_calls set status = 'refused', reason = :reason, request_deadline = null, next_check_at = null
where id = :id and (status = 'requested' or status = 'sent' and retell_call_id is null)
returning id;

-- name: adopt_test_call
-- returns: UUID | None
-- Store the id that the provider gave to a sent test call.
update test_calls t
set retell_call_id = :retell_call_id, request_deadline = null, checks = 0, next_check_at = :next_check_at
where t.id = :id and t.status = 'sent' and t.retell_call_id is null
  and not exists (select from calls c where c.retell_call_id = :retell_call_id)
returning t.id;

-- name: end_test_request!
-- End the request of a test call whose response was ambiguous. Whether the call exists is asked at `next_check_at`.
update test_calls set request_deadline = null, next_check_at = :next_check_at
where id = :id and status = 'sent' and retell_call_id is null;

-- name: take_sent_test_call
-- returns: SentTestCall | None
-- row: A test call that was sent and whose end, or whose analysis, has not come.
-- null: retell_call_id
-- Take a sent test call for a check. The interval doubles with each check.
update test_calls t
set checks = t.checks + 1,
  next_check_at = :now::timestamptz + least(:first::interval * power(2, least(t.checks, 10)), :most::interval)
from provider_accounts a
where t.id = :id and t.status in ('sent', 'ended') and t.next_check_at <= :now and a.id = t.provider_account_id
returning t.id, t.organization_id, t.status, a.credential, t.retell_call_id, t.sent_at as requested_at, t.checks,
  private.workspace_of_call(t.provider_account_id, t.sent_at, t.sent_at, :now) as workspace;

-- name: fail_test_call!
-- End a test call whose end is not known, or stop to ask for the analysis of one that has ended.
update test_calls
set status = case when status = 'sent' then 'failed' else status end,
  reason = case when status = 'sent' then :reason else reason end, next_check_at = null, request_deadline = null
where id = :id and status in ('sent', 'ended');

-- name: lock_reported_test_calls
-- returns: list[ReportedTestCall]
-- row: A test call that events report on, locked.
-- null: retell_call_id, disconnection_reason, started_at, ended_at, duration_ms, cost_cents, transcript, recording_url,
-- null: public_log_url, analysis
-- Lock the test calls that a batch of events reports on, in the order of their ids.
select t.id, t.organization_id, t.provider_account_id, a.credential, t.status, t.retell_call_id, t.detail_ranks,
  t.disconnection_reason, t.started_at, t.ended_at, t.duration_ms, t.cost_cents, t.transcript, t.recording_url,
  t.public_log_url, t.analysis::text as analysis, t.erased_at is not null as is_erased
from test_calls t join provider_accounts a on a.id = t.provider_account_id
where t.id = any (:ids::uuid[])
order by t.id
for update of t;

-- name: write_test_call!
-- null: :retell_call_id, :outcome, :disconnection_reason, :started_at, :ended_at, :duration_ms, :cost_cents, :transcript,
-- null: :recording_url, :public_log_url, :analysis, :next_check_at
-- Write what events change about a test call. Needs lock_reported_test_calls.
update test_calls
set status = :status, retell_call_id = :retell_call_id, detail_ranks = :detail_ranks::text::smallint[], outcome = :outcome,
  disconnection_reason = :disconnection_reason, started_at = :started_at, ended_at = :ended_at,
  duration_ms = :duration_ms, cost_cents = :cost_cents, transcript = :transcript, recording_url = :recording_url,
  public_log_url = :public_log_url, analysis = :analysis::text::jsonb, request_deadline = null, checks = 0,
  next_check_at = :next_check_at, reason = case when :status = 'ended' then null else reason end
where id = :id;
